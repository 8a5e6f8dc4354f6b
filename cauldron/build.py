"""`cauldron build`: ingest, curate and mix, each a Beam job, each skipped when it is done."""

from __future__ import annotations

from dataclasses import dataclass

from cauldron import mixing, runner
from cauldron.corpora import Request, plan_corpora
from cauldron.ingesting import Say, ingest
from cauldron.manifests import MixtureManifest
from cauldron.recipe import Recipe


@dataclass(frozen=True)
class BuildOptions:
    """What the user asked for.

    Attributes:
        stages: empty for all stages of the recipe.
        root: where sources live; None for the hub.
        limit: rows to read of each source, -1 for all.
        beam_args: options for Beam, as typed.
    """

    recipe: Recipe
    stages: tuple[str, ...]
    root: str | None
    output: str
    limit: int = -1
    skip_unavailable: bool = False
    beam_args: tuple[str, ...] = ()


def build(options: BuildOptions, say: Say) -> list[MixtureManifest]:
    """Build the mixtures of the asked stages.

    A killed build goes on where it was when called again, and ends in the same bytes.

    Args:
        say: receives one line at a time about the progress.

    Raises:
        cauldron.errors.CauldronError: with one line on what failed and what to do.
    """
    recipe = options.recipe
    runner.check_arguments(options.beam_args)
    runner.check_reach(options.beam_args, {"output": options.output, "root": options.root})
    stages = options.stages or tuple(recipe.stages)
    wanted = dict.fromkeys(name for stage in stages for name in recipe.stage(stage).mixture)
    request = Request(
        recipe=recipe,
        sources=tuple(wanted),
        root=options.root,
        output=options.output,
        limit=options.limit,
        skip_unavailable=options.skip_unavailable,
    )
    planned, missing = plan_corpora(request)
    for item in missing:
        say(f"without {item.source}: {item.why}")
    beam_args = list(options.beam_args)
    manifests = ingest(planned, request, beam_args, say)
    curation = mixing.curate(manifests, options.output, beam_args, say)
    return [
        mixing.mix(
            mixing.MixRequest(recipe, stage, options.output, manifests, curation, missing),
            beam_args,
            say,
        )
        for stage in stages
    ]
