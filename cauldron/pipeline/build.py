"""`cauldron build`: fetch, ingest, curate and mix, each skipped when it is done.

On a remote runner that is at most 3 + n jobs for n stages: one fetches the images of sources that
are known by URLs, if there are any, one ingests all sources and benchmarks, one matches and curates
for all stages, and one mixes each stage. On this machine every step is a job of its own.
"""

from __future__ import annotations

import os

from cauldron.core import storage
from cauldron.core.errors import UsageError
from cauldron.core.output.manifests import MixtureManifest
from cauldron.core.progress import Say, Track
from cauldron.pipeline.benchmarks import (
    check_benchmarks,
    check_benchmarks_reach,
    plan_benchmarks,
)
from cauldron.pipeline.corpora import BuildOptions, check_drops, plan_corpora
from cauldron.pipeline.curate import CurateRequest, curate_stage
from cauldron.pipeline.fetch import fetch, with_finished_fetches
from cauldron.pipeline.ingest import ingest
from cauldron.pipeline.mix import MixRequest, mix
from cauldron.pipeline.runners.options import check_arguments, check_reach
from cauldron.pipeline.runners.runner import Launcher
from cauldron.pipeline.space import check_plan
from cauldron.pipeline.together import curate_together
from cauldron.sources.repos.folders import is_folder

__all__ = ["BuildOptions", "build"]


def build(options: BuildOptions, say: Say, track: Track | None = None) -> list[MixtureManifest]:
    """Build the mixtures of the asked stages.

    After a killed build, the same call resumes where it was and ends in the same bytes.

    Args:
        say: receives one line at a time about the progress.
        track: is told how far each job is; by default in lines too.

    Raises:
        cauldron.core.errors.CauldronError: with one line on what failed and what to do; also
            when another build is writing to the same folder of the output.
    """
    recipe = options.recipe
    check_arguments(options.beam_args)
    places = {"output": options.output, "root": options.root}
    check_reach(options.beam_args, places, options.shared_folders)
    _check_places(options)
    # A benchmark that is not where it should be stops the build before any work.
    against = plan_benchmarks(recipe, options.root, options.output, recipe.against.benchmarks)
    planned, missing = plan_corpora(options)
    for item in missing:
        say(f"without {item.source}: {item.why}")
    if options.refetch is None:
        planned = with_finished_fetches(planned, options.output)
    check_plan(options, planned)
    check_benchmarks_reach(against, options.beam_args, options.shared_folders)
    launcher = Launcher(options.beam_args, say, track, options.few_jobs, options.output)
    planned = fetch(planned, options, launcher)
    made = ingest([*planned, *against], options, launcher)
    corpora = {item.source: item for item in made[: len(planned)]}
    benchmarks = {item.source: item for item in made[len(planned) :]}
    check_drops(recipe, corpora)
    texts = recipe.against.texts is not None
    check_benchmarks(against, made[len(planned) :], options.output, texts)
    rows = CurateRequest(recipe, options.output, corpora, benchmarks)
    stages = options.stages or tuple(recipe.stages)
    curations = curate_together(rows, stages, launcher) if launcher.in_one_graph else {}
    mixtures = []
    for stage in stages:
        curation = curations.get(stage) or curate_stage(rows, stage, launcher)
        check = not options.skip_disk_check
        mixture = MixRequest(recipe, stage, options.output, corpora, curation, missing, check)
        mixtures.append(mix(mixture, launcher))
    return mixtures


def _check_places(options: BuildOptions) -> None:
    """Raises UsageError if there is no such root, or the output cannot be opened at all."""
    storage.filesystem(options.output)
    root = options.root
    if root is not None and storage.is_local(root) and not is_folder(os.path.expanduser(root)):
        raise UsageError(f"--root {root}: no such folder; it holds <org>/<name>/ like the hub")
