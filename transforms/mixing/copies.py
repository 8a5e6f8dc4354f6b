"""One copy of a sample as a mixture row: turns are chosen and ordered, tokens counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cauldron.transforms.order import most_turns, turn_order

from cauldron.core.schema import Sample, Turn, document_messages, messages_of, without_images
from cauldron.core.sections.rules import upscale_of
from cauldron.core.sections.stage import StageRecipe
from cauldron.core.tiles import tile_count, tokens_per_tile


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a sample in a mixture.

    Attributes:
        epoch: number of the pass over the sample.
        repeat: number of copies of the sample in the mixture.
        cluster: the sample's cluster of near-duplicates, if any.
        due: the sources whose turns it shows; None: all turns are of one source.
    """

    epoch: int
    repeat: int
    cluster: str | None = None
    due: frozenset[str] | None = None


def chosen_turns(
    sample: Sample, copy: Copy, stage: StageRecipe, seed: int, dialogue: bool
) -> list[Turn]:
    """The turns that a copy shows; the cap holds for each source's turns alone.

    Args:
        dialogue: turns build on each other: they keep their order, and a cap keeps the first.
    """
    order = list(range(len(sample.turns)))
    if stage.turns.shuffle and not dialogue:
        order = turn_order(sample.id, seed, copy.epoch, len(order))
    turns = [sample.turns[i] for i in order]
    cap = most_turns(sample.id, seed, copy.epoch, stage.turns.cap)
    if copy.due is None:
        return turns[:cap]
    chosen, shown = [], Counter[str]()
    for turn in turns:
        if turn.source in copy.due and shown[turn.source] != cap:
            shown[turn.source] += 1
            chosen.append(turn)
    return chosen


def leave_out(sample: Sample, images: list[bytes], without: int) -> tuple[Sample, list[bytes]]:
    """A document and its images, without some of them. Tokens stay as they were counted.

    Args:
        without: bit k stands for image k.
    """
    assert sample.document is not None, f"{sample.id} is no document"
    kept = [k for k in range(len(images)) if not without >> k & 1]
    dropped = set(range(len(images))) - {*kept}
    parts = without_images(sample.document.parts, dropped)
    changes = {
        "images": tuple(sample.images[k] for k in kept),
        "document": sample.document.model_copy(update={"parts": tuple(parts)}),
    }
    return sample.model_copy(update=changes), [images[k] for k in kept]


def mixture_row(
    sample: Sample,
    images: list[bytes],
    turns: Sequence[Turn],
    copy: Copy,
    stage: StageRecipe,
    edge: int,
) -> dict[str, Any]:
    """A row of `MIXTURE_SCHEMA`.

    Args:
        images: stored bytes, in the sample's order.
        edge: longest edge at which training reads it, pixels.
        turns: those that the copy shows; none of a document, which is shown whole.
    """
    upscale, per_tile = upscale_of(stage.upscale), tokens_per_tile(stage.tile)
    tiles = [
        tile_count(info.width, info.height, edge, stage.tile, upscale) for info in sample.images
    ]
    answer = sum(turn.answer_tokens for turn in turns)
    text = sample.system_tokens + answer + sum(turn.user_tokens for turn in turns)
    texts = [(turn.user, turn.assistant) for turn in turns]
    messages = messages_of(sample.system, texts, len(images))
    sources = [turn.source for turn in turns]
    if sample.document is not None:
        answer = text = sample.document.tokens
        messages, sources = document_messages(sample.document.parts), [sample.source]
    return sample.model_dump(include={"id", "source", "origin", "license", "language"}) | {
        "images": [{"bytes": data, "path": None} for data in images],
        "messages": messages,
        "image_info": [
            info.model_dump() | {"tiles": count}
            for info, count in zip(sample.images, tiles, strict=True)
        ],
        "tokens": {"answer": answer, "text": text, "image": sum(tiles) * per_tile},
        "tiles": sum(tiles),
        "turn_sources": sources,
        "cluster": copy.cluster,
        "epoch": copy.epoch,
        "repeat": copy.repeat,
    }
