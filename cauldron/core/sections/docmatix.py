"""Rules of `cauldron docmatix`: which documents, which text, and which pairs are kept.

Defaults are the published ones: the paper, section 3.1, and the authors' scripts
(huggingface/docmatix).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cauldron.core.sections.models import ModelRules
from cauldron.core.sections.rules import Strict
from cauldron.core.tokenizer import ESTIMATE

PublishedRule = Literal[
    "braces",
    "brackets",
    "angle_brackets",
    "ip_address",
    "dot_in_word",
    "blank_line",
    "unanswerable",
    "question_number",
    "answer_number",
]
PUBLISHED_RULES: tuple[PublishedRule, ...] = (
    "braces", "brackets", "angle_brackets", "ip_address", "dot_in_word", "blank_line",
    "unanswerable", "question_number", "answer_number",
)  # fmt: skip


class DocmatixRules(Strict):
    """How `cauldron docmatix` makes questions and answers from PDFs.

    Attributes:
        share: the part of the documents that is used, chosen by a hash of seed and key.
        max_pages: documents with more pages are dropped.
        max_page_tokens: documents with a longer page are dropped.
        chunk_tokens: the most text that one request holds.
        chunk_pages: the most pages that one request holds.
        overlap_pages: pages that a request repeats from the one before.
        tokenizer: what counts tokens, as in a recipe: ``estimate``, ``mistral-7b``, or hub id or
            path of the model's ``tokenizer.json``.
        model: the model that writes the pairs; ``--model`` sets its name.
        drop_pairs: the published rules to apply. ``dot_in_word`` also drops decimals such as 3.5.
        max_missing: the largest part of an answer's numbers, dates and names that may be nowhere
            in the pages. An answer with a larger part is dropped as ``not_in_document``. 1 switches
            the check off.
        max_unanswered: the part of the requests that may stay without an answer; more than that
            stops the run, most often because of the endpoint.
    """

    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_pages: Annotated[int, Field(ge=1)] = 4
    max_page_tokens: Annotated[int, Field(ge=1)] = 5_000
    chunk_tokens: Annotated[int, Field(ge=1)] = 5_000
    chunk_pages: Annotated[int, Field(ge=1)] = 5
    overlap_pages: Annotated[int, Field(ge=0)] = 1
    tokenizer: Annotated[str, Field(min_length=1)] = ESTIMATE
    model: ModelRules | None = None
    drop_pairs: tuple[PublishedRule, ...] = PUBLISHED_RULES
    max_missing: Annotated[float, Field(ge=0, le=1)] = 0.0
    max_unanswered: Annotated[float, Field(ge=0, le=1)] = 0.05

    @model_validator(mode="after")
    def _a_page_fits(self) -> DocmatixRules:
        if self.max_page_tokens > self.chunk_tokens:
            raise ValueError("a page may be longer than a request: raise chunk_tokens")
        if self.overlap_pages >= self.chunk_pages:
            raise ValueError("overlap_pages must be less than chunk_pages")
        return self
