"""What several sets share, drawn once: noise fields, the COCO and CLEVR pictures, shop signs.

The published sets overlap in the same way: VQAv2, OK-VQA, A-OKVQA, COCO-QA, Visual7W, TallyQA,
VSR and Localized Narratives all ask about COCO, TextVQA and TextCaps about the same OpenImages
photographs, CLEVR-Math about CLEVR's.
"""

from __future__ import annotations

import zlib
from functools import cached_property

import numpy as np

from cauldron.sample import draw_clevr, draw_photos, draw_signs, scenes
from cauldron.sample.draw_signs import Sign
from cauldron.sample.ink import jpeg, png
from cauldron.sample.model import Picture, Rng
from cauldron.sample.scenes import Scene
from cauldron.sample.solids import Solid
from cauldron.sample.texture import Textures


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
    def coco(self) -> list[tuple[Scene, Picture]]:
        """Photographs under COCO's file names, three times as many as a set has rows."""
        rng = self.rng("coco")
        numbers = np.sort(rng.choice(580_000, size=3 * self.rows, replace=False))
        return [
            self.photo(scenes.any_photo(rng), f"COCO_train2014_{number:012d}.jpg")
            for number in numbers
        ]

    def coco_window(self, start: float) -> list[tuple[Scene, Picture]]:
        """`rows` COCO photographs, from a part `start` of the pool on; windows overlap."""
        first = round(start * len(self.coco))
        return [self.coco[(first + i) % len(self.coco)] for i in range(self.rows)]

    @cached_property
    def clevr(self) -> list[tuple[list[Solid], Picture]]:
        rng = self.rng("clevr pictures")
        made = []
        for i in range(self.rows):
            solids = draw_clevr.any_scene(rng)
            image = draw_clevr.draw_scene(solids, self.textures, rng)
            made.append((solids, png(image, f"CLEVR_train_{i:06d}.png")))
        return made

    @cached_property
    def signs(self) -> list[tuple[Sign, Picture]]:
        rng = self.rng("signs")
        return [self.sign(rng) for _ in range(self.rows)]

    def sign(self, rng: Rng) -> tuple[Sign, Picture]:
        sign = draw_signs.any_sign(rng)
        return sign, jpeg(draw_signs.draw_sign(sign, self.textures, rng), 86)

    def photo(self, scene: Scene, path: str | None = None) -> tuple[Scene, Picture]:
        return scene, jpeg(draw_photos.draw_photo(scene, self.textures), 86, path)
