"""Commands that train a model and score it."""

from __future__ import annotations

import signal
import sys
from typing import Any

import click

from cauldron.commands.common import (
    DEFAULT_OUTPUT,
    DEFAULT_RECIPE,
    HUB,
    examples,
    say,
    stop,
)
from cauldron.core.errors import UsageError


@examples(
    "cauldron train",
    "cauldron train --stage stage1 --mixture OUT/mixtures/idefics3/stage1 --output runs/stage1",
    "torchrun --nproc-per-node 8 -m cauldron train --stage sft",
    "cauldron train --model tiny --mixture out/mixtures/sample/sft --steps 20",
    "cauldron train --exclude docmatix --output runs/without-docmatix",
    "cauldron train --plot cauldron-out/runs/sft",
)
@click.command("train")
@click.option("--stage", default="sft", show_default=True, help="Use its hyper-parameters.")
@click.option("--recipe", help="Packaged name or YAML file. Default: the mixture's recipe.")
@click.option("--mixture", help="Default: the only ./cauldron-out/mixtures/*/STAGE.")
@click.option(
    "--output", metavar="RUN", help="A folder or gs://. Default: ./cauldron-out/runs/STAGE."
)
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
    sys.exit(command.train(options, say, evaluation_of))


@examples(
    "cauldron eval cauldron-out/runs/sft --root /data/benchmarks",
    "cauldron eval HuggingFaceM4/Idefics3-8B-Llama3 --benchmark docvqa --benchmark mmmu",
    "cauldron eval http://localhost:8000 --model-name my-model --limit 200",
    "torchrun --nproc-per-node 8 -m cauldron eval cauldron-out/runs/sft",
    "cauldron eval cauldron-out/runs/sft --score-only --markdown scores.md",
)
@click.command("eval")
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
@click.option(
    "--output",
    metavar="DIR",
    help="A folder or gs://. Default: ./cauldron-out/evaluations/<model>.",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Questions at once; of an endpoint, requests at once.",
)
@click.option("--model-name", help="The model's name at the endpoint.")
@click.option(
    "--key-from",
    metavar="NAME",
    help="Environment variable with the endpoint's key, or projects/P/secrets/S/versions/V. "
    "Default: CAULDRON_API_KEY, if it is set.",
)
@click.option(
    "--extractor",
    metavar="URL",
    help="Endpoint of a model that finds MathVista's answers in texts. Default: rules find them.",
)
@click.option("--extractor-model", metavar="NAME", help="The model's name there.")
@click.option("--extractor-key-from", metavar="NAME", help="As --key-from, for the extractor.")
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
    extractor: str | None,
    extractor_model: str | None,
    extractor_key_from: str | None,
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
    from cauldron.evaluate.engines import extractor_of
    from cauldron.evaluate.remote import on_disk
    from cauldron.evaluate.report.write import write_report

    if ablation and against is None:
        raise UsageError("--ablation compares two evaluations; give --against DIR2")
    if typed["root"] == HUB:
        typed["root"] = None
    signal.signal(signal.SIGTERM, stop)
    asked = extractor_of(extractor, extractor_model, extractor_key_from, typed["batch"])
    with on_disk(EvalOptions(out=DEFAULT_OUTPUT, extractor=asked, **typed), against) as here:
        found = evaluate(here.options, lambda line: say(here.shown(line)))
        if found is not None:
            for line in write_report(*found, here.against, ablation, json_file, markdown_file):
                click.echo(here.shown(line))
