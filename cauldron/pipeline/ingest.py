"""The ingest step: the corpora that are missing, made from pieces of their sources in one job.

What this process does grows with the published files and the pieces, not with rows or bytes: one
request for each published file whose footer says how it is cut, one listing per 1,000 markers of
each unfinished corpus, and 0.4 kB of memory for each piece (64 MiB of a source) until the job
begins: the pieces are then in a file that workers read. What the parts hold is added up by the job:
one file is read for each corpus. Of its lines 0.1 kB each stay, compressed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output.compact import CompactList
from cauldron.core.output.counts import CorpusCounts
from cauldron.core.output.manifests import (
    CorpusManifest,
    CorpusPart,
    PublishedFile,
    Tokenizer,
)
from cauldron.core.output.markers import Markers, marker_folder
from cauldron.core.reasons import NOT_FETCHED
from cauldron.pipeline.corpora import BuildOptions, PlannedCorpus
from cauldron.pipeline.runners.runner import Job, Launcher, job_name
from cauldron.pipeline.step import make_steps
from cauldron.sources.base import Piece
from cauldron.sources.repos.roots import open_root
from cauldron.transforms.ingest import IngestPieces, PieceWork, write_work
from cauldron.transforms.parts import PartCounts, part_markers
from cauldron.transforms.tokens import token_counter


class _Made(NamedTuple):
    """What the parts of a corpus hold."""

    parts: CompactList[CorpusPart]
    counts: dict[str, Any]
    lost_bytes: int


def ingest(
    planned: Sequence[PlannedCorpus], options: BuildOptions, launcher: Launcher
) -> list[CorpusManifest]:
    """The manifests of all corpora, in order; those that are missing are made first, in one job.

    Raises:
        CauldronError: the job failed, or a source lost more than `max_bad_fraction`.
    """
    # Not by name: a benchmark may have that of a source.
    corpora = {corpus.folder: corpus for corpus in planned}

    def build(folders: list[str]) -> list[CorpusManifest]:
        return _ingest([corpora[folder] for folder in folders], options, launcher)

    return list(make_steps("ingest", corpora, build, launcher.say).values())


def _ingest(
    todo: list[PlannedCorpus], options: BuildOptions, launcher: Launcher
) -> list[CorpusManifest]:
    markers = _write_parts(todo, options, launcher)
    made = [_read(item) for item in markers]
    _check_losses(todo, made, options.recipe.max_bad_fraction)
    specs = {corpus.settings.tokenizer for corpus in todo}
    tokenizers = {spec: _tokenizer(spec) for spec in specs}
    return [
        _manifest(corpus, item.count, done, tokenizers[corpus.settings.tokenizer])
        for corpus, item, done in zip(todo, markers, made, strict=True)
    ]


def _write_parts(
    todo: list[PlannedCorpus], options: BuildOptions, launcher: Launcher
) -> list[Markers]:
    """Run the job, unless all parts are there. The markers of all corpora, which are summed up."""
    markers, job = _planned(todo, options)
    if job is not None:
        launcher.submit(job)
    return markers


def _planned(todo: list[PlannedCorpus], options: BuildOptions) -> tuple[list[Markers], Job | None]:
    """The markers of all corpora, and the job for those that are not summed up. The pieces are in
    its file of work, and no longer here while it runs."""
    pieces = cut_pieces(todo, options.root)
    markers = [part_markers(c.folder, len(own)) for c, own in zip(todo, pieces, strict=True)]
    unsummed = {item.folder: item for item in markers if not item.is_summed()}
    if not unsummed:
        return markers, None
    return markers, _job(todo, _unfinished(todo, pieces, unsummed), unsummed, options)


def cut_pieces(todo: list[PlannedCorpus], root: str | None) -> list[list[Piece]]:
    """Pieces of every source. Reads file footers only, so many at a time."""
    opened = open_root(root)

    def cut(corpus: PlannedCorpus) -> list[Piece]:
        return corpus.source.pieces(opened, corpus.repo, corpus.settings.options, corpus.limit)

    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(cut, todo))


def _unfinished(
    todo: list[PlannedCorpus], pieces: list[list[Piece]], markers: Mapping[str, Markers]
) -> list[PieceWork]:
    """The pieces without a marker, largest first: local runners assign them once, in turn."""
    work = []
    for corpus, own in zip(todo, pieces, strict=True):
        if corpus.folder in markers:
            numbers = markers[corpus.folder].missing()
            work += [PieceWork(corpus.folder, n, len(own), own[n]) for n in numbers]
    return sorted(work, key=lambda item: (-item.piece.size, item.corpus, item.part))


def _job(
    todo: list[PlannedCorpus],
    work: list[PieceWork],
    markers: Mapping[str, Markers],
    options: BuildOptions,
) -> Job:
    path = storage.join(marker_folder(next(iter(markers))), "work.jsonl")
    write_work(path, work)
    jobs = {corpus.folder: corpus.job(options.root) for corpus in todo if corpus.folder in markers}
    size = sum(item.piece.size for item in work)
    about = f"{len(work)} pieces of {len(jobs)} sources, {size / 1e6:,.0f} MB"
    stages = options.stages or tuple(options.recipe.stages)
    name = job_name(options.recipe.name, stages, "ingest", options.output)
    parts = [markers[item.corpus].path(item.part) for item in work]
    return Job("ingest", name, about, [0], IngestPieces(path, jobs, markers), size, parts)


def _manifest(
    corpus: PlannedCorpus, pieces: int, made: _Made, tokenizer: Tokenizer
) -> CorpusManifest:
    assert len(made.parts) == pieces, corpus.folder
    counts = CorpusCounts(**made.counts)
    assert counts.rows_in == counts.accounted, f"rows of {corpus.source.name} vanished"
    return CorpusManifest(
        source=corpus.source.name,
        fingerprint=corpus.fingerprint,
        limit=corpus.limit,
        repo=corpus.source.repo,
        revision=corpus.revision,
        commit=corpus.repo.commit,
        license=corpus.source.license,
        tokenizer=tokenizer,
        notes=corpus.source.notes(corpus.repo, corpus.settings.options),
        files=CompactList(
            PublishedFile,
            (
                PublishedFile(path=file.path, size=file.size, version=file.version)
                for file in corpus.files
            ),
        ),
        parts=made.parts,
        counts=counts,
    )


def _tokenizer(spec: str) -> Tokenizer:
    counter = token_counter(spec)
    return Tokenizer(name=counter.name, estimated=counter.estimated, digest=counter.digest())


def _read(markers: Markers) -> _Made:
    total, lost = PartCounts(), 0

    def counted() -> Iterator[CorpusPart]:
        nonlocal lost
        for number, mark in enumerate(markers.read()):
            assert mark["part"] == number, markers.folder
            for name, value in mark.pop("counts").items():
                if isinstance(value, dict):
                    getattr(total, name).update(Counter(value))
                else:
                    setattr(total, name, getattr(total, name) + value)
            lost += mark.pop("lost_bytes", 0)  # the marker of an earlier version has none
            yield CorpusPart(**mark)

    parts = CompactList(CorpusPart, counted())
    return _Made(parts, total.to_json(), lost)


def _check_losses(todo: list[PlannedCorpus], made: list[_Made], limit: float) -> None:
    """Raise CauldronError with a line for every source that lost more than `limit`."""
    lines = []
    for corpus, (_, counts, lost_bytes) in zip(todo, made, strict=True):
        unread_rows = {r: n for r, n in counts["quarantined"].items() if r not in NOT_FETCHED}
        lost = sum(unread_rows.values())
        by_rows = lost / max(1, counts["rows_in"])
        # An unreadable file counts as one row, because its number of rows is unknown: its bytes
        # say better how much is lost.
        by_bytes = lost_bytes / max(1, counts["bytes_in"])
        if max(by_rows, by_bytes) > limit:
            reasons = ", ".join(f"{reason} {n}" for reason, n in unread_rows.items())
            lines.append(
                f"{corpus.source.name} lost {max(by_rows, by_bytes):.1%} to unreadable input "
                f"({reasons}), listed in {corpus.quarantine}"
            )
    if lines:
        raise CauldronError(
            f"more than max_bad_fraction {limit:.1%} is gone; mend the files or raise it: "
            + "; ".join(lines)
        )
