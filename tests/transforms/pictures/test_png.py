"""The fast PNG decoder: the pixels of Pillow, or nothing."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from cauldron.transforms.pictures.png import decode_png, luma
from PIL import Image

from tests.transforms.made_pictures import chart, decoded, encoded, page, photograph

START = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def made(width: int, height: int, rows: bytes, *kind: int, level: int = 6) -> bytes:
    """A PNG of filtered rows; `kind` is depth, colour type, compression, filter, interlacing."""
    header = struct.pack(">2I5B", width, height, *(kind or (8, 2, 0, 0, 0)))
    packed = chunk(b"IDAT", zlib.compress(rows, level))
    return START + chunk(b"IHDR", header) + packed + chunk(b"IEND", b"")


SAME = {
    "photograph": encoded(photograph(1), "PNG"),
    "chart": encoded(chart(1), "PNG", optimize=True),
    "page, grey": encoded(page(1).convert("L"), "PNG"),
    "not compressed": encoded(photograph(2, 61, 47), "PNG", compress_level=0),
    "one pixel": encoded(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG"),
    "one row": encoded(photograph(3, 300, 1), "PNG"),
    "one column": encoded(photograph(3, 1, 300), "PNG"),
    "resolution": encoded(chart(2), "PNG", dpi=(300, 300)),
}


@pytest.mark.parametrize("name", SAME)
def test_pixels_and_grey_levels_are_those_of_pillow(name: str):
    pixels, image = decode_png(SAME[name]), decoded(SAME[name])
    assert pixels is not None
    assert np.array_equal(pixels, np.asarray(image))
    assert np.array_equal(luma(pixels), np.asarray(image.convert("L")))


@pytest.mark.parametrize("colour", [0, 2])
def test_every_filter_on_random_bytes(colour: int):
    random = np.random.default_rng(colour)
    width, height = 37, 200
    stride = width * (3 if colour else 1)
    rows = random.integers(0, 256, (height, 1 + stride), np.uint8)
    # Runs of equal bytes as well, which Paeth's rule treats by themselves.
    rows[:, 1:] *= random.random((height, stride)) < np.linspace(0, 1, height)[:, None]
    rows[:, 0] = random.integers(0, 5, height)
    data = made(width, height, rows.tobytes(), 8, colour, 0, 0, 0)
    assert np.array_equal(decode_png(data), np.asarray(decoded(data)))


def test_pixels_in_many_chunks():
    header, packed = SAME["chart"][:33], zlib.compress(b"\0\1\2\3" * 4)
    parts = b"".join(chunk(b"IDAT", packed[at : at + 2]) for at in range(0, len(packed), 2))
    header = START + chunk(b"IHDR", struct.pack(">2I5B", 1, 4, 8, 2, 0, 0, 0))
    data = header + parts + chunk(b"IEND", b"")
    assert np.array_equal(decode_png(data), np.asarray(decoded(data)))


def test_other_kinds_are_left_to_another_decoder():
    late = chunk(b"tEXt", b"late\0a note")
    others = {
        "JPEG": encoded(chart(1), "JPEG"),
        "nothing": b"",
        "a header only": SAME["chart"][:33],
        "RGBA": encoded(chart(1).convert("RGBA"), "PNG"),
        "palette": encoded(chart(1).convert("P"), "PNG"),
        "one bit": encoded(chart(1).convert("1"), "PNG"),
        "16 bits": encoded(Image.fromarray(np.zeros((9, 9), np.uint16)), "PNG"),
        "transparent colour": encoded(chart(1), "PNG", transparency=(255, 255, 255)),
        "animated": encoded(chart(1), "PNG", save_all=True, append_images=[chart(2)]),
        "a chunk after the pixels": SAME["chart"][:-12] + late + SAME["chart"][-12:],
        "interlaced": made(2, 2, b"\0" * 14, 8, 2, 0, 0, 1),
    }
    assert [name for name, data in others.items() if decode_png(data) is not None] == []


def test_damage_is_left_to_another_decoder():
    whole = b"\0\1\2\3\4\5\6" * 2
    assert decode_png(made(2, 2, whole)) is not None
    packed = zlib.compress(whole)
    broken = packed[:-1] + bytes([packed[-1] ^ 1])
    damaged = {
        "a row too few": made(2, 3, whole),
        "a row too many": made(2, 1, whole),
        "an unknown filter": made(2, 2, b"\5" + whole[1:]),
        "a wrong checksum of the pixels": made(2, 2, whole).replace(packed, broken),
        "cut": SAME["page, grey"][:-3000],
        "no end": made(2, 2, whole)[:-12],
    }
    assert [name for name, data in damaged.items() if decode_png(data) is not None] == []


def test_a_header_that_promises_more_than_its_bytes_can_hold_allocates_nothing(monkeypatch):
    def fail(*_: object) -> bytes:
        raise AssertionError("inflated")

    monkeypatch.setattr("cauldron.transforms.pictures.png.zlib_decompress", fail)
    assert decode_png(made(30_000, 30_000, b"\0\0")) is None
