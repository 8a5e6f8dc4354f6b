"""Photographs of places with things in them.

Negatives: one thing taken away, one moved by more than its own width, one of another colour, and
another shot of the same place and things (same palette; other light and ground, every thing a
little elsewhere).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks.duplicates.drawn import Drawn, drawn_from
from cauldron.sample.draw.photograph import AIRBORNE, COLORS, Photo, Thing, any_photo, draw
from cauldron.sample.draw.texture import Textures
from cauldron.sample.model import Rng, pick, sample

SIZES = ((640, 480), (800, 600), (1024, 768), (640, 427), (1024, 683), (480, 640), (768, 1024))
NAMES = ("balloon", "house", "flower", "umbrella", "car", "bench", "boat", "kite", "duck", "cup")


def family(rng: Rng, textures: Textures) -> Drawn:
    return drawn_from(_any_photo(rng), lambda photo: draw(photo, textures), CHANGES, rng)


def _any_photo(rng: Rng) -> Photo:
    photo = any_photo(rng, size=pick(rng, SIZES))
    names = sample(rng, NAMES, int(rng.integers(2, 4)))
    things = []
    for name, column in zip(names, sample(rng, (0.15, 0.38, 0.62, 0.85), 4), strict=False):
        low, high = (0.2, 0.42) if name in AIRBORNE else (0.7, 0.95)
        spot = (column + float(rng.uniform(-0.04, 0.04)), float(rng.uniform(low, high)))
        things.append(Thing(name, pick(rng, COLORS), (spot,), float(rng.uniform(0.8, 1.3))))
    return replace(photo, things=tuple(things))


def _removed(photo: Photo, rng: Rng) -> Photo:
    at = int(rng.integers(len(photo.things)))
    return replace(photo, things=photo.things[:at] + photo.things[at + 1 :])


def _changed(photo: Photo, at: int, thing: Thing) -> Photo:
    return replace(photo, things=(*photo.things[:at], thing, *photo.things[at + 1 :]))


def _moved(photo: Photo, rng: Rng) -> Photo:
    at = int(rng.integers(len(photo.things)))
    thing = photo.things[at]
    (x, y), step = thing.spots[0], float(rng.uniform(0.2, 0.35))
    return _changed(photo, at, replace(thing, spots=((x - step if x > 0.5 else x + step, y),)))


def _recoloured(photo: Photo, rng: Rng) -> Photo:
    at = int(rng.integers(len(photo.things)))
    others = [color for color in COLORS if color != photo.things[at].color]
    return _changed(photo, at, replace(photo.things[at], color=pick(rng, others)))


def _shot(photo: Photo, rng: Rng) -> Photo:
    """The same things in the same place, each a little elsewhere, at another moment."""
    things = tuple(
        replace(thing, spots=tuple((x + _aside(x, rng), y) for x, y in thing.spots))
        for thing in photo.things
    )
    return replace(photo, things=things, seed=int(rng.integers(1 << 31)))


def _aside(x: float, rng: Rng) -> float:
    """A step of 5 to 12 % of the width, away from the nearer edge."""
    return float(rng.uniform(0.05, 0.12)) * (1 if x < 0.5 else -1)


CHANGES: dict[str, Callable[[Photo, Rng], Photo]] = {
    "object removed": _removed,
    "object moved": _moved,
    "object recoloured": _recoloured,
    "another shot": _shot,
}
