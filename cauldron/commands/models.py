"""Commands that ask models."""

from __future__ import annotations

import json
import signal
from typing import Any

import click

from cauldron.commands.common import (
    DEFAULT_OUTPUT,
    DEFAULT_RECIPE,
    HUB,
    concurrency,
    examples,
    key_from,
    load,
    recipe_and_beam,
    say,
    shared_folders,
    stop,
)
from cauldron.core.errors import UsageError
from cauldron.core.progress import shown


@examples(
    "cauldron docmatix plan ./pdfs --rate 20 --price 0.1,0.4",
    "cauldron docmatix ./pdfs --endpoint http://localhost:8000 --model phi-3 --limit 100",
    "cauldron docmatix pixparse/pdfa-eng-wds --endpoint https://llm.example.com/v1 \\",
    "    --key-from LLM_KEY --model phi-3 --max-cost 50 --price 0.1,0.4 --output gs://B/docmatix",
)
@click.command(
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
@key_from
@concurrency
@click.option("--max-requests", type=click.IntRange(min=1), help="Stop after so many requests.")
@click.option("--max-cost", type=click.FloatRange(min=0), help="Stop before more dollars.")
@click.option("--price", metavar="IN,OUT", help="Dollars per million tokens.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="For plan: requests a second."
)
@shared_folders
@click.option("--json", "as_json", is_flag=True, help="Print the plan or manifest as JSON.")
def docmatix_command(recipe: str, rate: float | None, as_json: bool, **typed: Any) -> None:
    """Make questions on PDFs with a model, as the authors made Docmatix.

    PDFS: a folder or gs:// of PDF files or PDFA tars, or a dataset on the hub. The first run reads
    and asks; the same command again goes on where it was. With `plan` no model is asked: it tells
    requests, tokens, hours and dollars.
    """
    from cauldron.inspect.tables.models import print_docmatix, print_docmatix_plan
    from cauldron.pipeline.docmatix_command import DocmatixCommand
    from cauldron.recipe import load_recipe

    signal.signal(signal.SIGTERM, stop)
    command = DocmatixCommand(recipe=load_recipe(recipe), **typed)
    if command.is_plan:
        price = command.prices()
        with shown("docmatix", say) as progress:
            plan = command.plan(progress)
        if as_json:
            click.echo(json.dumps(plan.to_json(rate, price)))
        else:
            print_docmatix_plan(plan, rate, price)
        return
    with shown("docmatix", say) as progress:
        manifest = command.make(progress)
    if as_json:
        click.echo(manifest.model_dump_json(indent=1))
    else:
        print_docmatix(manifest, command.output)


@examples(
    "cauldron rate rated.yaml --output OUT --endpoint http://localhost:8000 --sample 1% \\",
    "    --price 0.2,0.6",
    "cauldron rate rated.yaml --output OUT --endpoint https://api.example.com/v1 \\",
    "    --key-from EXAMPLE_KEY --max-cost 50 --price 0.2,0.6",
)
@click.command(
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
@key_from
@concurrency
@click.option("--sample", default="100%", metavar="N%", help="Rate a part of the rows only.")
@click.option("--price", default="0,0", metavar="IN,OUT", help="USD per million tokens.")
@click.option("--max-requests", type=click.IntRange(min=0), help="Stop after so many requests.")
@click.option("--max-cost", type=click.FloatRange(min=0), help="Stop after so many USD.")
@shared_folders
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
    from cauldron.inspect.tables.models import print_ratings
    from cauldron.pipeline.rate import RateOptions, cost_of_whole, rate, rating_rules
    from cauldron.transforms.models.budget import Limits, parse_price
    from cauldron.transforms.models.endpoint import Endpoint

    signal.signal(signal.SIGTERM, stop)
    recipe_name, beam_args = recipe_and_beam(arguments)
    recipe = load(recipe_name, ())
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
    with shown("rate", say) as progress:
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
