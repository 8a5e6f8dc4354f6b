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
from cauldron.sample.words import LAST, MONTHS, TOWNS, WORDS


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
        return [
            self.taken(photograph.any_photo(rng), f"COCO_train2014_{number:012d}.jpg")
            for number in numbers
        ]

    @cached_property
    def clevr(self) -> list[tuple[Photo, Picture]]:
        rng, made = self.rng("clevr pictures"), []
        for i in range(self.rows):
            scene = photograph.any_solids(rng, i)
            image = photograph.draw(scene, self.textures)
            made.append((scene, png(image, f"CLEVR_train_{i:06d}.png")))
        return made

    @cached_property
    def signs(self) -> list[tuple[Photo, Picture, Facts]]:
        rng = self.rng("signs")
        return [self.sign(rng) for _ in range(self.rows)]

    def sign(self, rng: Rng) -> tuple[Photo, Picture, Facts]:
        """A photograph of a board, and what stands on it."""
        kind = pick(rng, ("shop", "road", "poster"))
        number = str(int(rng.integers(1890, 2015)))
        if kind == "shop":
            first, second = f"{pick(rng, LAST)}'s {pick(rng, WORDS['trades'])}", "since"
            lines = [first, f"since {number}"]
        elif kind == "road":
            first, second = (pick(rng, TOWNS[:10]), pick(rng, TOWNS[10:]))
            number = str(int(rng.integers(2, 90)))
            lines = [f"{first}  {number} km", f"{second}  {int(rng.integers(90, 300))} km"]
        else:
            first, second = pick(rng, WORDS["titles"]), pick(rng, MONTHS)
            number = str(int(rng.integers(1, 29)))
            lines = [first, f"{second} {number}", f"Town hall of {pick(rng, TOWNS)}"]
        color = pick(rng, ("red", "blue", "green", "purple", "brown"))
        place = pick(rng, [p for p in photograph.PLACES if not photograph.PLACES[p].get("indoors")])
        photo = replace(photograph.any_photo(rng, place), things=(), sign=(color, *lines))
        fact = {"first": first, "second": second, "number": number, "color": color}
        fact |= {"read": ", ".join(lines), "setting": photo.setting}
        others: Facts = {name: [] for name in ("shop", "road", "poster")}
        return *self.taken(photo), {**others, kind: [fact], "sign": [fact]}

    def taken(self, photo: Photo, path: str | None = None) -> tuple[Photo, Picture]:
        return photo, jpeg(photograph.draw(photo, self.textures), path)
