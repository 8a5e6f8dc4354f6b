"""The ingest step: pieces of the corpora that are not there yet, the job, and the manifests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import apache_beam as beam

from cauldron.core import storage
from cauldron.core.counts import CorpusCounts
from cauldron.core.errors import CauldronError
from cauldron.core.manifests import (
    MANIFEST,
    CorpusManifest,
    CorpusPart,
    PublishedFile,
    Tokenizer,
)
from cauldron.pipeline import runner
from cauldron.pipeline.corpora import PlannedCorpus, Request
from cauldron.sources.base import Piece
from cauldron.sources.files import Root
from cauldron.transforms.ingest import IngestPieces, PieceWork
from cauldron.transforms.parts import PartCounts, PartNames, finished_parts
from cauldron.transforms.tokens import token_counter

Say = Callable[[str], None]


def ingest(
    planned: Iterable[PlannedCorpus], request: Request, beam_args: list[str], say: Say
) -> dict[str, CorpusManifest]:
    """Make the corpora that are not there yet; returns the manifests of all, by source.

    Raises:
        CauldronError: the job failed, or a source lost more than `max_bad_fraction`.
    """
    manifests = {}
    todo: list[PlannedCorpus] = []
    for corpus in planned:
        found = corpus.finished()
        if found is None:
            todo.append(corpus)
        else:
            manifests[corpus.source.name] = found
    if manifests:
        say(f"ingest: {len(manifests)} corpora are there already")
    pieces = cut_pieces(todo, request)
    work = _unfinished(todo, pieces)
    if work:
        _run_ingest(todo, work, request, beam_args, say)
    marks = {corpus.source.name: finished_parts(corpus.folder) for corpus in todo}
    _check_losses(todo, pieces, marks, request.recipe.max_bad_fraction)
    counter = token_counter(request.recipe.tokenizer)
    tokenizer = Tokenizer(name=counter.name, estimated=counter.estimated, digest=counter.digest())
    for corpus in todo:
        name = corpus.source.name
        manifests[name] = _finish(corpus, len(pieces[name]), marks[name], tokenizer)
    return {corpus.source.name: manifests[corpus.source.name] for corpus in planned}


def cut_pieces(todo: list[PlannedCorpus], request: Request) -> dict[str, list[Piece]]:
    """Pieces of every source. Reads file footers only, so many at a time."""
    root = Root.open(request.root)

    def cut(corpus: PlannedCorpus) -> list[Piece]:
        options = corpus.settings.options
        return corpus.source.pieces(root, corpus.repo, options, request.limit)

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(cut, todo))
    return {corpus.source.name: item for corpus, item in zip(todo, found, strict=True)}


def _unfinished(todo: list[PlannedCorpus], pieces: Mapping[str, list[Piece]]) -> list[PieceWork]:
    """The pieces without a marker, largest first: local runners deal them out once, in turn."""
    work = []
    for corpus in todo:
        name = corpus.source.name
        done = {mark["part"] for mark in finished_parts(corpus.folder)}
        parts = len(pieces[name])
        work += [
            PieceWork(name, part, parts, piece)
            for part, piece in enumerate(pieces[name])
            if part not in done
        ]
    return sorted(work, key=lambda item: (-item.piece.size, item.source, item.part))


def _run_ingest(
    todo: list[PlannedCorpus],
    work: list[PieceWork],
    request: Request,
    beam_args: list[str],
    say: Say,
) -> None:
    jobs = {corpus.source.name: corpus.job(request.root) for corpus in todo}
    size = sum(item.piece.size for item in work)
    say(f"ingest: {len(work)} pieces of {len(todo)} sources, {size / 1e6:,.0f} MB")
    markers = [PartNames(jobs[w.source].corpus, "", w.part, w.parts).marker for w in work]

    def build(pipeline: beam.Pipeline) -> None:
        _ = (
            pipeline
            | "Pieces" >> beam.Create(work, reshuffle=False)
            | "Ingest" >> IngestPieces(jobs)
        )

    watch = runner.progress("ingest", markers, say)
    runner.run("ingest", build, beam_args, size, watch)


def _finish(
    corpus: PlannedCorpus, parts: int, marks: list[dict[str, Any]], tokenizer: Tokenizer
) -> CorpusManifest:
    """Write the manifest, last of all."""
    assert [mark["part"] for mark in marks] == list(range(parts)), corpus.folder
    counts = CorpusCounts(**_sum_counts(marks))
    assert counts.rows_in == counts.accounted, f"rows of {corpus.source.name} vanished"
    manifest = CorpusManifest(
        source=corpus.source.name,
        fingerprint=corpus.fingerprint,
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
    for folder in (corpus.folder, corpus.quarantine):
        storage.remove_temporaries(folder)
    storage.write_json(storage.join(corpus.folder, MANIFEST), manifest.model_dump(mode="json"))
    storage.remove(storage.join(corpus.folder, "_done"))
    return manifest


def _sum_counts(marks: list[dict[str, Any]]) -> dict[str, Any]:
    total = PartCounts()
    for mark in marks:
        for name, value in mark["counts"].items():
            if isinstance(value, dict):
                getattr(total, name).update(Counter(value))
            else:
                setattr(total, name, getattr(total, name) + value)
    return total.to_json()


def _check_losses(
    todo: list[PlannedCorpus],
    pieces: Mapping[str, list[Piece]],
    marks: Mapping[str, list[dict[str, Any]]],
    limit: float,
) -> None:
    """Raise CauldronError with a line for every source that lost more than `limit`."""
    lines = []
    for corpus in todo:
        name = corpus.source.name
        counts = _sum_counts(marks[name])
        lost = sum(counts["quarantined"].values())
        by_rows = lost / max(1, counts["rows_in"])
        # An unreadable file counts as one row, since nobody can tell how many it held: its bytes
        # say better how much is gone.
        unread = sum(piece.size for piece in pieces[name] if piece.reason)
        by_bytes = unread / max(1, sum(piece.size for piece in pieces[name]))
        if max(by_rows, by_bytes) > limit:
            reasons = ", ".join(f"{reason} {n}" for reason, n in counts["quarantined"].items())
            lines.append(
                f"{name} lost {max(by_rows, by_bytes):.1%} to unreadable input ({reasons}), "
                f"listed in {corpus.quarantine}"
            )
    if lines:
        raise CauldronError(
            f"more than max_bad_fraction {limit:.1%} is gone; mend the files or raise it: "
            + "; ".join(lines)
        )
