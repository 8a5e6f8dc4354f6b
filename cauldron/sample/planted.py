"""What is planted: copies, near duplicates, odd pictures and broken rows.

``data/planted.yaml`` says where, and what is wrong with the broken rows. Everything planted comes
after a source's ordinary rows and on top of their number.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image

from cauldron.sample.model import Fate, Item, Picture, Turn, load, opened, saved

PLANTED = load("planted")


def extra_rows(source: str, items: list[Item], every: dict[str, list[Item]]) -> list[Item]:
    """The planted rows of a source.

    Args:
        items: its ordinary rows.
        every: the ordinary rows of all sources.
    """

    def row(rows: list[Item], number: int) -> Item:
        return rows[number % len(rows)]

    planted = [_copy(row(items, number)) for number in PLANTED["copies"].get(source, ())]
    planted += [_slip(row(items, number)) for number in PLANTED["slips"].get(source, ())]
    for number, change in PLANTED["near"].get(source, ()):
        planted.append(_near(row(items, number), PLANTED["changes"][change]))
    for origin, number, change in PLANTED["across"].get(source, ()):
        planted.append(_near(row(every[origin], number), PLANTED["changes"][change]))
    for number, what in enumerate(PLANTED["odd"].get(source, ()), 8):
        planted.append(odd(row(items, number), what))
    for number, what in enumerate(PLANTED["rows"].get(source, ()), 12):
        planted.append(spoiled(row(items, number), what))
    return planted


def _copy(item: Item) -> Item:
    return replace(item, fate=Fate("merged", "exact_copy"), plant="exact copy")


def _slip(item: Item) -> Item:
    turns: list[Turn] = [
        ((user or "").replace("?", "?.", 1), answer) for user, answer in item.turns
    ]
    return replace(item, turns=turns, fate=Fate("merged", "exact_copy"), plant='copy with "?."')


def _near(item: Item, change: str) -> Item:
    first = altered(item.pictures[0], change)
    return replace(item, pictures=[first, *item.pictures[1:]], plant=f"near duplicate: {change}")


def huge_png(side: int = 60_000) -> bytes:
    """A valid header for `side` x `side` pixels, and about a kilobyte of compressed zeros."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1_000_000), 9))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def _cropped(image: Image.Image) -> Image.Image:
    dx, dy = max(image.width // 100, 1), max(image.height // 100, 1)
    return image.crop((dx, dy, image.width - dx, image.height - dy))


def _resized(image: Image.Image) -> Image.Image:
    size = (round(image.width * 0.7), round(image.height * 0.7))
    return image.resize(size, Image.Resampling.LANCZOS)


def _brighter(image: Image.Image) -> Image.Image:
    return image.point(lambda value: min(value * 1.12, 255))


# What makes a near duplicate of a decoded picture.
ALTERATIONS: dict[str, Callable[[Image.Image], bytes]] = {
    "re-encoded as JPEG of quality 55": lambda image: saved(image, "JPEG", quality=55),
    "re-encoded as PNG, same pixels": lambda image: saved(image, "PNG", compress_level=3),
    "resized to 70 percent": lambda image: saved(_resized(image), "JPEG", quality=90),
    "12 percent brighter": lambda image: saved(_brighter(image), "JPEG", quality=90),
    "2 percent cropped": lambda image: saved(_cropped(image), "JPEG", quality=90),
}


def altered(picture: Picture, change: str) -> Picture:
    image = opened(picture)
    flat = image if image.mode in ("RGB", "L") else image.convert("RGB")
    return Picture(ALTERATIONS[change](flat), None, picture, change)


def _exif_rotated(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    lying = image.transpose(Image.Transpose.ROTATE_90)
    return saved(lying, "JPEG", quality=88, exif=exif)


def _rgba(image: Image.Image) -> bytes:
    clear = image.copy()
    clear.putalpha(image.convert("L").point(lambda value: 0 if value > 250 else 255))
    return saved(clear, "PNG", compress_level=3)


def _grey_alpha(image: Image.Image) -> bytes:
    grey = image.convert("L")
    return saved(Image.merge("LA", (grey, grey.point(lambda value: 255 - value // 2))), "PNG")


def _animated(image: Image.Image) -> bytes:
    small = image.convert("P")
    return saved(small, "GIF", save_all=True, append_images=[small.point(lambda v: v // 2)])


# Published pictures in forms that must be read, not refused; each is made of an RGB picture.
ODDITIES: dict[str, Callable[[Image.Image], bytes]] = {
    "EXIF says it lies on its side": _exif_rotated,
    "PNG with alpha (RGBA)": _rgba,
    "PNG with a palette and a transparent colour (P)": lambda image: saved(
        image.quantize(32), "PNG", transparency=0
    ),
    "grey PNG with alpha (LA)": _grey_alpha,
    "CMYK JPEG": lambda image: saved(image.convert("CMYK"), "JPEG", quality=88),
    "16-bit grey PNG (I;16)": lambda image: saved(
        Image.fromarray(np.asarray(image.convert("L"), np.uint16) * np.uint16(257)), "PNG"
    ),
    "1-bit PNG": lambda image: saved(image.convert("1"), "PNG"),
    "animated GIF named .jpg": _animated,
    # Uncompressed, as `datasets` saves modes it knows no other format for; libtiff, which
    # compresses, leaves a byte of padding to chance.
    "TIFF": lambda image: saved(image.resize((240, 180)), "TIFF"),
    "WebP": lambda image: saved(image, "WEBP", quality=80, method=2),
    "BMP": lambda image: saved(image.resize((160, 120)), "BMP"),
}


def odd(item: Item, what: str) -> Item:
    """The row with its picture in an odd form."""
    name = "picture.jpg" if what.endswith(".jpg") else None
    data = ODDITIES[what](opened(item.pictures[0]).convert("RGB"))
    return replace(item, pictures=[Picture(data, name), *item.pictures[1:]], plant=what)


# What can be wrong with the bytes of a picture.
BYTES: dict[str, Callable[[bytes], bytes | None]] = {
    "missing": lambda data: None,
    "empty": lambda data: b"",
    "html": lambda data: b"<html>404 Not Found</html>" * 9,
    "half": lambda data: data[: len(data) // 2],
    "huge": lambda data: huge_png(),
}


def spoiled(item: Item, what: str) -> Item:
    """The row with its first turn, and with something wrong with it."""
    wanted, extra = PLANTED["spoiled"][what], item.extra
    pictures = item.pictures[: wanted.get("pages")]
    # Never equal to the ordinary row.
    turns = [(f"{user} Please check." if user else user, answer) for user, answer in item.turns[:1]]
    if "bytes" in wanted:
        data = BYTES[wanted["bytes"]](pictures[0].data or b"")
        pictures = [Picture(data), *pictures[1:]]
    if "path" in wanted:
        pictures = [Picture(None, wanted["path"])]
    if "answers" in wanted:
        turns = [(turns[0][0], answer) for answer in wanted["answers"]]
    if "copies" in wanted:
        user, answer = turns[0]
        turns = [(f"{user} (number {i})", answer) for i in range(wanted["copies"])]
    turns = [(user, answer) for user, answer in wanted.get("turns", turns)]
    turns += [(user, answer) for user, answer in wanted.get("more", ())]
    if "null" in wanted:
        extra = {**extra, "null": wanted["null"]}
    outcome, reason = wanted.get("fate", ("kept", ""))
    fate = Fate(outcome, reason, wanted.get("lost", {}))
    return Item(pictures * wanted.get("times", 1), turns, extra, fate, what)
