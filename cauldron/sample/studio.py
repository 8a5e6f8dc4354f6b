"""What several sets share, drawn once: noise fields, the COCO and CLEVR pictures, signs.

The published sets overlap in the same way: VQAv2, OK-VQA, A-OKVQA, COCO-QA, Visual7W, TallyQA,
VSR and Localized Narratives all ask about COCO, TextVQA and TextCaps about the same OpenImages
photographs, CLEVR-Math about CLEVR's.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from cauldron.sample.draw import photograph
from cauldron.sample.draw.photograph import Photo
from cauldron.sample.draw.texture import Textures
from cauldron.sample.model import Facts, Picture, Rng, jpeg, pick, png
from cauldron.sample.words import WORDS, any_slots, filled

SIGN_COLORS = ("red", "blue", "green", "purple", "brown")


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
    """

    def __init__(self, seed: int, rows: int) -> None:
        self.seed = seed
        self.rows = rows
        self.textures = Textures(seed)

    def rng(self, purpose: str) -> Rng:
        """A generator of its own for every purpose, so that sets do not depend on each other."""
        return np.random.default_rng([self.seed, zlib.crc32(purpose.encode())])

    @cached_property
    def coco(self) -> list[tuple[Photo, Picture]]:
        """Photographs under COCO's file names, three times as many as a set has rows."""
        rng = self.rng("coco")
        numbers = np.sort(rng.choice(580_000, size=3 * self.rows, replace=False))
        photos = [photograph.any_photo(rng) for _ in numbers]
        names = [f"COCO_train2014_{number:012d}.jpg" for number in numbers]
        return [(photo, self.taken(photo, n)) for photo, n in zip(photos, names, strict=True)]

    @cached_property
    def clevr(self) -> list[tuple[Photo, Picture]]:
        rng, made = self.rng("clevr pictures"), []
        for i in range(self.rows):
            scene = photograph.any_solids(rng, i)
            image = photograph.draw(scene, self.textures)
            made.append((scene, png(image, f"CLEVR_train_{i:06d}.png")))
        return made

    @cached_property
    def signs(self) -> list[Shown]:
        rng = self.rng("signs")
        return [self.sign(rng) for _ in range(self.rows)]

    def sign(self, rng: Rng) -> Shown:
        """A photograph of a board, and what stands on it."""
        kind, color = pick(rng, sorted(WORDS["signs"])), pick(rng, SIGN_COLORS)
        slots = any_slots(rng, WORDS["signs"][kind]["slots"])
        lines = filled(WORDS["signs"][kind]["lines"], slots)
        photo = photograph.any_photo(rng, pick(rng, photograph.OUTDOORS))
        photo = replace(photo, things=(), sign=(color, *lines))
        read = {"color": color, "read": ", ".join(lines), "setting": photo.setting}
        return Shown([self.taken(photo)], {kind: [slots], "sign": [read]})

    def taken(self, photo: Photo, path: str | None = None) -> Picture:
        return jpeg(photograph.draw(photo, self.textures), path)
