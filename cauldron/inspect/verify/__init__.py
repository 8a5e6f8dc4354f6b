"""``cauldron verify``: prove from the files that no row vanished and no byte changed.

Everything is read again. Each file is checked against its SHA-256, each record of a record file
against its row, each image against its digest, a few images of each part against their perceptual
hashes. Rows, tokens and reasons are counted and compared with the manifests, and the manifests
with each other. Each thread holds one record or row group in
memory; DuckDB's joins spill to disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output.finished import Finished, find_finished
from cauldron.core.output.manifests import DATA, MANIFEST, CorpusPart, MixtureManifest, RowFile
from cauldron.inspect.database import open_database
from cauldron.inspect.verify.corpus import Counted, Place, check_part, corpus_problems, places
from cauldron.inspect.verify.curation import curation_problems
from cauldron.inspect.verify.files import check_file, unlisted_files
from cauldron.inspect.verify.mixture import manifest_problems, mixture_problems, shard_problems
from cauldron.inspect.verify.ratings import rating_problems

Progress = Callable[[int, int], None]
_Task = tuple[int, Callable[[], list[str]]]


def verify(out: str, progress: Progress | None = None) -> list[str]:
    """Check a whole output folder.

    Args:
        out: local or ``gs://``.
        progress: called after every file or part with the bytes read so far and the total.

    Returns:
        the problems, a line each with the file and the figures; empty if there are none.

    Raises:
        CauldronError: the folder holds nothing finished, or a manifest is invalid.
    """
    found = find_finished(out)
    if not (found.mixtures or found.corpora or found.curations):
        raise CauldronError(f"{out}: nothing finished to verify, there is no {MANIFEST} in it")
    corpora = places(found)
    reports: dict[str, list[Counted]] = {corpus.folder: [] for corpus in corpora}
    tasks = [*_corpus_tasks(out, corpora, reports), *_listed_tasks(found), *_shard_tasks(found)]
    problems = _run(tasks, progress)
    for corpus in corpora:
        problems += corpus_problems(corpus, reports[corpus.folder])
        problems += _unlisted_in_corpus(out, corpus)
    for folder, files in _listed(found):
        problems += unlisted_files(out, folder, {file.name for file in files} | {MANIFEST})
    for mixture in found.mixtures.values():
        problems += _unlisted_in_mixture(out, mixture)
        problems += manifest_problems(mixture, found)
    return problems + _joins(found)


def _run(tasks: list[_Task], progress: Progress | None) -> list[str]:
    """Run the tasks in threads: hashing and reading release the interpreter's lock."""
    total, done = sum(size for size, _ in tasks), 0
    problems: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda task: task[1](), tasks)
        for (size, _), lines in zip(tasks, results, strict=True):
            problems += lines
            done += size
            if progress is not None:
                progress(done, total)
    return problems


def _corpus_tasks(
    out: str, corpora: list[Place], reports: dict[str, list[Counted]]
) -> Iterable[_Task]:
    for corpus in corpora:
        for part in corpus.manifest.parts:
            files = (part.parquet, part.pack, part.quarantine)
            size = sum(file.bytes for file in files if file is not None)
            yield size, partial(_report, out, corpus, part, reports)


def _report(
    out: str, corpus: Place, part: CorpusPart, reports: dict[str, list[Counted]]
) -> list[str]:
    report = check_part(out, corpus, part)
    reports[corpus.folder].append(report)
    return report.problems


def _listed(found: Finished) -> Iterable[tuple[str, list[RowFile]]]:
    """Folders without special checks, and the files in their manifests."""
    for name, matches in found.matches.items():
        yield f"matches/{name}", matches.files
    for name, curation in found.curations.items():
        yield f"curation/{name}", list(curation.files)
    for (source, name), ratings in found.ratings.items():
        yield f"ratings/{source}/{name}", ratings.parts


def _listed_tasks(found: Finished) -> Iterable[_Task]:
    for folder, files in _listed(found):
        for file in files:
            yield file.bytes, partial(check_file, found.out, folder, file)


def _shard_tasks(found: Finished) -> Iterable[_Task]:
    for mixture in found.mixtures.values():
        folder = f"{mixture.folder}/{mixture.data}"
        for shard in mixture.shards:
            yield shard.bytes, partial(shard_problems, found.out, folder, shard)


def _unlisted_in_corpus(out: str, corpus: Place) -> list[str]:
    parts = corpus.manifest.parts
    own = {part.parquet.name for part in parts} | {part.pack.name for part in parts if part.pack}
    rejects = {part.quarantine.name for part in parts if part.quarantine}
    return [
        *unlisted_files(out, corpus.folder, own | {MANIFEST}),
        *unlisted_files(out, corpus.rejects, rejects),
    ]


def _unlisted_in_mixture(out: str, mixture: MixtureManifest) -> list[str]:
    """Shards of an unfinished build lie in a folder of their own, which no reader uses."""
    folder, own = mixture.folder, {shard.name for shard in mixture.shards}
    problems = unlisted_files(out, folder, {MANIFEST, "README.md"})
    problems += unlisted_files(out, f"{folder}/{DATA}", set())
    problems += unlisted_files(out, f"{folder}/{mixture.data}", own)
    if not storage.exists(storage.join(out, folder, "README.md")):
        problems.append(f"{folder}/README.md: missing, a mixture has a card")
    return problems


def _joins(found: Finished) -> list[str]:
    """Problems that are found by joining rows of several files."""
    problems = []
    with open_database(found.out, sorted(_all_parquet(found))) as connection:
        for curation in found.curations.values():
            problems += curation_problems(connection, found, curation)
            problems += rating_problems(connection, found, curation)
        for mixture in found.mixtures.values():
            problems += mixture_problems(connection, found, mixture)
    return problems


def _all_parquet(found: Finished) -> Iterable[str]:
    for corpus in found.corpora.values():
        yield from corpus.tables()
    for benchmark in found.benchmarks.values():
        yield from benchmark.tables("benchmarks")
    for curation in found.curations.values():
        yield from curation.paths([*curation.buckets, *curation.clusters, *curation.contamination])
    for ratings in found.ratings.values():
        yield from ratings.tables()
    for mixture in found.mixtures.values():
        yield from mixture.shard_paths


__all__ = ["Progress", "verify"]
