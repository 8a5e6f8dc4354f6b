"""The ingest step: which corpora a build needs, which of them are there, and making the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import apache_beam as beam
import PIL
import pyarrow

from cauldron import runner, storage
from cauldron.errors import CauldronError, SourceUnavailable, UsageError
from cauldron.fingerprints import file_digest, fingerprint
from cauldron.manifests import (
    MANIFEST,
    CorpusCounts,
    CorpusManifest,
    CorpusPart,
    PublishedFile,
    Tokenizer,
    Unavailable,
    corpus_folder,
    quarantine_folder,
    read_manifest,
)
from cauldron.recipe import Recipe
from sources.base import PIECE_BYTES, Piece, Source, registry
from sources.files import FileInfo, Repo, Root
from transforms.ingest import INGEST_VERSION, IngestPieces, PieceWork, SourceJob
from transforms.language import default_model_path
from transforms.normalise import SourceSettings
from transforms.parts import PartCounts, PartNames, finished_parts
from transforms.tokens import token_counter

Say = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What a build asks of ingest."""

    recipe: Recipe
    sources: tuple[str, ...]
    root: str | None
    output: str
    limit: int = -1
    skip_unavailable: bool = False


@dataclass(frozen=True)
class PlannedCorpus:
    """One source of a build: where it is read from and where its corpus goes."""

    source: Source
    repo: Repo
    files: list[FileInfo]
    settings: SourceSettings
    revision: str | None
    fingerprint: str
    folder: str
    quarantine: str

    def finished(self) -> CorpusManifest | None:
        try:
            return read_manifest(CorpusManifest, self.folder)
        except FileNotFoundError:
            return None

    def job(self, root: str | None) -> SourceJob:
        return SourceJob(self.settings, root, self.repo.commit, self.folder, self.quarantine)


def plan_corpora(request: Request) -> tuple[list[PlannedCorpus], list[Unavailable]]:
    """Find every source and fingerprint what it would become.

    Returns:
        the sources that can be read, in the order asked, and those that cannot.

    Raises:
        UsageError: the recipe names a source that nobody knows.
        CauldronError: a source is unavailable and `skip_unavailable` is off.
    """
    known = registry()
    strange = [name for name in (*request.sources, *request.recipe.sources) if name not in known]
    if strange:
        raise UsageError(f"no such source: {', '.join(strange)}; see `cauldron sources`")
    root = Root.open(request.root)
    repos: dict[tuple[str, str | None], Repo | SourceUnavailable] = {}
    planned: list[PlannedCorpus] = []
    missing: list[Unavailable] = []
    for name in request.sources:
        try:
            planned.append(_plan(known[name], root, repos, request))
        except SourceUnavailable as error:
            missing.append(Unavailable(source=name, why=error.why, remedy=error.remedy))
    if missing and not request.skip_unavailable:
        lines = "\n".join(f"  {item.source}: {item.why}; {item.remedy}" for item in missing)
        raise CauldronError(
            f"{len(missing)} of {len(request.sources)} sources cannot be read "
            f"(--skip-unavailable builds without them):\n{lines}"
        )
    if not planned:
        raise CauldronError("none of the sources can be read; is --root right?")
    return planned, missing


def _plan(
    source: Source,
    root: Root,
    repos: dict[tuple[str, str | None], Repo | SourceUnavailable],
    request: Request,
) -> PlannedCorpus:
    recipe = request.recipe
    revision = recipe.source(source.name).revision
    key = (source.repo, revision)
    if key not in repos:
        try:
            repos[key] = root.repo(*key)
        except SourceUnavailable as error:
            repos[key] = error  # asked once, however many sources a repository holds
    repo = repos[key]
    if isinstance(repo, SourceUnavailable):
        raise repo
    settings = SourceSettings(
        source=source.name,
        license=source.license,
        images=recipe.image_rules(source.name),
        text=recipe.text_rules(source.name),
        language=recipe.language,
        classifiers=recipe.classifiers,
        tokenizer=recipe.tokenizer,
        options=dict(source.default_options) | recipe.source(source.name).options,
    )
    files = source.files(repo, settings.options)
    extra = source.extra_files(root, settings.options)
    print_ = fingerprint(
        {
            # Re-encoded images follow the libraries inside Pillow, files those inside pyarrow.
            "version": [INGEST_VERSION, PIECE_BYTES, PIL.__version__, pyarrow.__version__],
            "source": source.name,
            "commit": repo.commit,
            "files": [[file.path, file.size, file.version] for file in [*files, *extra]],
            "settings": _settings_values(settings),
            "limit": request.limit,
        }
    )
    return PlannedCorpus(
        source=source,
        repo=repo,
        files=files,
        settings=settings,
        revision=revision,
        fingerprint=print_,
        folder=corpus_folder(request.output, source.name, print_),
        quarantine=quarantine_folder(request.output, source.name, print_),
    )


def _settings_values(settings: SourceSettings) -> dict[str, Any]:
    """Settings as plain values, models by their content and not by where they lie."""
    rules = settings.language
    return {
        "license": settings.license,
        "images": settings.images.model_dump(),
        "text": settings.text.model_dump(),
        "options": dict(settings.options),
        "language": rules.model_dump(exclude={"model"}),
        "language_model": _model_digest(rules.model) if rules.identify else None,
        "classifiers": [
            item.model_dump(exclude={"model"}) | {"model": _model_digest(item.model)}
            for item in settings.classifiers
        ],
        "tokenizer": settings.tokenizer and _model_digest(settings.tokenizer),
    }


@lru_cache(maxsize=32)
def _model_digest(path: str | None) -> str:
    """Of a file by content; a hub id stands for itself."""
    path = path or default_model_path()
    return file_digest(path) if storage.exists(path) else path


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
    pieces = _cut(todo, request)
    work = _unfinished(todo, pieces)
    if work:
        _run_ingest(todo, work, request, beam_args, say)
    marks = {corpus.source.name: finished_parts(corpus.folder) for corpus in todo}
    _check_losses(todo, pieces, marks, request.recipe.max_bad_fraction)
    for corpus in todo:
        name = corpus.source.name
        manifests[name] = _finish(corpus, len(pieces[name]), marks[name], request.recipe)
    return {corpus.source.name: manifests[corpus.source.name] for corpus in planned}


def _cut(todo: list[PlannedCorpus], request: Request) -> dict[str, list[Piece]]:
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
    corpus: PlannedCorpus, parts: int, marks: list[dict[str, Any]], recipe: Recipe
) -> CorpusManifest:
    """Write the manifest, last of all."""
    assert [mark["part"] for mark in marks] == list(range(parts)), corpus.folder
    counts = CorpusCounts(**_sum_counts(marks))
    assert counts.rows_in == counts.accounted, f"rows of {corpus.source.name} vanished"
    counter = token_counter(recipe.tokenizer)
    manifest = CorpusManifest(
        source=corpus.source.name,
        fingerprint=corpus.fingerprint,
        repo=corpus.source.repo,
        revision=corpus.revision,
        commit=corpus.repo.commit,
        license=corpus.source.license,
        tokenizer=Tokenizer(name=counter.name, estimated=counter.estimated),
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
