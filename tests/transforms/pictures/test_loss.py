"""How lossy a published file was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cauldron.sources.base import RawImage
from cauldron.transforms.matching.cluster.leader import best_first
from cauldron.transforms.matching.cluster.representatives import MEMBER
from cauldron.transforms.pictures.loss import PALETTE_LOSS, UNKNOWN_LOSS
from cauldron.transforms.pictures.prepare import prepare_image
from PIL import ExifTags, Image

from cauldron.core.sections.rules import ImageRules
from tests.transforms.made_pictures import encoded, photograph

PHOTO = photograph(1, 64, 48)


def loss(kind: str, image: Image.Image = PHOTO, **options: Any) -> int:
    return prepare_image(RawImage(encoded(image, kind, **options)), ImageRules()).signature.loss


def test_lossless_comes_before_a_palette_before_jpeg_by_quality_before_what_does_not_say():
    losses = [
        loss("PNG"),
        loss("GIF"),
        loss("JPEG", quality=100),
        loss("JPEG", quality=95, progressive=True),
        loss("JPEG", quality=90, subsampling=0),
        loss("JPEG", quality=10),
        loss("WEBP", quality=90),
    ]
    assert losses == sorted(set(losses))
    assert losses[:3] == [0, PALETTE_LOSS, 64]
    assert losses[-1] == UNKNOWN_LOSS


@pytest.mark.parametrize(
    ("kind", "options"), [("WEBP", {"lossless": True}), ("BMP", {}), ("TIFF", {})]
)
def test_these_are_lossless(kind: str, options: dict[str, Any]):
    assert loss(kind, **options) == 0


def test_lossless_webp_is_recognised_behind_other_chunks_and_jpeg_inside_tiff():
    assert loss("WEBP", lossless=True, icc_profile=b"profile") == 0
    assert loss("TIFF", compression="jpeg") == UNKNOWN_LOSS


def test_a_jpeg_written_anew_keeps_the_loss_of_the_published_one():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    assert loss("JPEG", quality=50, exif=exif) == loss("JPEG", quality=50)


def test_of_equally_large_pictures_the_least_lossy_is_the_best_of_a_cluster():
    members = np.zeros(4, dtype=MEMBER)
    members["pixels"], members["loss"] = [9, 9, 9, 10], [700, 64, 0, 9_000]
    members["source"] = [0, 1, 2, 3]
    assert best_first(members).tolist() == [3, 2, 1, 0]
