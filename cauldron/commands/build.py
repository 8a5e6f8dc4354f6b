"""Commands that make mixtures, and say what they are made of."""

from __future__ import annotations

import json
import os
import shlex
import signal
from typing import Literal

import click

from cauldron.commands.common import (
    DEFAULT_OUTPUT,
    DEFAULT_RECIPE,
    HUB,
    examples,
    load,
    recipe_and_beam,
    say,
    shared_folders,
    stop,
)
from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.program import program
from cauldron.core.progress import shown, silent


@examples(
    "cauldron build --root ./cauldron-sample --output ./out",
    "cauldron build my-recipe.yaml --stage sft --limit 1000",
    "cauldron build --against mmmu=MMMU/MMMU --against ours=/data/our-benchmark",
    "cauldron build --runner=DataflowRunner --project=P --region=R \\",
    "    --temp_location=gs://B/tmp --output=gs://B/cauldron",
)
@click.command(
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
    help="Remove rows with a benchmark's pictures or text: a file, folder or hub id. Repeatable.",
)
@click.option(
    "--refetch",
    type=click.Choice(["failed", "all"]),
    help="Ask again for images by URL: those that failed, or all.",
)
@shared_folders
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
    refetch: Literal["failed", "all"] | None,
    shared_folders: bool,
    as_json: bool,
) -> None:
    """Build the mixtures of RECIPE: a packaged name (default: idefics3) or a YAML file.

    Other options are passed to Beam: --runner, --project, --region and so on. Without --runner
    the build runs on this machine, on all cores.
    """
    from cauldron.inspect.tables.mixture import print_mixture
    from cauldron.pipeline.build import BuildOptions, build
    from cauldron.recipe import with_benchmarks

    if root == HUB and os.path.isdir(HUB):
        raise UsageError(
            "--root hub: there is a folder of this name; give ./hub to read it, or "
            "leave --root out to read the Hugging Face hub"
        )
    signal.signal(signal.SIGTERM, stop)
    recipe, beam_args = recipe_and_beam(arguments)
    options = BuildOptions(
        recipe=with_benchmarks(load(recipe, weights), against),
        stages=stages,
        root=None if root == HUB else root,
        output=output.rstrip("/") or "/",
        limit=limit or -1,
        skip_unavailable=skip_unavailable,
        skip_disk_check=skip_disk_check,
        beam_args=beam_args,
        shared_folders=shared_folders,
        refetch=refetch,
    )
    with shown("build", say) as progress:
        manifests = build(options, progress.say, progress.track)
    if as_json:
        click.echo(json.dumps([item.model_dump(mode="json") for item in manifests], indent=1))
        return
    for manifest in manifests:
        print_mixture(manifest, options.output)


@examples(
    "cauldron plan",
    "cauldron plan --weight docmatix=0.02",
    "cauldron plan my-recipe.yaml --stage sft --output OUT --json",
)
@click.command("plan")
@click.argument("recipe", default=DEFAULT_RECIPE)
@click.option("--stage", "stages", multiple=True, help="Plan this stage only; may be repeated.")
@click.option("--output", help="Use what is finished in this folder: decisions, else corpora.")
@click.option("--limit", type=click.IntRange(min=1), help="As in the build, if it has one.")
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
    limit: int | None,
    weights: tuple[str, ...],
    core_hour_price: float | None,
    as_json: bool,
) -> None:
    """Show the mixture table of RECIPE and estimate the cost of building it.

    A recipe that extends another, or has --weight, is compared with the one it was made from. A
    stage whose budget does not fit the sources' sizes is named, and the others are shown.
    """
    from cauldron.core.shares import UnplannedError
    from cauldron.inspect.planning.difference import difference
    from cauldron.inspect.planning.plan import CORE_HOUR_PRICE, Plan, plan_each, plans
    from cauldron.inspect.tables.plan import print_plan, print_plans_together
    from cauldron.recipe import load_recipe, parent_recipe, with_weights

    price = CORE_HOUR_PRICE if core_hour_price is None else core_hour_price
    whole = load_recipe(recipe)
    parent = whole if weights else parent_recipe(recipe)
    rows = limit or -1
    each = [*plan_each(with_weights(whole, weights), stages, output, DEFAULT_OUTPUT, rows)]
    planned = [plan for _, plan in each if isinstance(plan, Plan)]
    unplanned = [f"stage {name}: {why}" for name, why in each if isinstance(why, UnplannedError)]
    if not planned or (stages and unplanned):
        raise CauldronError("; ".join(unplanned))
    before = {}
    if parent is not None:
        shared = tuple(plan.stage for plan in planned if plan.stage in parent.stages)
        before = {p.stage: p for p in plans(parent, shared, output, limit=rows)} if shared else {}
    for plan in planned:
        change = None
        if parent is not None and plan.stage in before:
            change = difference(parent.name, before[plan.stage], plan)
        if as_json:
            changes = {"difference": change.to_json()} if change else {}
            click.echo(json.dumps(plan.to_json(price) | changes))
        else:
            print_plan(plan, price, change)
    for line in unplanned:
        click.echo(f"No plan of {line}", err=True)
    if len(planned) > 1 and not unplanned and not as_json:
        print_plans_together(planned, price)


@examples("cauldron sources", "cauldron sources --json")
@click.command("sources")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def sources_command(as_json: bool) -> None:
    """List all sources with licence, size, images and access."""
    from cauldron.inspect.tables.sources import print_sources, source_lines

    if as_json:
        click.echo(json.dumps(source_lines(), indent=1))
    else:
        print_sources()


@examples("cauldron sample ./cauldron-sample")
@click.command("sample")
@click.argument("folder")
@click.option("--rows", type=click.IntRange(min=1), default=24, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def sample_command(folder: str, rows: int, seed: int) -> None:
    """Generate a miniature hub in FOLDER: every source in its published layout."""
    from cauldron.sample import write_sample_hub

    with shown("sample", say, silent) as progress:
        write_sample_hub(folder, seed=seed, rows=rows, track=progress.track)
    click.echo(f"A miniature hub is in {folder}; build it with:")
    click.echo(f"  {program()} build sample --root {shlex.quote(folder)}")
