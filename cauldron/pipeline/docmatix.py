"""`cauldron docmatix`: select documents, ask a model, write the dataset; each skipped when done.

Three jobs. `select` reads the PDFs and needs no endpoint. `ask` needs the endpoint and little
processor time, so it runs in one process on this machine. `write` draws the pages, which takes most
of the processor time, when the endpoint is no longer needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import PIL
import pyarrow
import pypdfium2

from cauldron import __version__
from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.fingerprints import fingerprint
from cauldron.core.output.docmatix import (
    DocmatixManifest,
    SelectionManifest,
    selection_folder,
    work_folder,
)
from cauldron.core.output.manifests import MANIFEST, RowFile
from cauldron.core.output.markers import list_markers, missing
from cauldron.core.sections.docmatix import DocmatixRules
from cauldron.inspect.docmatix_card import write_docmatix_card
from cauldron.pipeline.runners.options import check_arguments, check_reach
from cauldron.pipeline.runners.runner import Job, Launcher
from cauldron.pipeline.step import Step
from cauldron.sources.benchmarks import Place, find_place
from cauldron.sources.pdfs import PdfPiece, cut_pdfs, pdf_files
from cauldron.sources.repos.roots import open_root
from cauldron.transforms.docmatix.ask import AskDocuments, AskJob, share_out
from cauldron.transforms.docmatix.prompts import PROMPTS_VERSION
from cauldron.transforms.docmatix.records import Selection
from cauldron.transforms.docmatix.select import SELECT_VERSION, SelectDocuments, SelectWork
from cauldron.transforms.docmatix.write import (
    FILES,
    WRITE_VERSION,
    WriteJob,
    WriteShards,
    WriteWork,
)
from cauldron.transforms.models.budget import Limits, spent_folder
from cauldron.transforms.models.endpoint import Endpoint
from cauldron.transforms.models.store import answers_folder
from cauldron.transforms.tokens import counter_fingerprint, token_counter

# Drawing a page takes 30 ms, as long as ingesting so many bytes. It decides whether a job is worth
# more than one process.
_PAGE_BYTES = 2_000_000


@dataclass(frozen=True)
class DocmatixOptions:
    """What the user asked for.

    Attributes:
        pdfs: a folder, ``gs://…`` or a dataset repository on the hub.
        limit: documents to read, -1 for all.
        beam_args: options for Beam, as typed.
        shared_folders: remote workers see this machine's folders.
    """

    pdfs: str
    output: str
    rules: DocmatixRules
    seed: int = 0
    limit: int = -1
    beam_args: tuple[str, ...] = ()
    shared_folders: bool = False


@dataclass(frozen=True)
class Selected:
    """A finished selection.

    Attributes:
        pieces: the PDFs of each part.
    """

    manifest: SelectionManifest
    job: Selection
    pieces: Sequence[PdfPiece]
    commit: str | None


def select_documents(options: DocmatixOptions, launcher: Launcher) -> Selected:
    """Read the PDFs: which are used, with which text and requests. Asks no model.

    Raises:
        cauldron.core.errors.CauldronError: nothing to read, or the job failed.
    """
    check_arguments(options.beam_args)
    places = {"output": options.output, "pdfs": options.pdfs}
    check_reach(options.beam_args, places, options.shared_folders)
    place = find_place(options.pdfs, open_root(None))
    files = pdf_files(place.files(), options.pdfs)
    pieces = cut_pdfs(place.repo, files, options.limit)
    digest = _selection_fingerprint(options, place, pieces)
    folder = selection_folder(options.output, digest)
    job = Selection(place.repo, options.rules, options.seed, len(pieces), folder)
    step = Step(kind=SelectionManifest, folder=folder, fingerprint=digest)
    manifest = step.make("select", lambda: _select(job, pieces, digest, launcher), launcher.say)
    return Selected(manifest, job, pieces, place.repo.commit)


def _selection_fingerprint(
    options: DocmatixOptions, place: Place, pieces: Sequence[PdfPiece]
) -> str:
    rules = options.rules
    return fingerprint(
        {
            "version": [SELECT_VERSION, pypdfium2.version.PDFIUM_INFO.build, pyarrow.__version__],
            "commit": place.repo.commit,
            "pieces": [
                [[[file.path, file.size, file.version] for file in piece.files], piece.limit]
                for piece in pieces
            ],
            "seed": options.seed,
            "rules": rules.model_dump(include=_SELECTION_RULES),
            "tokenizer": counter_fingerprint(rules.tokenizer),
        }
    )


_SELECTION_RULES = {
    "share", "max_pages", "max_page_tokens", "chunk_tokens", "chunk_pages", "overlap_pages",
}  # fmt: skip


def _select(
    job: Selection, pieces: Sequence[PdfPiece], digest: str, launcher: Launcher
) -> SelectionManifest:
    token_counter(job.rules.tokenizer)  # a tokenizer that does not open stops the run here
    markers = [job.marker(part) for part in range(job.parts)]
    if todo := missing(markers):
        work = [SelectWork(part, pieces[part]) for part in todo]
        size = sum(item.piece.size for item in work)
        files = sum(len(item.piece.files) for item in work)
        about = f"{files} files, {size / 1e6:,.0f} MB"
        job_of = Job("select", "select", about, work, SelectDocuments(job), size, markers)
        launcher.submit(job_of)
    marks = [storage.read_json(path) for path in markers]
    counts: Counter[str] = Counter()
    for mark in marks:
        counts.update(mark["counts"])
    documents, pages, requests, selected = (
        counts.pop(name, 0) for name in ("documents", "pages", "requests", "selected")
    )
    assert documents == selected + counts.total(), "documents vanished"
    return SelectionManifest(
        fingerprint=digest,
        documents=documents,
        pages=pages,
        requests=requests,
        selected=selected,
        left_out=dict(sorted(counts.items())),
        parts=[RowFile(**mark["file"]) for mark in marks],
    )


def make_docmatix(
    options: DocmatixOptions, endpoint: Endpoint, limits: Limits, launcher: Launcher
) -> DocmatixManifest:
    """Make the dataset. After a killed run the same call goes on where it was.

    Raises:
        cauldron.core.errors.CauldronError: with one line on what failed and what to do; also when
            the limits are reached before every request is answered.
    """
    selected = select_documents(options, launcher)
    if not selected.manifest.requests:
        reasons = ", ".join(f"{name} {n}" for name, n in selected.manifest.left_out.items())
        raise CauldronError(f"none of the documents can be used: {reasons}")
    digest = fingerprint(
        {
            "version": [WRITE_VERSION, PROMPTS_VERSION, PIL.__version__, __version__],
            "selection": selected.manifest.fingerprint,
            "model": endpoint.model.model_dump(mode="json"),
            "rules": options.rules.model_dump(include={"drop_pairs", "max_missing"}),
        }
    )
    folders = tuple(storage.join(options.output, kind) for kind in FILES)
    step = Step(kind=DocmatixManifest, folder=options.output, fingerprint=digest, beside=folders)
    run = _Run(options, endpoint, limits, launcher, selected, digest)
    return step.make("docmatix", run.make, launcher.say)


@dataclass(frozen=True)
class _Run:
    """The work on one dataset."""

    options: DocmatixOptions
    endpoint: Endpoint
    limits: Limits
    launcher: Launcher
    selected: Selected
    fingerprint: str

    @property
    def answers(self) -> str:
        return answers_folder(work_folder(self.options.output))

    def make(self) -> DocmatixManifest:
        write = WriteJob(
            self.selected.job,
            self.options.rules,
            self.endpoint.model,
            self.answers,
            self.options.output,
            self.fingerprint,
        )
        # From here on the old dataset is gone: readers find it unfinished.
        storage.remove(storage.join(self.options.output, MANIFEST))
        self._remove_stale()
        asked = self._ask()
        marks = self._write(write)
        manifest = self._manifest(asked, marks)
        card = write_docmatix_card(manifest).encode()
        storage.write_bytes(storage.join(self.options.output, "README.md"), card)
        return manifest

    def _remove_stale(self) -> None:
        """Delete markers and shards of other settings."""
        whole = set()
        for path in list_markers(self.options.output):
            mark = storage.read_json(path)
            if mark["fingerprint"] != self.fingerprint:
                storage.remove(path)
            else:
                whole |= {(kind, file["name"]) for kind, file in mark.get("files", {}).items()}
        for kind in FILES:
            for path in storage.list_files(storage.join(self.options.output, kind), ".parquet"):
                if (kind, path.rpartition("/")[2]) not in whole:
                    storage.remove(path)

    def _ask(self) -> list[dict[str, Any]]:
        selection = self.selected.job
        job = AskJob(
            selection,
            self.endpoint,
            self.answers,
            self.limits,
            self.options.output,
            self.fingerprint,
        )
        markers = [job.marker(part) for part in range(selection.parts)]
        if todo := missing(markers):
            about = f"{self.selected.manifest.requests} requests to {self.endpoint.model.name}"
            work = share_out(selection, todo)
            ask = Job("ask", "docmatix-ask", about, work, AskDocuments(job), 0, markers)
            try:
                self.launcher.submit(ask)
            finally:
                storage.remove(spent_folder(self.answers, self.limits))
        if left := missing(markers):
            raise CauldronError(
                f"the limit is reached and {len(left)} of {len(markers)} parts have requests "
                "without an answer; run the same command again to go on"
            )
        marks = [storage.read_json(path) for path in markers]
        self._check_unanswered(marks, markers)
        return marks

    def _check_unanswered(self, marks: Sequence[Mapping[str, Any]], markers: Sequence[str]) -> None:
        failures = Counter(reason for mark in marks for reason, _ in mark["failures"].values())
        asked = failures.total() + sum(mark.get("answers", 0) for mark in marks)
        limit = self.options.rules.max_unanswered
        if failures.total() <= limit * asked:
            return
        for mark, path in zip(marks, markers, strict=True):
            if mark["failures"]:
                storage.remove(path)  # asked again by the next run
        reasons = ", ".join(f"{reason} {n}" for reason, n in sorted(failures.items()))
        _, said = next(iter(next(m for m in marks if m["failures"])["failures"].values()))
        raise CauldronError(
            f"{failures.total()} of {asked} requests have no answer ({reasons}; e.g. {said}): see "
            "to the endpoint and run the same command again, or raise max_unanswered"
        )

    def _write(self, job: WriteJob) -> list[dict[str, Any]]:
        selected = self.selected
        markers = [job.marker(part) for part in range(len(selected.pieces))]
        if todo := missing(markers):
            pages = selected.manifest.pages
            work = [WriteWork(part, selected.pieces[part]) for part in todo]
            about = f"{len(todo)} shards, {pages} pages"
            size = pages * _PAGE_BYTES * len(todo) // len(markers)
            name = "docmatix-write"
            self.launcher.submit(Job("write", name, about, work, WriteShards(job), size, markers))
        return [storage.read_json(path) for path in markers]

    def _manifest(
        self, asked: Sequence[Mapping[str, Any]], marks: Sequence[Mapping[str, Any]]
    ) -> DocmatixManifest:
        counts: Counter[str] = Counter()
        for mark in marks:
            counts.update(mark["counts"])
        documents = _part_of(counts, "documents/")
        assert sum(documents.values()) == self.selected.manifest.documents, "documents vanished"
        return DocmatixManifest(
            fingerprint=self.fingerprint,
            selection=self.selected.manifest.fingerprint,
            code_version=__version__,
            pdfs=self.options.pdfs,
            commit=self.selected.commit,
            seed=self.options.seed,
            limit=self.options.limit,
            rules=self.options.rules,
            model=self.endpoint.model,
            requests=counts["requests"],
            unanswered=counts["unanswered"],
            tokens_in=sum(mark.get("tokens_in", 0) for mark in asked),
            tokens_out=sum(mark.get("tokens_out", 0) for mark in asked),
            documents=documents,
            pairs=_part_of(counts, "pairs/"),
            pages=counts["pages"],
            files={kind: [RowFile(**mark["files"][kind]) for mark in marks] for kind in FILES},
        )


def _part_of(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {
        name.removeprefix(prefix): number
        for name, number in sorted(counts.items())
        if name.startswith(prefix)
    }
