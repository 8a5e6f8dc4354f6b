"""What the miniature hub is made of before it is written: pictures and items.

A `Picture` is encoded bytes, and remembers which picture it was altered from. An `Item` is one row
to publish: its pictures, its turns, and what a build should make of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Rng = np.random.Generator
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

    def named(self, path: str) -> Picture:
        return replace(self, path=path)


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


KEPT = Fate()


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
    fate: Fate = KEPT
    plant: str = ""


def quarantined(reason: str) -> Fate:
    return Fate("quarantined", reason)


def dropped(reason: str) -> Fate:
    return Fate("dropped", reason)
