"""A family as drawn: the base picture, and others that only look like it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TypeVar

from PIL import Image

from benchmarks.duplicates.lettering import visible_difference
from cauldron.sample.model import Rng

Spec = TypeVar("Spec")

# Pixels by which a negative must differ from its base, at 48 of 255 or more: about what changing
# a 5 into a 6 takes in 11-pixel type.
VISIBLE = 6
TRIES = 20


@dataclass
class Drawn:
    """Pictures of one family. The look-alikes are drawn when they are first asked for."""

    base: Image.Image
    _pending: dict[str, Callable[[], Image.Image]] = field(default_factory=dict)

    def add(self, kind: str, draw: Callable[[], Image.Image]) -> None:
        """Add a kind of negative; `draw` is asked again while its change cannot be seen."""
        self._pending[kind] = draw

    @cached_property
    def negatives(self) -> dict[str, Image.Image]:
        """By kind, in the order in which they were added.

        Raises:
            RuntimeError: none of `TRIES` drawings differs visibly.
        """
        return {kind: self._visible(kind, draw) for kind, draw in self._pending.items()}

    def _visible(self, kind: str, draw: Callable[[], Image.Image]) -> Image.Image:
        for _ in range(TRIES):
            picture = draw()
            if visible_difference(self.base, picture) >= VISIBLE:
                return picture
        raise RuntimeError(f"no visible change for {kind!r} in {TRIES} drawings")


def drawn_from(
    spec: Spec,
    draw: Callable[[Spec], Image.Image],
    changes: Mapping[str, Callable[[Spec, Rng], Spec]],
    rng: Rng,
) -> Drawn:
    """The family of a specification: drawn as it is, and after each change by itself."""
    found = Drawn(draw(spec))

    def changed(change: Callable[[Spec, Rng], Spec]) -> Image.Image:
        return draw(change(spec, rng))

    for kind, change in changes.items():
        found.add(kind, partial(changed, change))
    return found
