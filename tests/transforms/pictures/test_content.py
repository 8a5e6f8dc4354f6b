"""What is inside a border: found to the pixel, never with anything cut off that can be seen."""

from __future__ import annotations

import io

import numpy as np
import pytest
from cauldron.sources.base import RawImage
from cauldron.transforms.pictures.content import Box, content_box
from cauldron.transforms.pictures.hashes import GreyPicture
from cauldron.transforms.pictures.prepare import prepare_image
from cauldron.transforms.pictures.signatures import Signature
from PIL import Image, ImageDraw, ImageOps

from cauldron.core.sections.rules import ImageRules


def textured(width: int, height: int, seed: int = 1) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(30, 226, (9, 12), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def box_of(image: Image.Image) -> Box | None:
    return content_box(GreyPicture.of(image))


def signed(image: Image.Image, kind: str = "PNG") -> tuple[int, Signature]:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    stored = prepare_image(RawImage(buffer.getvalue()), ImageRules())
    return stored.info.phash, stored.signature


@pytest.mark.parametrize("border", [(9, 9, 9, 9), (40, 0, 0, 0), (0, 31, 0, 17), (5, 8, 60, 25)])
@pytest.mark.parametrize("level", [0, 120, 255])
@pytest.mark.parametrize("size", [(300, 200), (1241, 877)])
def test_a_border_is_found_to_the_pixel(border, level, size):
    left, top, right, below = (side * size[0] // 300 for side in border)
    bordered = ImageOps.expand(textured(*size), (left, top, right, below), level)
    inside = np.asarray(bordered)[top : top + size[1], left : left + size[0]]
    # The drawing itself may begin with the level of the border.
    assert (np.abs(inside.astype(int) - level) > 8).any(axis=0)[[0, -1]].all()
    assert (np.abs(inside.astype(int) - level) > 8).any(axis=1)[[0, -1]].all()
    assert box_of(bordered) == Box(left, top, *size)


def test_a_picture_without_a_rim_has_no_content():
    assert box_of(textured(320, 240)) is None
    assert box_of(Image.new("L", (320, 240), 255)) is None


def test_a_page_number_in_the_corner_is_content():
    page = Image.new("L", (800, 1000), 255)
    page.paste(textured(500, 500), (150, 150))
    assert box_of(page) == Box(150, 150, 500, 500)
    ImageDraw.Draw(page).rectangle((700, 950, 703, 955), fill=60)
    assert box_of(page) == Box(150, 150, 554, 806)


def test_too_little_content_has_no_hashes():
    page = Image.new("L", (800, 1000), 255)
    page.paste(textured(500, 300), (150, 150))
    assert box_of(page) is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_content_of_a_bordered_copy_has_the_hashes_of_the_original(kind):
    picture = textured(640, 480)
    known, signature = signed(picture, kind)
    narrow, bordered = signed(ImageOps.expand(picture, 32, 255), kind)
    content = bordered.content
    assert content is not None
    wide = int.from_bytes(content.phash256, "big") ^ int.from_bytes(signature.phash256, "big")
    most = 0 if kind == "PNG" else 16
    assert (content.phash ^ known).bit_count() <= most // 4
    assert wide.bit_count() <= most
    assert (narrow ^ known).bit_count() > 8
    near = 0 if kind == "PNG" else 16
    assert abs(content.width - 640) <= near
    assert abs(content.left - 32) <= near
