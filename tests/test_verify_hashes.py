"""`cauldron verify` compares stored hashes with those of imagehash."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pytest
from PIL import Image

from cauldron.core.output.finished import find_finished
from cauldron.inspect.verify.corpus import Counted, check_part, corpus_problems, places
from cauldron.inspect.verify.hashes import FEWEST, FURTHEST, distance, hash_problems


def test_hashes_of_the_sample_are_those_of_imagehash(built: tuple[Path, Any]) -> None:
    out = str(built[0])
    checked = 0
    for corpus in places(find_finished(out)):
        parts = [check_part(out, corpus, part) for part in corpus.manifest.parts]
        assert corpus_problems(corpus, parts) == []
        checked += sum(len(part.hash_distances) for part in parts)
    assert checked > 100


def test_a_hash_of_another_picture_is_far() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (2, 8, 8), dtype=np.uint8)
    own, other = (Image.fromarray(levels).resize((96, 64)) for levels in noise)
    assert distance(_png(own), _info(own)) == 0
    assert (distance(_png(own), _info(other)) or 0) > FURTHEST


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"no picture"])
def test_what_does_not_decode_is_another_checks_finding(data: bytes) -> None:
    assert distance(data, {"width": 4, "height": 4, "phash": 0, "phash256": bytes(32)}) is None


def test_flat_and_huge_pictures_are_not_judged() -> None:
    flat = Image.new("L", (40, 30), 200)
    assert distance(_png(flat), _info(flat)) is None
    assert distance(_png(flat), _info(flat) | {"width": 100_000, "height": 100_000}) is None


def test_a_corpus_is_judged_by_most_of_enough_pictures(built: tuple[Path, Any]) -> None:
    far, near = FURTHEST + 0.1, FURTHEST - 0.1
    assert hash_problems("corpus/x", [far] * (FEWEST - 1)) == []
    assert hash_problems("corpus/x", [far, near] * FEWEST) == []
    (problem,) = hash_problems("corpus/x", [far] * FEWEST + [near])
    assert "corpus/x: the stored hashes of 8 of 9 pictures are not theirs" in problem
    corpus = places(find_finished(str(built[0])))[0]
    halves = [Counted(hash_distances=[far] * (FEWEST // 2)) for _ in range(2)]
    assert any("imagehash" in line for line in corpus_problems(corpus, halves))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _info(image: Image.Image) -> dict[str, Any]:
    """What ingest would store, by the reference itself."""
    wide = bytes.fromhex(str(imagehash.phash(image.convert("L"), hash_size=16)))
    narrow = int(str(imagehash.phash(image.convert("L"))), 16)
    return {"width": image.width, "height": image.height, "phash": narrow, "phash256": wide}
