"""The manifests of `cauldron docmatix`: of its selection of documents, and of its dataset.

``OUT/manifest.json`` describes the dataset: ``images/``, ``pdf/``, ``documents/``, ``pairs/``. What
a run keeps for the next one is in ``OUT/work/``: answers, and selections by their fingerprint.
"""

from __future__ import annotations

from typing import Literal

from cauldron.core import storage
from cauldron.core.output.manifests import Manifest, RowFile
from cauldron.core.sections.docmatix import DocmatixRules
from cauldron.core.sections.models import ModelRules


class SelectionManifest(Manifest):
    """The documents of some PDFs with their text and requests, one part for each piece.

    Attributes:
        pages, requests: of the selected documents.
        selected: documents that are asked about.
        left_out: the others, by reason.
        parts: in order.
    """

    format: Literal[1] = 1
    documents: int
    pages: int
    requests: int
    selected: int
    left_out: dict[str, int]
    parts: list[RowFile]


class DocmatixManifest(Manifest):
    """A dataset in the layout of Docmatix.

    Attributes:
        pdfs: where the PDFs are, as the user wrote it.
        commit: of the repository, if they are on the hub.
        requests: of the selected documents; equal ones count each.
        unanswered: those without an answer.
        tokens_in, tokens_out: of the answers, as the endpoint counts them. Equal requests count
            once.
        documents, pairs: all of them, by what became of them: ``kept`` or a reason.
        pages: page images in the dataset.
        files: of each folder, in order.
    """

    format: Literal[1] = 1
    selection: str
    code_version: str
    pdfs: str
    commit: str | None
    seed: int
    limit: int
    rules: DocmatixRules
    model: ModelRules
    requests: int
    unanswered: int
    tokens_in: int
    tokens_out: int
    documents: dict[str, int]
    pairs: dict[str, int]
    pages: int
    files: dict[str, list[RowFile]]


def work_folder(out: str) -> str:
    return storage.join(out, "work")


def selection_folder(out: str, fingerprint: str) -> str:
    return storage.join(work_folder(out), "selection", fingerprint)
