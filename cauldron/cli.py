"""The command line. Each command parses, calls one function of the library, and prints."""

from __future__ import annotations

import inspect
import json
import logging
import os
import shlex
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

import click

from cauldron import __version__
from cauldron.core.errors import CauldronError, UsageError, first_line
from cauldron.core.program import program
from cauldron.core.progress import shown, silent

# Must be set before pyarrow is imported; worker processes inherit it. With Arrow's own allocator
# the mix held 2 GiB for 0.65 GiB in use, with the system's 0.77 GiB.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
# Read when google.auth is imported: a machine that is not Google's is known after 3 s, not 15.
os.environ.setdefault("GCE_METADATA_DETECT_RETRIES", "1")

DEFAULT_OUTPUT = "./cauldron-out"
DEFAULT_RECIPE = "idefics3"
HUB = "hub"


class _Group(click.Group):
    """Prints every error as one line and sets the exit code.

    An unforeseen one is printed with the file that holds its traceback.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except KeyboardInterrupt as error:
            line = "stopped; the same command goes on where it was"
            code = 128 + (error.args[0] if error.args else signal.SIGINT)
        except Exception as error:
            if ctx.params.get("verbose"):
                logging.getLogger("cauldron").exception("traceback")
            line, code = _shown(error)
        click.echo(f"cauldron: {line}", err=True)
        sys.exit(code)


def _shown(error: Exception) -> tuple[str, int]:
    """The line for the user, and the exit code."""
    if isinstance(error, CauldronError):
        return str(error), error.exit_code
    if isinstance(error, OSError):  # of the disk or the network
        return " ".join(str(error).split()) or type(error).__name__, 1
    handle, path = tempfile.mkstemp(prefix="cauldron-traceback-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(traceback.format_exception(error))
    what = f"unforeseen {type(error).__name__}: {first_line(error)}"
    return f"{what}; the traceback is in {path}", 1


def _examples(*lines: str) -> Callable[[Any], Any]:
    """Append examples to a command's help, unwrapped."""

    def decorate(command: click.Command) -> click.Command:
        text = "\n".join(f"  {line}" for line in lines)
        command.help = f"{inspect.cleandoc(command.help or '')}\n\n\b\nExamples:\n{text}"
        return command

    return decorate


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("--verbose", is_flag=True, help="Show logs and tracebacks.")
def main(verbose: bool) -> None:
    """Build the training mixtures of Idefics3 from their public parts."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # It has its own handler: each line would be printed twice.
    logging.getLogger("huggingface_hub").propagate = False
    if not verbose:
        # Beam logs tracebacks of failures; the error line is enough.
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
        # These log what they then raise, gcsfs with its traceback.
        for name in ("gcsfs", "google.auth"):
            logging.getLogger(name).setLevel(logging.CRITICAL)


def _say(line: str) -> None:
    click.echo(line, err=True)


@_examples(
    "cauldron build --root ./cauldron-sample --output ./out",
    "cauldron build my-recipe.yaml --stage sft --limit 1000",
    "cauldron build --against mmmu=MMMU/MMMU --against ours=/data/our-benchmark",
    "cauldron build --runner=DataflowRunner --project=P --region=R \\",
    "    --temp_location=gs://B/tmp --output=gs://B/cauldron",
)
@main.command(
    "build",
    context_settings={"ignore_unknown_options": True},
    options_metavar="[RECIPE] [OPTIONS] [BEAM OPTIONS]",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="")
@click.option("--stage", "stages", multiple=True, help="Build this stage only; may be repeated.")
@click.option(
    "--root",
    help="Where to read sources: a folder or gs:// in hub layout. Default: the hub (HF_ENDPOINT).",
)
@click.option("--output", default=DEFAULT_OUTPUT, show_default=True, help="Folder or gs://.")
@click.option("--limit", type=click.IntRange(min=1), help="Read this many rows of each source.")
@click.option("--skip-unavailable", is_flag=True, help="Continue without unavailable sources.")
@click.option("--skip-disk-check", is_flag=True, help="Build although the disk seems too small.")
@click.option("--weight", "weights", multiple=True, metavar="SOURCE=W", help="Change a weight.")
@click.option(
    "--against",
    multiple=True,
    metavar="NAME=PATH",
    help="Remove rows with a benchmark's pictures: a file, folder, gs:// or hub id. Repeatable.",
)
@click.option(
    "--shared-folders",
    is_flag=True,
    help="Workers of a remote runner see the same folders, as on a cluster's file system.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the manifests as JSON.")
def build_command(
    arguments: tuple[str, ...],
    stages: tuple[str, ...],
    root: str | None,
    output: str,
    limit: int | None,
    skip_unavailable: bool,
    skip_disk_check: bool,
    weights: tuple[str, ...],
    against: tuple[str, ...],
    shared_folders: bool,
    as_json: bool,
) -> None:
    """Build the mixtures of RECIPE: a packaged name (default: idefics3) or a YAML file.

    Other options are passed to Beam: --runner, --project, --region and so on. Without --runner
    the build runs on this machine, on all cores.
    """
    from cauldron.inspect.tables import print_mixture
    from cauldron.pipeline.build import BuildOptions, build
    from cauldron.recipe import with_benchmarks

    if root == HUB and os.path.isdir(HUB):
        raise UsageError(
            "--root hub: there is a folder of this name; give ./hub to read it, or "
            "leave --root out to read the Hugging Face hub"
        )
    signal.signal(signal.SIGTERM, _stop)
    recipe, beam_args = _recipe_and_beam(arguments)
    options = BuildOptions(
        recipe=with_benchmarks(_recipe(recipe, weights), against),
        stages=stages,
        root=None if root == HUB else root,
        output=output.rstrip("/") or "/",
        limit=limit or -1,
        skip_unavailable=skip_unavailable,
        skip_disk_check=skip_disk_check,
        beam_args=beam_args,
        shared_folders=shared_folders,
    )
    with shown("build", _say) as progress:
        manifests = build(options, progress.say, progress.track)
    if as_json:
        click.echo(json.dumps([item.model_dump(mode="json") for item in manifests], indent=1))
        return
    for manifest in manifests:
        print_mixture(manifest, options.output)


def _stop(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends a build like Ctrl-C: locks are released."""
    raise KeyboardInterrupt(number)


def _recipe_and_beam(arguments: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Separate the recipe from Beam's options, whose values may be separate: ``--runner R``."""
    recipes, beam_args = [], []
    value_may_follow = False
    for argument in arguments:
        is_option = argument.startswith("-")
        is_value = value_may_follow and not argument.endswith((".yaml", ".yml"))
        if is_option or is_value:
            beam_args.append(argument)
        else:
            recipes.append(argument)
        value_may_follow = is_option and "=" not in argument
    if len(recipes) > 1:
        raise UsageError(f"give one recipe, not {', '.join(recipes)}")
    return (recipes or [DEFAULT_RECIPE])[0], tuple(beam_args)


def _recipe(name: str, weights: tuple[str, ...]) -> Any:
    from cauldron.recipe import load_recipe, with_weights

    return with_weights(load_recipe(name), weights)


@_examples(
    "cauldron plan",
    "cauldron plan --weight docmatix=0.02",
    "cauldron plan my-recipe.yaml --stage sft --output OUT --json",
)
@main.command("plan")
@click.argument("recipe", default=DEFAULT_RECIPE)
@click.option("--stage", "stages", multiple=True, help="Plan this stage only; may be repeated.")
@click.option("--output", help="Use what is finished in this folder: decisions, else corpora.")
@click.option("--weight", "weights", multiple=True, metavar="SOURCE=W", help="Change a weight.")
@click.option(
    "--core-hour-price",
    type=click.FloatRange(min=0),
    help="USD per vCPU hour with its memory, to estimate the cost.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per stage.")
def plan_command(
    recipe: str,
    stages: tuple[str, ...],
    output: str | None,
    weights: tuple[str, ...],
    core_hour_price: float | None,
    as_json: bool,
) -> None:
    """Show the mixture table of RECIPE and estimate the cost of building it.

    A recipe that extends another, or has --weight, is compared with the one it was made from.
    """
    from cauldron.inspect.plan import CORE_HOUR_PRICE, plans
    from cauldron.inspect.plan_difference import difference
    from cauldron.inspect.tables import print_plan
    from cauldron.recipe import load_recipe, parent_recipe, with_weights

    price = CORE_HOUR_PRICE if core_hour_price is None else core_hour_price
    whole = load_recipe(recipe)
    parent = whole if weights else parent_recipe(recipe)
    for plan in plans(with_weights(whole, weights), stages, output, DEFAULT_OUTPUT):
        change = None
        if parent is not None and plan.stage in parent.stages:
            before = plans(parent, (plan.stage,), output)[0]
            change = difference(parent.name, before, plan)
        if as_json:
            changes = {"difference": change.to_json()} if change else {}
            click.echo(json.dumps(plan.to_json(price) | changes))
        else:
            print_plan(plan, price, change)


@_examples(
    "cauldron docmatix plan ./pdfs --rate 20 --price 0.1,0.4",
    "cauldron docmatix ./pdfs --endpoint http://localhost:8000 --model phi-3 --limit 100",
    "cauldron docmatix pixparse/pdfa-eng-wds --endpoint https://llm.example.com/v1 \\",
    "    --key-from LLM_KEY --model phi-3 --max-cost 50 --price 0.1,0.4 --output gs://B/docmatix",
)
@main.command(
    "docmatix",
    context_settings={"ignore_unknown_options": True},
    options_metavar="[plan] PDFS [OPTIONS] [BEAM OPTIONS]",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="")
@click.option("--endpoint", "url", metavar="URL", help="Server with the OpenAI protocol.")
@click.option("--model", help="Its name at the endpoint. Default: that of the recipe.")
@click.option("--output", default="./docmatix-out", show_default=True, help="Folder or gs://.")
@click.option("--recipe", default=DEFAULT_RECIPE, show_default=True, help="Its docmatix section.")
@click.option("--seed", type=int, help="Of documents and roles. Default: that of the recipe.")
@click.option("--limit", type=click.IntRange(min=1), help="Read this many documents.")
@click.option(
    "--key-from", metavar="NAME", help="Environment variable or secret with the endpoint's key."
)
@click.option("--concurrency", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--max-requests", type=click.IntRange(min=1), help="Stop after so many requests.")
@click.option("--max-cost", type=click.FloatRange(min=0), help="Stop before more dollars.")
@click.option("--price", metavar="IN,OUT", help="Dollars per million tokens.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="For plan: requests a second."
)
@click.option(
    "--shared-folders", is_flag=True, help="Workers of a remote runner see the same folders."
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan or manifest as JSON.")
def docmatix_command(recipe: str, rate: float | None, as_json: bool, **typed: Any) -> None:
    """Make questions on PDFs with a model, as the authors made Docmatix.

    PDFS: a folder or gs:// of PDF files or PDFA tars, or a dataset on the hub. The first run reads
    and asks; the same command again goes on where it was. With `plan` no model is asked: it tells
    requests, tokens, hours and dollars.
    """
    from cauldron.inspect.tables import print_docmatix, print_docmatix_plan
    from cauldron.pipeline.docmatix_command import DocmatixCommand
    from cauldron.recipe import load_recipe

    signal.signal(signal.SIGTERM, _stop)
    command = DocmatixCommand(recipe=load_recipe(recipe), **typed)
    if command.is_plan:
        price = command.prices()
        with shown("docmatix", _say) as progress:
            plan = command.plan(progress)
        if as_json:
            click.echo(json.dumps(plan.to_json(rate, price)))
        else:
            print_docmatix_plan(plan, rate, price)
        return
    with shown("docmatix", _say) as progress:
        manifest = command.make(progress)
    if as_json:
        click.echo(manifest.model_dump_json(indent=1))
    else:
        print_docmatix(manifest, command.output)


@_examples(
    "cauldron rate rated.yaml --output OUT --endpoint http://localhost:8000 --sample 1% \\",
    "    --price 0.2,0.6",
    "cauldron rate rated.yaml --output OUT --endpoint https://api.example.com/v1 \\",
    "    --key-from EXAMPLE_KEY --max-cost 50 --price 0.2,0.6",
)
@main.command(
    "rate",
    context_settings={"ignore_unknown_options": True},
    options_metavar="[RECIPE] [OPTIONS] [BEAM OPTIONS]",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="")
@click.option("--output", default=DEFAULT_OUTPUT, show_default=True, help="Folder or gs://.")
@click.option("--root", help="Where the build read its sources. Default: the hub.")
@click.option("--limit", type=click.IntRange(min=1), help="As in the build, if it had one.")
@click.option("--endpoint", required=True, metavar="URL", help="Server with the OpenAI protocol.")
@click.option("--vision-endpoint", metavar="URL", help="Of the vision model, if it is another.")
@click.option(
    "--key-from",
    metavar="NAME",
    help="Environment variable with the key, or projects/P/secrets/S/versions/V.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Requests in flight, of each worker process.",
)
@click.option("--sample", default="100%", metavar="N%", help="Rate a part of the rows only.")
@click.option("--price", default="0,0", metavar="IN,OUT", help="USD per million tokens.")
@click.option("--max-requests", type=click.IntRange(min=0), help="Stop after so many requests.")
@click.option("--max-cost", type=click.FloatRange(min=0), help="Stop after so many USD.")
@click.option(
    "--shared-folders",
    is_flag=True,
    help="Workers of a remote runner see the same folders, as on a cluster's file system.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the manifests as JSON.")
def rate_command(
    arguments: tuple[str, ...],
    output: str,
    root: str | None,
    limit: int | None,
    endpoint: str,
    vision_endpoint: str | None,
    key_from: str | None,
    concurrency: int,
    sample: str,
    price: str,
    max_requests: int | None,
    max_cost: float | None,
    shared_folders: bool,
    as_json: bool,
) -> None:
    """Rate the turns of RECIPE's corpora in OUTPUT, with the models that it names.

    Answers are kept in OUTPUT: the same command again goes on, and pays for nothing twice. Other
    options are passed to Beam, as with `build`.
    """
    from cauldron.inspect.tables import print_ratings
    from cauldron.pipeline.rate import RateOptions, cost_of_whole, rate, rating_rules
    from cauldron.transforms.models.budget import Limits, parse_price
    from cauldron.transforms.models.endpoint import Endpoint

    signal.signal(signal.SIGTERM, _stop)
    recipe_name, beam_args = _recipe_and_beam(arguments)
    recipe = _recipe(recipe_name, ())
    rules = rating_rules(recipe)
    limits = Limits(max_requests, max_cost, parse_price(price))
    text, vision = (
        None if model is None else Endpoint(url, model, key_from, concurrency)
        for url, model in ((endpoint, rules.text), (vision_endpoint or endpoint, rules.vision))
    )
    options = RateOptions(
        recipe=recipe,
        output=output.rstrip("/") or "/",
        text=text,
        vision=vision,
        root=None if root == HUB else root,
        limit=limit or -1,
        share=_share(sample),
        limits=limits,
        beam_args=beam_args,
        shared_folders=shared_folders,
    )
    with shown("rate", _say) as progress:
        manifests = rate(options, progress.say, progress.track)
    if as_json:
        click.echo(json.dumps([item.model_dump(mode="json") for item in manifests], indent=1))
    else:
        print_ratings(manifests, cost_of_whole(manifests, limits))


def _share(text: str) -> float:
    """``1%`` as 0.01."""
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UsageError(f"--sample {text}: give a percentage above 0, up to 100%")
    return share


@_examples("cauldron sources", "cauldron sources --json")
@main.command("sources")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def sources_command(as_json: bool) -> None:
    """List all sources with licence, size, images and access."""
    from cauldron.inspect.tables import print_sources, source_lines

    if as_json:
        click.echo(json.dumps(source_lines(), indent=1))
    else:
        print_sources()


@_examples("cauldron sample ./cauldron-sample")
@main.command("sample")
@click.argument("folder")
@click.option("--rows", type=click.IntRange(min=1), default=24, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def sample_command(folder: str, rows: int, seed: int) -> None:
    """Generate a miniature hub in FOLDER: every source in its published layout."""
    from cauldron.sample import write_sample_hub

    with shown("sample", _say, silent) as progress:
        write_sample_hub(folder, seed=seed, rows=rows, track=progress.track)
    click.echo(f"A miniature hub is in {folder}; build it with:")
    click.echo(f"  {program()} build sample --root {shlex.quote(folder)}")


@_examples(
    'cauldron query ./cauldron-out "SELECT source, count(*) FROM sft GROUP BY 1"',
    'cauldron query OUT "SELECT reason, count(*) FROM quarantine GROUP BY 1" --csv',
)
@main.command("query")
@click.argument("out")
@click.argument("sql")
@click.option("--json", "form", flag_value="json", help="One JSON array.")
@click.option("--csv", "form", flag_value="csv", help="CSV with a header.")
@click.option("--parquet", metavar="FILE", help="Write the result to a parquet file.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=threading.TIMEOUT_MAX),
    default=600,
    show_default=True,
    help="Seconds after which the query is stopped.",
)
@click.option(
    "--memory",
    type=click.FloatRange(min=0.05, max=1e6),
    default=4,
    show_default=True,
    help="GiB that it may hold; more is kept on disk where possible.",
)
def query_command(
    out: str, sql: str, form: str | None, parquet: str | None, timeout: float, memory: float
) -> None:
    """Run SQL over OUT with DuckDB.

    Views: one per mixture, RECIPE.STAGE, or STAGE alone where one recipe has it; corpus,
    quarantine, decisions, clusters, contamination, ratings, benchmarks, manifest, predictions,
    scores.
    """
    from cauldron.inspect.query import Limits, run_query

    style: Any = "parquet" if parquet else form or "table"
    run_query(out, sql, style, parquet, limits=Limits(timeout, int(memory * (1 << 30))))


@_examples("cauldron curate ./cauldron-out --explain 3f2a9c1e")
@main.command("curate")
@click.argument("out", default=DEFAULT_OUTPUT)
@click.option(
    "--explain", "row_id", required=True, metavar="ID", help="A row's id, or its first 8 digits."
)
def curate_command(out: str, row_id: str) -> None:
    """Explain why a row of the build in OUT was kept, merged or dropped."""
    from cauldron.inspect.explain import explain

    for line in explain(out, row_id):
        click.echo(line)


@_examples("cauldron verify ./cauldron-out")
@main.command("verify")
@click.argument("out")
@click.option("--json", "as_json", is_flag=True, help="Print the problems as a JSON array.")
def verify_command(out: str, as_json: bool) -> None:
    """Check all files in OUT: no row vanished and no byte changed."""
    from cauldron.inspect.verify import verify

    problems = verify(out)
    if as_json:
        click.echo(json.dumps(problems, indent=1))
    else:
        for problem in problems:
            click.echo(problem)
        if not problems:
            click.echo(f"{out}: every file, row and total is as its manifests say")
    sys.exit(1 if problems else 0)


@_examples(
    "cauldron train",
    "cauldron train --stage stage1 --mixture OUT/mixtures/idefics3/stage1 --output runs/stage1",
    "torchrun --nproc-per-node 8 -m cauldron train --stage sft",
    "cauldron train --model tiny --mixture out/mixtures/sample/sft --steps 20",
    "cauldron train --exclude docmatix --output runs/without-docmatix",
    "cauldron train --plot cauldron-out/runs/sft",
)
@main.command("train")
@click.option("--stage", default="sft", show_default=True, help="Use its hyper-parameters.")
@click.option("--recipe", help="Packaged name or YAML file. Default: the mixture's recipe.")
@click.option("--mixture", help="Default: the only ./cauldron-out/mixtures/*/STAGE.")
@click.option("--output", metavar="RUN", help="Default: ./cauldron-out/runs/STAGE.")
@click.option("--model", help="tiny, or hub id or folder of an Idefics3 or SmolVLM checkpoint.")
@click.option("--steps", type=click.IntRange(min=1), help="Stop after this many steps.")
@click.option(
    "--set", "changes", multiple=True, metavar="FIELD=VALUE", help="Change a field; repeatable."
)
@click.option(
    "--exclude", multiple=True, metavar="SOURCE", help="Leave a source's turns out; repeatable."
)
@click.option(
    "--only", multiple=True, metavar="SOURCE", help="Use only the turns of this source; repeatable."
)
@click.option("--print-config", is_flag=True, help="Print the configuration as YAML and exit.")
@click.option("--plot", metavar="RUN", help="Draw the curves of a run to a PNG file and exit.")
def train_command(recipe: str | None, print_config: bool, plot: str | None, **typed: Any) -> None:
    """Train on a finished mixture. The same command again resumes from the last checkpoint."""
    from cauldron.evaluate.during_training import evaluation_of
    from cauldron.recipe import load_recipe
    from cauldron.training import command
    from cauldron.training.command import TrainOptions, resolve

    if plot is not None:
        click.echo(command.plot(plot))
        return
    named = None if recipe is None else load_recipe(recipe).training
    options = TrainOptions(rules=named, packaged=load_recipe(DEFAULT_RECIPE).training, **typed)
    if print_config:
        click.echo(command.shown(resolve(options)), nl=False)
        return
    sys.exit(command.train(options, _say, evaluation_of))


@_examples(
    "cauldron eval cauldron-out/runs/sft --root /data/benchmarks",
    "cauldron eval HuggingFaceM4/Idefics3-8B-Llama3 --benchmark docvqa --benchmark mmmu",
    "cauldron eval http://localhost:8000 --model-name my-model --limit 200",
    "torchrun --nproc-per-node 8 -m cauldron eval cauldron-out/runs/sft",
    "cauldron eval cauldron-out/runs/sft --score-only --markdown scores.md",
)
@main.command("eval")
@click.argument("model")
@click.option(
    "--benchmark", "benchmarks", multiple=True, help="Repeatable. Default: all that are there."
)
@click.option("--root", help="A folder or gs:// in hub layout. Default: the hub (HF_ENDPOINT).")
@click.option("--limit", type=click.IntRange(min=1), help="The first items of each benchmark.")
@click.option(
    "--engine",
    type=click.Choice(["transformers", "vllm", "endpoint"]),
    help="Default: endpoint for an address, else transformers.",
)
@click.option("--output", metavar="DIR", help="Default: ./cauldron-out/evaluations/<model>.")
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Questions at once; of an endpoint, requests at once.",
)
@click.option("--model-name", help="The model's name at the endpoint. Key: CAULDRON_API_KEY.")
@click.option("--score-only", is_flag=True, help="Only score the predictions in DIR again.")
@click.option("--against", metavar="DIR2", help="Differences to another evaluation.")
@click.option(
    "--ablation",
    is_flag=True,
    help="Print table 2 of the paper: DocVQA without Docmatix (DIR2) and with it.",
)
@click.option("--json", "json_file", metavar="FILE", help="Write all scores as JSON.")
@click.option("--markdown", "markdown_file", metavar="FILE", help="Write a model card's table.")
def eval_command(
    against: str | None,
    ablation: bool,
    json_file: str | None,
    markdown_file: str | None,
    **typed: Any,
) -> None:
    """Score MODEL on the benchmarks of the Idefics3 paper, beside the published scores.

    MODEL: the folder of a run or of an exported model, a hub id, or the address of an
    OpenAI-compatible endpoint. The same command again goes on where it was.
    """
    from cauldron.evaluate.command import EvalOptions, evaluate
    from cauldron.evaluate.output import write_report

    if ablation and against is None:
        raise UsageError("--ablation compares two evaluations; give --against DIR2")
    if typed["root"] == HUB:
        typed["root"] = None
    signal.signal(signal.SIGTERM, _stop)
    found = evaluate(EvalOptions(out=DEFAULT_OUTPUT, **typed), _say)
    if found is not None:
        for line in write_report(*found, against, ablation, json_file, markdown_file):
            click.echo(line)
