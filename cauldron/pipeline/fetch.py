"""The fetch step: images that are known by their URL, asked for once, before ingest.

One job for all sources of a build, so that a URL of several sources is asked for once, and a host
by one worker. A finished step costs one small file a source, and no network. What was answered is
part of a corpus's fingerprint: after ``--refetch`` the corpus is made again if an answer changed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cauldron.core import storage
from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.fingerprints import fingerprint
from cauldron.core.output.fetched import FetchManifest, lists_folder
from cauldron.core.output.manifests import corpus_folder, quarantine_folder
from cauldron.core.output.markers import marker_folder
from cauldron.pipeline.corpora import BuildOptions, PlannedCorpus
from cauldron.pipeline.fetch_progress import FetchProgress
from cauldron.pipeline.ingest import cut_pieces
from cauldron.pipeline.runners.runner import Job, Launcher, job_name
from cauldron.pipeline.step import Step, make_steps
from cauldron.sources.base import PIECE_BYTES, Piece
from cauldron.transforms.fetching.answers import Answers
from cauldron.transforms.fetching.engine import FetchJob
from cauldron.transforms.fetching.entries import fetched_folder
from cauldron.transforms.fetching.images import Fetched
from cauldron.transforms.fetching.pipeline import (
    FETCH_VERSION,
    FetchImages,
    list_markers,
    summary_path,
)
from cauldron.transforms.ingest import PieceWork, write_work

Refetch = Literal["failed", "all"]

# In a folder of lists while its images are asked for again: since when, and which.
_AGAIN = "again.json"


@dataclass(frozen=True, kw_only=True)
class FetchStep(Step[FetchManifest]):
    """The images of one source."""

    kind: type[FetchManifest] = FetchManifest
    corpus: PlannedCorpus

    def finished(self) -> FetchManifest | None:
        return None if storage.exists(self.again) else super().finished()

    @property
    def again(self) -> str:
        return storage.join(self.folder, _AGAIN)

    def answers(self, pieces: int) -> Answers:
        """Where the answers are, or will be."""
        if storage.exists(self.again):
            return Answers(self.folder, pieces, **storage.read_json(self.again))
        return Answers(self.folder, pieces)

    def ask_again(self, mode: Refetch) -> None:
        """Make a finished step unfinished. One that is being asked again goes on, unless more is
        wanted."""
        if storage.exists(self.again):
            current = storage.read_json(self.again)
            is_under_way = not storage.exists(summary_path(Answers(self.folder, 0, **current)))
            if is_under_way and (mode == "failed" or current["mode"] == "all"):
                return
        storage.write_json(self.again, {"since": time.time_ns(), "mode": mode})


def fetch_step(corpus: PlannedCorpus, output: str) -> FetchStep:
    """The step of a source by URL. What only changes texts does not change it."""
    digest = fingerprint(
        {
            "version": [FETCH_VERSION, PIECE_BYTES],
            "source": corpus.source.name,
            "commit": corpus.repo.commit,
            "files": [[file.path, file.size, file.version] for file in corpus.files],
            "options": dict(corpus.settings.options),
            "limit": corpus.limit,
        }
    )
    folder = lists_folder(output, corpus.source.name, digest)
    return FetchStep(folder=folder, fingerprint=digest, corpus=corpus)


def with_finished_fetches(planned: Sequence[PlannedCorpus], output: str) -> list[PlannedCorpus]:
    """The corpora, with their images where these are fetched."""
    found = []
    for corpus in planned:
        manifest = fetch_step(corpus, output).finished() if corpus.source.by_url else None
        found.append(corpus if manifest is None else _with_images(corpus, manifest, output))
    return found


def _with_images(corpus: PlannedCorpus, made: FetchManifest, output: str) -> PlannedCorpus:
    """The corpus that is made with these images."""
    if corpus.fetched is not None:
        return corpus
    name = corpus.source.name
    digest = fingerprint({"corpus": corpus.fingerprint, "images": made.digest})
    step = fetch_step(corpus, output)
    answers = Answers(step.folder, made.pieces, made.since)
    return replace(
        corpus,
        fingerprint=digest,
        folder=corpus_folder(output, name, digest),
        beside=(quarantine_folder(output, name, digest),),
        fetched=Fetched(fetched_folder(output), answers),
    )


def fetch(
    planned: Sequence[PlannedCorpus],
    options: BuildOptions,
    launcher: Launcher,
) -> list[PlannedCorpus]:
    """All corpora in order, those of sources by URL with their images, fetched if necessary.

    Raises:
        CauldronError: the job failed, or too many images of a source cannot be fetched.
    """
    steps = {
        step.folder: step
        for step in (
            fetch_step(corpus, options.output) for corpus in planned if corpus.source.by_url
        )
    }
    if not steps:
        if options.refetch:
            raise UsageError("--refetch: no source of these stages is known by URLs")
        return list(planned)
    if options.refetch:
        for step in steps.values():
            step.ask_again(options.refetch)

    def build(folders: list[str]) -> list[FetchManifest]:
        return _fetch([steps[folder] for folder in folders], options, launcher)

    made = make_steps("fetch", steps, build, launcher.say)
    of_source = {manifest.source: manifest for manifest in made.values()}
    for step in steps.values():
        _forget_older(step, made[step.folder])
    return [
        _with_images(corpus, of_source[corpus.source.name], options.output)
        if corpus.source.by_url
        else corpus
        for corpus in planned
    ]


def _fetch(
    todo: Sequence[FetchStep], options: BuildOptions, launcher: Launcher
) -> list[FetchManifest]:
    pieces = cut_pieces([step.corpus for step in todo], options.root)
    sources = [step.answers(len(own)) for step, own in zip(todo, pieces, strict=True)]
    store = fetched_folder(options.output)
    progress = storage.join(marker_folder(todo[0].folder), "progress")
    storage.remove(progress)  # of a run that was killed
    job = FetchJob(
        store=store,
        run=time.time_ns(),
        rules=options.recipe.fetch,
        mirrors=_mirrors(options),
        sources=tuple(sources),
        progress=progress,
    )
    launcher.submit(_job(todo, pieces, job, options, launcher))
    return [_manifest(step, source, options) for step, source in zip(todo, sources, strict=True)]


def _mirrors(options: BuildOptions) -> dict[str, str]:
    """Folders by host. Raises UsageError for a relative one without a root."""
    found = {}
    for host, folder in options.recipe.fetch.mirrors.items():
        if "://" in folder or folder.startswith("/"):
            found[host] = folder
        elif options.root is None:
            continue  # the hub has no such folders: the host is asked itself
        else:
            found[host] = storage.join(options.root, folder)
    return found


def _job(
    todo: Sequence[FetchStep],
    pieces: Sequence[list[Piece]],
    job: FetchJob,
    options: BuildOptions,
    launcher: Launcher,
) -> Job:
    work = []
    for step, own in zip(todo, pieces, strict=True):
        missing = list_markers(step.folder, len(own)).missing()
        work += [PieceWork(step.folder, number, len(own), own[number]) for number in missing]
    work.sort(key=lambda item: (-item.piece.size, item.corpus, item.part))
    path = storage.join(marker_folder(todo[0].folder), "work.jsonl")
    write_work(path, work)
    jobs = {step.folder: step.corpus.job(options.root) for step in todo}
    jobs = {folder: replace(item, corpus=folder) for folder, item in jobs.items()}
    stages = options.stages or tuple(options.recipe.stages)
    name = job_name(options.recipe.name, stages, "fetch", options.output)
    about = f"images by URL of {', '.join(step.corpus.source.name for step in todo)}"
    size = sum(item.piece.size for item in work)
    count = FetchProgress(job.progress, launcher.say)
    return Job("fetch", name, about, [0], FetchImages(path, jobs, job), size, count=count)


def _manifest(step: FetchStep, source: Answers, options: BuildOptions) -> FetchManifest:
    summary = storage.read_json(summary_path(source))
    failed = sum(summary["failed"].values())
    limit = options.recipe.fetch.max_failed
    name = step.corpus.source.name
    if failed > limit * summary["urls"]:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in summary["failed"].items())
        raise CauldronError(
            f"{failed:,} of {summary['urls']:,} images of {name} cannot be fetched ({reasons}), "
            f"more than fetch.max_failed {limit:.0%}: --refetch failed asks for them again"
        )
    return FetchManifest(
        source=name,
        fingerprint=step.fingerprint,
        limit=step.corpus.limit,
        pieces=source.pieces,
        since=source.since,
        **summary,
    )


def _forget_older(step: FetchStep, made: FetchManifest) -> None:
    """Remove the answers that were asked for again since, and the wish to do so."""
    storage.remove(step.again)
    current = f"answers-{made.since}"
    for name in storage.list_folders(step.folder):
        if name.startswith("answers-") and name != current:
            storage.remove(storage.join(step.folder, name))
