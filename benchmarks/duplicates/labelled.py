"""Pictures with the truth about which are the same: bases, altered copies, look-alikes.

Per class and family there is one base picture, a copy of it by every alteration, and *hard
negatives*: pictures drawn from the same specification with one fact changed (a digit, a cell, an
amount, a bar, an object), with all facts changed, or the next page of the same document. Half of
the negatives are altered too, by one random alteration. A changed fact shows in at least
`VISIBLE` pixels of the picture as drawn; smaller changes nobody could see.

Everything follows from (seed, class, family). A family of 25 pictures takes about a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from benchmarks.duplicates import (
    drawings_charts,
    drawings_documents,
    drawings_photos,
    drawings_receipts,
    drawings_screens,
    drawings_tables,
)
from benchmarks.duplicates.alterations import ALTERATIONS, base_bytes, opened
from benchmarks.duplicates.drawn import Drawn
from cauldron.sample.draw.texture import Textures
from cauldron.sample.model import Rng, pick, sample

DRAWERS: dict[str, tuple[Callable[[Rng, Textures], Drawn], str]] = {
    "photograph": (drawings_photos.family, "JPEG"),
    "chart": (drawings_charts.family, "PNG"),
    "table": (drawings_tables.family, "PNG"),
    "document": (drawings_documents.family, "PNG"),
    "receipt": (drawings_receipts.family, "JPEG"),
    "screenshot": (drawings_screens.family, "PNG"),
}
CLASSES = tuple(DRAWERS)


@dataclass(frozen=True)
class Labelled:
    """A picture and what is true of it.

    Attributes:
        class_name: one of `CLASSES`.
        family: number of its family within the class.
        variant: ``base``, the name of an alteration, or ``negative:<kind>``.
        content: two pictures are duplicates if and only if this is equal.
        data: the encoded picture.
    """

    class_name: str
    family: int
    variant: str
    content: str
    data: bytes

    @property
    def name(self) -> str:
        return f"{self.class_name}-{self.family:04d} {self.variant}"


def labelled(
    seed: int,
    families: int,
    classes: Sequence[str] = CLASSES,
    copies: int | None = None,
    alone: int = 0,
) -> Iterator[Labelled]:
    """All pictures of `families` families per class, class by class, family by family.

    Args:
        copies: random alterations per family; None: all of them.
        alone: as many more families per class of which there is only the base.
    """
    textures = Textures(seed)
    for class_name in classes:
        for family in range(families):
            yield from _pictures(seed, class_name, family, copies, textures)
        for family in range(families, families + alone):
            yield next(_pictures(seed, class_name, family, 0, textures))


def drawn(seed: int, class_name: str, family: int, textures: Textures) -> Drawn:
    """A family before anything is encoded."""
    draw, _ = DRAWERS[class_name]
    return draw(np.random.default_rng([seed, CLASSES.index(class_name), family]), textures)


def _pictures(
    seed: int, class_name: str, family: int, copies: int | None, textures: Textures
) -> Iterator[Labelled]:
    _, kind = DRAWERS[class_name]
    pictures = drawn(seed, class_name, family, textures)
    content = f"{class_name}-{family:04d}"
    seeds = (seed, CLASSES.index(class_name), family)

    def rng(what: str) -> Rng:
        """One for each picture, so that it does not depend on which others are made."""
        return np.random.default_rng([*seeds, crc32(what.encode())])

    base = base_bytes(pictures.base, kind, rng("base"))
    yield Labelled(class_name, family, "base", content, base)
    decoded = opened(base)
    chosen = sample(
        rng("copies"), sorted(ALTERATIONS), len(ALTERATIONS) if copies is None else copies
    )
    for name in ALTERATIONS:
        if name in chosen:
            altered = ALTERATIONS[name](decoded, kind, rng(name))
            yield Labelled(class_name, family, name, content, altered)
    for name, picture in pictures.negatives.items():
        chance = rng(f"negative {name}")
        data = base_bytes(picture, kind, chance)
        if chance.integers(2):
            data = ALTERATIONS[pick(chance, sorted(ALTERATIONS))](opened(data), kind, chance)
        yield Labelled(class_name, family, f"negative:{name}", f"{content}:{name}", data)
