"""What the miniature hub is made of before it is written: pictures and items.

A `Picture` is encoded bytes, and remembers which picture it was altered from. An `Item` is one row
to publish: its pictures, its turns, and what a build should make of it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import numpy as np
import yaml
from PIL import Image

Rng = np.random.Generator
T = TypeVar("T")
# What can be said about a picture: by kind, the slots of each fact of that kind.
Facts = dict[str, list[dict[str, Any]]]
Turn = tuple[str | None, str | None]


@dataclass(frozen=True)
class Picture:
    """An encoded image.

    Attributes:
        data: the file's bytes; None where the publisher ships only a path.
        path: as the publisher wrote it, or None.
        origin: the picture that this one was altered from.
        change: how it was altered, e.g. ``resized``.
    """

    data: bytes | None
    path: str | None = None
    origin: Picture | None = None
    change: str = ""


@dataclass(frozen=True)
class Fate:
    """What a build with default rules makes of a row.

    Attributes:
        outcome: ``kept``, ``merged``, ``dropped`` or ``quarantined``.
        reason: a code from `cauldron.core.reasons`, ``exact_copy``, ``same_image``; "" when kept.
        turns: turns left out by reason, where the row itself is kept.
    """

    outcome: str = "kept"
    reason: str = ""
    turns: dict[str, int] = field(default_factory=dict)


@dataclass
class Item:
    """One row to publish.

    Attributes:
        pictures: in order.
        turns: (question, answer) as published; either may be None in a broken row.
        extra: what only this source's layout needs (a receipt's fields, a system prompt).
        fate: what should become of it.
        plant: what is special about it, for the ground truth; "" for an ordinary row.
    """

    pictures: list[Picture]
    turns: list[Turn]
    extra: dict[str, Any] = field(default_factory=dict)
    fate: Fate = field(default_factory=Fate)
    plant: str = ""


@cache
def load(name: str) -> dict[str, Any]:
    """The content of ``data/<name>.yaml``; not to be changed."""
    text = files("cauldron.sample").joinpath("data", f"{name}.yaml").read_text("utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def pick(rng: Rng, values: Sequence[T]) -> T:
    return values[int(rng.integers(len(values)))]


def sample(rng: Rng, values: Sequence[T], count: int) -> list[T]:
    """`count` different values, in random order."""
    return [values[int(i)] for i in rng.permutation(len(values))[:count]]


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(image: Image.Image, path: str | None = None) -> Picture:
    return Picture(saved(image, "PNG", compress_level=2), path)


def jpeg(image: Image.Image, path: str | None = None) -> Picture:
    return Picture(saved(image, "JPEG", quality=86), path)


def opened(picture: Picture) -> Image.Image:
    image = Image.open(io.BytesIO(picture.data or b""))
    image.load()
    return image


def quarantined(reason: str) -> Fate:
    return Fate("quarantined", reason)


def lost(fate: Fate | str, plant: str) -> Item:
    """A row of which nothing is left; a text instead of a fate is the reason of a quarantine."""
    return Item([], [], fate=quarantined(fate) if isinstance(fate, str) else fate, plant=plant)
