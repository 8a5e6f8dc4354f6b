"""`cauldron build`: ingest, curate and mix, each skipped when it is done."""

from __future__ import annotations

import os

from cauldron.core import storage
from cauldron.core.errors import UsageError
from cauldron.core.output.manifests import MixtureManifest
from cauldron.core.progress import Say, Track
from cauldron.pipeline.benchmarks import ingest_benchmarks, plan_benchmarks
from cauldron.pipeline.corpora import BuildOptions, check_drops, plan_corpora
from cauldron.pipeline.curate import CurateRequest, curate_stage
from cauldron.pipeline.ingest import ingest
from cauldron.pipeline.mix import MixRequest, mix
from cauldron.pipeline.options import check_arguments, check_reach
from cauldron.pipeline.runner import Launcher
from cauldron.pipeline.space import check_plan
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
    check_plan(options, planned)
    launcher = Launcher(options.beam_args, say, track)
    corpora = ingest(planned, options, launcher)
    check_drops(recipe, corpora)
    texts = recipe.against.texts is not None
    benchmarks = ingest_benchmarks(against, options, launcher, texts)
    rows = CurateRequest(recipe, options.output, corpora, benchmarks)
    mixtures = []
    for stage in options.stages or recipe.stages:
        curation = curate_stage(rows, stage, launcher)
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
