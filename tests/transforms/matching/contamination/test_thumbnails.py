"""Thumbnails: small, the same every time, and guarded."""

from __future__ import annotations

import io

import numpy as np
import pytest
from cauldron.transforms.matching.contamination import thumbnails
from cauldron.transforms.matching.contamination.thumbnails import Place, Thumbnails, thumbnail
from cauldron.transforms.pictures.opening import ImageProblem
from PIL import Image

from cauldron.core.errors import CauldronError
from tests.transforms.made_pictures import chart, decoded, encoded, page, photograph

MANY = 10**7


@pytest.mark.parametrize(
    ("image", "name", "size"),
    [
        (photograph(1, 640, 480), "JPEG", (256, 192)),
        (page(1), "PNG", (181, 256)),
        (chart(1).convert("L"), "PNG", (256, 192)),
        (chart(2, 120, 90), "JPEG", (120, 90)),
        (photograph(3, 300, 400), "WEBP", (192, 256)),
        (Image.new("RGB", (3000, 1)), "PNG", (256, 1)),
    ],
)
def test_a_thumbnail_is_a_small_jpeg_of_the_same_picture(image, name, size):
    data = encoded(image, name)
    small = thumbnail(data, MANY)
    found = decoded(small)
    assert (found.format, found.size) == ("JPEG", size)
    expected = image.resize(size, Image.Resampling.LANCZOS).convert(found.mode)
    difference = np.abs(np.asarray(found, dtype=float) - np.asarray(expected, dtype=float))
    assert difference.mean() < 6
    assert thumbnail(data, MANY) == small


def test_more_pixels_than_were_stored_are_not_decoded():
    data = encoded(photograph(1, 640, 480), "JPEG")
    assert thumbnail(data, 640 * 480)
    with pytest.raises(ImageProblem, match="640 x 480 pixels"):
        thumbnail(data, 640 * 480 - 1)


@pytest.fixture
def pack(tmp_path):
    pictures = [encoded(photograph(seed), "JPEG") for seed in range(6)]
    path, places, offset = tmp_path / "pack.tar", [], 0
    for data in pictures:
        places.append(Place(str(path), offset, len(data), 320 * 240))
        offset += len(data)
    path.write_bytes(b"".join(pictures))
    return places, pictures


def test_pictures_come_in_the_order_asked_and_each_is_made_once(pack, monkeypatch):
    places, pictures = pack
    made = []

    def counted(data: bytes, pixels: int) -> bytes:
        made.append(data)
        return thumbnail(data, pixels)

    monkeypatch.setattr(thumbnails, "thumbnail", counted)
    maker = Thumbnails(3)
    wanted = [thumbnail(data, MANY) for data in pictures]
    assert maker.get([places[n] for n in (4, 0, 4)]) == [wanted[n] for n in (4, 0, 4)]
    assert maker.get([places[0], places[4]]) == [wanted[0], wanted[4]]
    assert made == [pictures[4], pictures[0]]
    assert maker.get(places) == wanted
    assert len(made) == 6
    maker.get(places[3:])  # the last three are kept, the others are not
    assert len(made) == 6
    maker.get(places[:1])
    assert len(made) == 7


def test_pictures_are_fetched_in_bounded_batches(pack, monkeypatch):
    places, pictures = pack
    held = []
    read = thumbnails.read_ranges

    def counted(ranges):
        held.append(sum(item.length for item in ranges))
        return read(ranges)

    limit = 2 * max(len(data) for data in pictures)
    monkeypatch.setattr(thumbnails, "_FETCH_BYTES", limit)
    monkeypatch.setattr(thumbnails, "read_ranges", counted)
    assert len(Thumbnails(10).get(places)) == 6
    assert len(held) >= 3
    assert max(held) <= limit


def test_bytes_that_are_no_picture_are_told_with_their_place(pack):
    places, _ = pack
    wrong = places[1]._replace(offset=places[1].offset + 10)
    with pytest.raises(CauldronError, match=f"pack.tar: {wrong.length} bytes at {wrong.offset} "):
        Thumbnails(3).get([wrong])
    with pytest.raises(EOFError):
        Thumbnails(3).get([places[-1]._replace(length=10**6)])


def test_thumbnails_carry_no_metadata():
    image = photograph(1)
    data = encoded(image, "JPEG", exif=Image.Exif(), comment=b"made by")
    small = Image.open(io.BytesIO(thumbnail(data, MANY)))
    assert set(small.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
