"""The ingest step: the corpora that are missing, made from pieces of their sources in one job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cauldron.core.errors import CauldronError
from cauldron.core.output.counts import CorpusCounts
from cauldron.core.output.manifests import (
    CorpusManifest,
    CorpusPart,
    PublishedFile,
    Tokenizer,
)
from cauldron.core.output.markers import missing
from cauldron.pipeline.corpora import BuildOptions, PlannedCorpus
from cauldron.pipeline.runner import Job, Launcher
from cauldron.pipeline.step import make_steps
from cauldron.sources.base import Piece
from cauldron.sources.repos.roots import open_root
from cauldron.transforms.ingest import IngestPieces, PieceWork
from cauldron.transforms.parts import PartCounts, PartNames, finished_parts
from cauldron.transforms.tokens import token_counter

Marks = list[dict[str, Any]]


def ingest(
    planned: Iterable[PlannedCorpus],
    options: BuildOptions,
    launcher: Launcher,
    name: str = "ingest",
) -> dict[str, CorpusManifest]:
    """The manifests of all corpora by source; those that are missing are made first.

    Args:
        name: of the step, for messages.

    Raises:
        CauldronError: the job failed, or a source lost more than `max_bad_fraction`.
    """
    corpora = {corpus.source.name: corpus for corpus in planned}

    def build(names: list[str]) -> list[CorpusManifest]:
        return _ingest([corpora[source] for source in names], options, launcher, name)

    return make_steps(name, corpora, build, launcher.say)


def _ingest(
    todo: list[PlannedCorpus], options: BuildOptions, launcher: Launcher, name: str
) -> list[CorpusManifest]:
    pieces = cut_pieces(todo, options.root)
    work = _unfinished(todo, pieces)
    if work:
        launcher.submit(_job(todo, work, options.root, name))
    marks = [finished_parts(c.folder, len(own)) for c, own in zip(todo, pieces, strict=True)]
    _check_losses(todo, pieces, marks, options.recipe.max_bad_fraction)
    specs = {corpus.settings.tokenizer for corpus in todo}
    tokenizers = {spec: _tokenizer(spec) for spec in specs}
    return [
        _manifest(corpus, own, done, tokenizers[corpus.settings.tokenizer])
        for corpus, own, done in zip(todo, pieces, marks, strict=True)
    ]


def cut_pieces(todo: list[PlannedCorpus], root: str | None) -> list[list[Piece]]:
    """Pieces of every source. Reads file footers only, so many at a time."""
    opened = open_root(root)

    def cut(corpus: PlannedCorpus) -> list[Piece]:
        return corpus.source.pieces(opened, corpus.repo, corpus.settings.options, corpus.limit)

    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(cut, todo))


def _unfinished(todo: list[PlannedCorpus], pieces: list[list[Piece]]) -> list[PieceWork]:
    """The pieces without a marker, largest first: local runners assign them once, in turn."""
    work = []
    for corpus, own in zip(todo, pieces, strict=True):
        parts = [PartNames(corpus.folder, "", part, len(own)) for part in range(len(own))]
        todo_parts = missing([part.marker for part in parts])
        work += [PieceWork(corpus.source.name, n, len(own), own[n]) for n in todo_parts]
    return sorted(work, key=lambda item: (-item.piece.size, item.source, item.part))


def _job(todo: list[PlannedCorpus], work: list[PieceWork], root: str | None, name: str) -> Job:
    jobs = {corpus.source.name: corpus.job(root) for corpus in todo}
    size = sum(item.piece.size for item in work)
    about = f"{len(work)} pieces of {len(todo)} sources, {size / 1e6:,.0f} MB"
    markers = [PartNames(jobs[w.source].corpus, "", w.part, w.parts).marker for w in work]
    return Job(name, name, about, work, IngestPieces(jobs), size, markers)


def _manifest(
    corpus: PlannedCorpus, pieces: list[Piece], marks: Marks, tokenizer: Tokenizer
) -> CorpusManifest:
    assert [mark["part"] for mark in marks] == list(range(len(pieces))), corpus.folder
    counts = CorpusCounts(**_sum_counts(marks))
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
        files=[
            PublishedFile(path=file.path, size=file.size, version=file.version)
            for file in corpus.files
        ],
        parts=[CorpusPart(**{k: v for k, v in mark.items() if k != "counts"}) for mark in marks],
        counts=counts,
    )


def _tokenizer(spec: str) -> Tokenizer:
    counter = token_counter(spec)
    return Tokenizer(name=counter.name, estimated=counter.estimated, digest=counter.digest())


def _sum_counts(marks: Marks) -> dict[str, Any]:
    total = PartCounts()
    for mark in marks:
        for name, value in mark["counts"].items():
            if isinstance(value, dict):
                getattr(total, name).update(Counter(value))
            else:
                setattr(total, name, getattr(total, name) + value)
    return total.to_json()


def _check_losses(
    todo: list[PlannedCorpus], pieces: list[list[Piece]], marks: list[Marks], limit: float
) -> None:
    """Raise CauldronError with a line for every source that lost more than `limit`."""
    lines = []
    for corpus, own, done in zip(todo, pieces, marks, strict=True):
        counts = _sum_counts(done)
        lost = sum(counts["quarantined"].values())
        by_rows = lost / max(1, counts["rows_in"])
        # An unreadable file counts as one row, because its number of rows is unknown: its bytes
        # say better how much is lost.
        unread = sum(piece.size for piece in own if piece.reason)
        by_bytes = unread / max(1, sum(piece.size for piece in own))
        if max(by_rows, by_bytes) > limit:
            reasons = ", ".join(f"{reason} {n}" for reason, n in counts["quarantined"].items())
            lines.append(
                f"{corpus.source.name} lost {max(by_rows, by_bytes):.1%} to unreadable input "
                f"({reasons}), listed in {corpus.quarantine}"
            )
    if lines:
        raise CauldronError(
            f"more than max_bad_fraction {limit:.1%} is gone; mend the files or raise it: "
            + "; ".join(lines)
        )
