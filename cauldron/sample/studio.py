"""What the sets of one hub share: the seed, the noise fields, pictures that are drawn once.

The published sets overlap in the same way: VQAv2, OK-VQA, A-OKVQA, COCO-QA, Visual7W, TallyQA,
VSR and Localized Narratives all ask about COCO, TextVQA and TextCaps about the same OpenImages
photographs, CLEVR-Math about CLEVR's.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cauldron.sample.draw.texture import Textures
from cauldron.sample.model import Facts, Picture, Rng


@dataclass
class Shown:
    """Pictures of one row, what can be said about them, and what else its layout needs."""

    pictures: list[Picture]
    facts: Facts
    extra: dict[str, Any] = field(default_factory=dict)


class Studio:
    """The shared part of one hub.

    Attributes:
        seed: of everything.
        rows: ordinary rows per set.
        pools: the pictures that several sets share, filled by `cauldron.sample.rows.pool`.
    """

    def __init__(self, seed: int, rows: int) -> None:
        self.seed = seed
        self.rows = rows
        self.textures = Textures(seed)
        self.pools: dict[str, list[Shown]] = {}

    def rng(self, purpose: str) -> Rng:
        """A generator of its own for every purpose, so that sets do not depend on each other."""
        return np.random.default_rng([self.seed, zlib.crc32(purpose.encode())])
