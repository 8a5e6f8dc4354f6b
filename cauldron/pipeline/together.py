"""Matching and curation of all stages in one job, for runners whose jobs take minutes to start.

The steps are those of `match.py`, `curate.py` and `decide.py`, and write the same files. This
process makes the graph, waits, and writes the manifests from the summaries of the markers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam

from cauldron.core.output.manifests import CurationManifest, MatchManifest
from cauldron.pipeline.curate import (
    CurateRequest,
    Curation,
    curation_of,
    find_step,
    tell_reviews,
)
from cauldron.pipeline.decide import curation_manifest, decide_step
from cauldron.pipeline.match import MatchPictures, MatchRequest, match_manifest
from cauldron.pipeline.runners.runner import Job, Launcher, job_name
from cauldron.pipeline.step import Step, make_steps
from cauldron.transforms.matching.texts import TextJob


def curate_together(
    request: CurateRequest, stages: Sequence[str], launcher: Launcher
) -> dict[str, CurationManifest]:
    """The decisions for all stages, made in one job.

    The job is one graph: the matchings, one after the other because each takes verdicts over from
    those before; then for each curation its clusters and its contamination, at the same time; then
    its decisions. What stages have in common is done once.
    """
    curations = {stage: curation_of(request, stage) for stage in stages}
    of_stage = {stage: item.step.folder for stage, item in curations.items()}
    by_folder = {item.step.folder: item for item in curations.values()}
    matchings = {
        item.matching.folder: item.matching
        for item in by_folder.values()
        if item.matching is not None
    }
    steps: dict[str, Step[Any]] = {
        **{folder: item.step for folder, item in matchings.items()},
        **{folder: item.step for folder, item in by_folder.items()},
    }

    def build(folders: list[str]) -> Iterator[MatchManifest | CurationManifest]:
        for folder in folders:
            if folder in by_folder:
                by_folder[folder].hand_over()
        graph = _Graph(
            [matchings[folder] for folder in folders if folder in matchings],
            [by_folder[folder] for folder in folders if folder in by_folder],
        )
        name = job_name(request.recipe.name, stages, "match-curate", request.output)
        rows = sum(item.counts.kept for item in request.corpora.values())
        about = f"{rows:,} rows for {', '.join(stages)}"
        launcher.submit(Job("match and curate", name, about, [0], graph, 0, graph.markers()))
        for folder in folders:
            if folder in matchings:
                yield match_manifest(matchings[folder])
            else:
                item = by_folder[folder]
                yield curation_manifest(item.decisions, item.corpora, item.found())

    made = make_steps("match and curate", steps, build, launcher.say)
    for folder in by_folder:
        tell_reviews(made[folder], launcher)
    return {stage: made[folder] for stage, folder in of_stage.items()}


class _Graph(beam.PTransform):
    """Matchings and curations in one graph. Anything in; markers and files are what comes out."""

    def __init__(self, matchings: Sequence[MatchRequest], curations: Sequence[Curation]) -> None:
        super().__init__()
        self._matchings, self._curations = matchings, curations

    def expand(self, begin: beam.PCollection[Any]) -> list[beam.PCollection[Any]]:
        done, ends = begin, []
        matched: dict[str, beam.PCollection[Any]] = {}
        for number, matching in enumerate(self._matchings):
            label = f"Match {number + 1}"
            done = done | label >> MatchPictures(matching, self._matchings[:number])
            matched[matching.folder] = done
        for number, item in enumerate(self._curations):
            start = begin if item.matching is None else matched.get(item.matching.folder, begin)
            name = f"Curate {number + 1}"
            if item.reviews is not None:
                start = start | f"{name}: reviews" >> find_step(item.reviews)
            if item.finds:
                found = [
                    # Texts need no verdicts.
                    (begin if isinstance(job, TextJob) else start)
                    | f"{name}: {job.STEM}" >> find_step(job)
                    for job in item.finds
                ]
                start = found | f"{name}: found" >> beam.Flatten()
            ends.append(start | f"{name}: decisions" >> decide_step(item.decisions))
        return ends or [done]

    def markers(self) -> list[str]:
        """Of the files that tell how far the graph is."""
        steps = [MatchPictures(matching).markers() for matching in self._matchings]
        reviews = [item.reviews for item in self._curations if item.reviews is not None]
        finds = [*reviews, *(job for item in self._curations for job in item.finds)]
        steps += [job.markers.paths() for job in finds]
        steps += [item.decisions.markers.paths() for item in self._curations]
        return [path for paths in steps for path in paths]
