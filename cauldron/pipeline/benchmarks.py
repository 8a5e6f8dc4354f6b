"""Benchmarks as corpora: found, fingerprinted and ingested like sources, in folders of their own.

``benchmarks/<name>/<fingerprint>/`` holds the same files as a corpus; unreadable rows are in
``quarantine/benchmarks/<name>/<fingerprint>/``. A benchmark is not training data: no rule of the
recipe filters or changes a row, its tokenizer is not needed, and pictures are limited only in
pixels, to protect this machine. ``--limit`` does not apply: rows that are not read would not be
kept out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import PIL
import pyarrow
import pyarrow.parquet as pq

from cauldron.core import storage
from cauldron.core.errors import CauldronError, SourceUnavailable, UsageError
from cauldron.core.fingerprints import fingerprint
from cauldron.core.names import plain_name
from cauldron.core.output.manifests import CorpusManifest, benchmark_folder, quarantine_folder
from cauldron.core.sections.rules import ImageRules, LanguageRules, TextRules
from cauldron.core.tokenizer import ESTIMATE
from cauldron.pipeline.corpora import PlannedCorpus
from cauldron.pipeline.runners.options import check_reach
from cauldron.recipe import Recipe
from cauldron.sources.base import PIECE_BYTES
from cauldron.sources.benchmarks import BenchmarkSource, Place, find_place
from cauldron.sources.benchmarks.selection import Selection
from cauldron.sources.benchmarks.values import IMAGE_SUFFIXES
from cauldron.sources.repos.files import Root
from cauldron.sources.repos.roots import open_root
from cauldron.transforms.ingest import INGEST_VERSION, SourceJob
from cauldron.transforms.normalise import SourceSettings

__all__ = [
    "PlannedBenchmark",
    "benchmark_folder",
    "check_benchmarks",
    "check_benchmarks_reach",
    "plan_benchmarks",
]

# Part of every benchmark's fingerprint. Raise it when the same files would be read differently.
BENCHMARKS_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class PlannedBenchmark(PlannedCorpus):
    """A benchmark of a build: where it is read from and where its corpus goes."""

    source: BenchmarkSource

    def job(self, root: str | None) -> SourceJob:
        return replace(super().job(root), source=self.source, repo=self.repo)


def plan_benchmarks(
    recipe: Recipe, root: str | None, output: str, against: Mapping[str, str]
) -> list[PlannedBenchmark]:
    """Find every benchmark and fingerprint its corpus.

    Args:
        root: where repositories live; None for the hub.
        against: places by name, as in ``--against NAME=PATH``.

    Raises:
        UsageError: a name is not allowed, or there is nothing at a place.
        SourceUnavailable: missing, gated, incomplete, or nothing in it can be read.
    """
    opened = open_root(root)
    return [_plan(recipe, opened, output, name, path) for name, path in against.items()]


def _plan(recipe: Recipe, root: Root, output: str, name: str, path: str) -> PlannedBenchmark:
    try:
        plain_name(name)
        place = find_place(path, root)
        source = BenchmarkSource(
            name=name, repo=place.repo.id, title=name, license="unknown", place=place
        )
        selected = source.selection()
    except SourceUnavailable as error:
        raise SourceUnavailable(f"--against {name}={path}", error.why, error.remedy) from error
    except (UsageError, ValueError) as error:
        raise UsageError(f"--against {name}={path}: {error}") from error
    settings = _settings(recipe, name)
    digest = _fingerprint(name, place, selected, settings)
    return PlannedBenchmark(
        source=source,
        repo=place.repo,
        files=selected.files,
        settings=settings,
        revision=place.revision,
        fingerprint=digest,
        folder=benchmark_folder(output, name, digest),
        beside=(quarantine_folder(output, f"benchmarks/{name}", digest),),
    )


def _settings(recipe: Recipe, name: str) -> SourceSettings:
    return SourceSettings(
        source=name,
        license="unknown",
        images=ImageRules(hard_max_pixels=recipe.images.hard_max_pixels),
        text=TextRules(fix_punctuation=False, max_turns=2**31),
        language=LanguageRules(identify=False),
        classifiers=(),
        tokenizer=ESTIMATE,
        options={},
    )


def _fingerprint(name: str, place: Place, selected: Selection, settings: SourceSettings) -> str:
    versions = [BENCHMARKS_VERSION, INGEST_VERSION, PIECE_BYTES]
    beside = "".join(f"{file.path}\0{file.size}\0{file.version}\n" for file in selected.beside)
    return fingerprint(
        {
            "version": [*versions, PIL.__version__, pyarrow.__version__],
            "name": name,
            "commit": place.repo.commit,
            "files": [[file.path, file.size, file.version] for file in selected.files],
            "beside": hashlib.sha256(beside.encode()).hexdigest(),
            "hard_max_pixels": settings.images.hard_max_pixels,
        }
    )


def check_benchmarks_reach(
    planned: Sequence[PlannedBenchmark], beam_args: Sequence[str], shared_folders: bool
) -> None:
    """Raises UsageError if remote workers cannot reach a benchmark."""
    for benchmark in planned:
        if benchmark.repo.commit is None:
            place = {f"against {benchmark.source.name}": benchmark.repo.url}
            check_reach(beam_args, place, shared_folders)


def check_benchmarks(
    planned: Sequence[PlannedBenchmark],
    manifests: Sequence[CorpusManifest],
    output: str,
    texts: bool = True,
) -> None:
    """Look at what became of benchmarks.

    Args:
        texts: the recipe compares texts, so a benchmark without pictures is of use.

    Raises:
        CauldronError: a benchmark holds nothing to compare, or an image file of its folder cannot
            be read.
    """
    for benchmark, manifest in zip(planned, manifests, strict=True):
        name = manifest.source
        if not manifest.counts.images and (not texts or benchmark.source.pictured(benchmark.repo)):
            why = "" if texts else ", and the recipe does not compare texts (against: texts)"
            raise CauldronError(
                f"benchmark {name}: no picture in any of the {manifest.counts.rows_in} rows of "
                f"{manifest.repo}{why}; nothing can be kept out by it"
            )
        if unread := _unread_files(manifest, output):
            more = f" and {len(unread) - 3} more" if len(unread) > 3 else ""
            raise CauldronError(
                f"benchmark {name}: cannot read {', '.join(unread[:3])}{more} of {manifest.repo}, "
                "so copies would stay in the training data; mend or remove the files"
            )


def _unread_files(manifest: CorpusManifest, output: str) -> list[str]:
    """Image files of a folder that are in quarantine, with the reason. Rows of tables are not
    counted: `max_bad_fraction` is for those."""
    folder = quarantine_folder(output, f"benchmarks/{manifest.source}", manifest.fingerprint)
    found = []
    for part in manifest.parts:
        if part.quarantine is not None:
            with storage.open_read(storage.join(folder, part.quarantine.name)) as file:
                rows = pq.read_table(file, columns=["reason", "origin"]).to_pylist()
            found += [(row["origin"]["file"], row["reason"]) for row in rows]
    return [f"{path} ({reason})" for path, reason in found if path.lower().endswith(IMAGE_SUFFIXES)]
