"""Photographs: landscapes, still lifes, flowers and skylines, with things placed in them.

Negatives: one thing taken away, one moved by more than its own width, one of another colour, and
another shot of the same place and things (same palette; other light and ground, every thing a
little elsewhere).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from benchmarks.duplicates.drawn import Drawn
from cauldron.sample import scenes
from cauldron.sample.draw_photos import draw_photo
from cauldron.sample.ink import pick, sample
from cauldron.sample.model import Rng
from cauldron.sample.scenes import THING_COLORS, Scene
from cauldron.sample.sprites import Thing, place_thing
from cauldron.sample.texture import Array, Textures, develop

SIZES = ((640, 480), (800, 600), (1024, 768), (640, 427), (1024, 683), (480, 640), (768, 1024))
SPRITES_IN = {
    "outdoors": ("balloon", "house", "tree", "umbrella", "car", "bench", "sheep", "boat", "kite"),
    "still life": ("umbrella", "kite", "boat", "car", "house"),
    "flower": ("balloon", "kite", "umbrella", "bird"),
    "city": ("boat", "balloon", "kite", "car", "tree"),
}


@dataclass(frozen=True)
class Photo:
    """A background, the things in front of it in the order they are placed, and film grain."""

    background: Scene
    things: tuple[Thing, ...]
    grain: float
    seed: int


def family(rng: Rng, textures: Textures) -> Drawn:
    photo = _any_photo(rng)
    light = _background(photo, textures)
    drawn = Drawn(_draw(photo, light, textures))
    drawn.add("object removed", lambda: _draw(_removed(photo, rng), light, textures))
    drawn.add("object moved", lambda: _draw(_moved(photo, rng), light, textures))
    drawn.add("object recoloured", lambda: _draw(_recoloured(photo, rng), light, textures))
    drawn.add("another shot", lambda: _shot(photo, rng, textures))
    return drawn


def _any_photo(rng: Rng) -> Photo:
    scene = replace(scenes.any_photo(rng), size=pick(rng, SIZES), things=())
    names = sample(rng, SPRITES_IN[scene.kind], int(rng.integers(2, 4)))
    things = []
    for name, column in zip(names, sample(rng, (0.15, 0.38, 0.62, 0.85), 4), strict=False):
        low, high = (0.2, 0.42) if name in scenes.AIRBORNE else (0.7, 0.95)
        spot = (column + float(rng.uniform(-0.04, 0.04)), float(rng.uniform(low, high)))
        things.append(Thing(name, pick(rng, THING_COLORS), (spot,), float(rng.uniform(0.8, 1.3))))
    return Photo(scene, tuple(things), float(rng.uniform(0.005, 0.022)), int(rng.integers(1 << 31)))


def _background(photo: Photo, textures: Textures) -> Array:
    plain = draw_photo(photo.background, textures, grain=0)
    return np.asarray(plain, np.float32) / 255


def _draw(photo: Photo, background: Array, textures: Textures) -> Image.Image:
    light = background.copy()
    bright = float(np.clip(0.35 + background.mean(), 0.5, 1))
    for thing in photo.things:
        place_thing(light, thing, bright, textures, np.random.default_rng(photo.seed))
    return develop(light, textures, np.random.default_rng(photo.seed + 1), photo.grain)


def _removed(photo: Photo, rng: Rng) -> Photo:
    at = int(rng.integers(len(photo.things)))
    return replace(photo, things=photo.things[:at] + photo.things[at + 1 :])


def _changed(photo: Photo, at: int, thing: Thing) -> Photo:
    return replace(photo, things=(*photo.things[:at], thing, *photo.things[at + 1 :]))


def _moved(photo: Photo, rng: Rng) -> Photo:
    at = int(rng.integers(len(photo.things)))
    thing = photo.things[at]
    (x, y), step = thing.spots[0], float(rng.uniform(0.2, 0.35))
    spot = (x - step if x > 0.5 else x + step, y)
    return _changed(photo, at, replace(thing, spots=(spot,)))


def _recoloured(photo: Photo, rng: Rng) -> Photo:
    dyed = [i for i, thing in enumerate(photo.things) if thing.name != "sheep"]
    at = pick(rng, dyed)
    others = [color for color in THING_COLORS if color != photo.things[at].color]
    return _changed(photo, at, replace(photo.things[at], color=pick(rng, others)))


def _shot(photo: Photo, rng: Rng, textures: Textures) -> Image.Image:
    """The same things in the same place, each a little elsewhere, at another moment."""
    solids = tuple(replace(s, x=s.x + _aside(s.x, rng)) for s in photo.background.solids)
    scene = replace(photo.background, seed=int(rng.integers(1 << 31)), solids=solids)
    things = tuple(
        replace(thing, spots=tuple((x + _aside(x, rng), y) for x, y in thing.spots))
        for thing in photo.things
    )
    other = replace(photo, background=scene, things=things, seed=int(rng.integers(1 << 31)))
    return _draw(other, _background(other, textures), textures)


def _aside(x: float, rng: Rng) -> float:
    """A step of 5 to 12 % of the width, away from the nearer edge."""
    return float(rng.uniform(0.05, 0.12)) * (1 if x < 0.5 else -1)
