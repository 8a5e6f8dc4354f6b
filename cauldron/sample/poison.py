"""Bytes and rows that something is wrong with, and harmless oddities that only look wrong."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from cauldron.sample.model import KEPT, Fate, Item, Picture, Turn, dropped, opened, quarantined

MANY_TURNS = 10_000


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def huge_png(side: int = 60_000) -> bytes:
    """A valid header for `side` x `side` pixels, and about a kilobyte of compressed zeros."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


# Alterations: what makes a near duplicate. Each takes the decoded picture.
def _cropped(image: Image.Image) -> Image.Image:
    dx, dy = max(image.width // 100, 1), max(image.height // 100, 1)
    return image.crop((dx, dy, image.width - dx, image.height - dy))


def _resized(image: Image.Image) -> Image.Image:
    size = (round(image.width * 0.7), round(image.height * 0.7))
    return image.resize(size, Image.Resampling.LANCZOS)


def _brighter(image: Image.Image) -> Image.Image:
    return image.point(lambda value: min(value * 1.12, 255))


ALTERATIONS: dict[str, Callable[[Image.Image], bytes]] = {
    "re-encoded as JPEG of quality 55": lambda image: _saved(image, "JPEG", quality=55),
    "re-encoded as PNG, same pixels": lambda image: _saved(image, "PNG", compress_level=3),
    "resized to 70 percent": lambda image: _saved(_resized(image), "JPEG", quality=90),
    "12 percent brighter": lambda image: _saved(_brighter(image), "JPEG", quality=90),
    "2 percent cropped": lambda image: _saved(_cropped(image), "JPEG", quality=90),
}


def altered(picture: Picture, change: str) -> Picture:
    image = opened(picture)
    flat = image if image.mode in ("RGB", "L") else image.convert("RGB")
    return Picture(ALTERATIONS[change](flat), None, picture, change)


# Oddities: published pictures in forms that must be read, not refused.
def _exif_rotated(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    lying = image.convert("RGB").transpose(Image.Transpose.ROTATE_90)
    return _saved(lying, "JPEG", quality=88, exif=exif)


def _rgba(image: Image.Image) -> bytes:
    clear = image.convert("RGBA")
    clear.putalpha(image.convert("L").point(lambda value: 0 if value > 250 else 255))
    return _saved(clear, "PNG", compress_level=3)


def _palette(image: Image.Image) -> bytes:
    few = image.convert("RGB").quantize(32)
    return _saved(few, "PNG", transparency=0)


def _grey_alpha(image: Image.Image) -> bytes:
    grey = image.convert("L")
    return _saved(Image.merge("LA", (grey, grey.point(lambda value: 255 - value // 2))), "PNG")


def _sixteen_bit(image: Image.Image) -> bytes:
    deep = np.asarray(image.convert("L"), np.uint16) * np.uint16(257)
    return _saved(Image.fromarray(deep), "PNG")


def _animated(image: Image.Image) -> bytes:
    small = image.convert("P")
    return _saved(small, "GIF", save_all=True, append_images=[small.point(lambda v: v // 2)])


ODDITIES: dict[str, Callable[[Image.Image], bytes]] = {
    "EXIF says it lies on its side": _exif_rotated,
    "PNG with alpha (RGBA)": _rgba,
    "PNG with a palette and a transparent colour (P)": _palette,
    "grey PNG with alpha (LA)": _grey_alpha,
    "CMYK JPEG": lambda image: _saved(image.convert("CMYK"), "JPEG", quality=88),
    "16-bit grey PNG (I;16)": _sixteen_bit,
    "1-bit PNG": lambda image: _saved(image.convert("1"), "PNG"),
    "animated GIF named .jpg": _animated,
    # Uncompressed, as `datasets` saves modes it knows no other format for; libtiff, which
    # compresses, leaves a byte of padding to chance.
    "TIFF": lambda image: _saved(image.convert("RGB").resize((240, 180)), "TIFF"),
    "WebP": lambda image: _saved(image.convert("RGB"), "WEBP", quality=80, method=2),
    "BMP": lambda image: _saved(image.convert("RGB").resize((160, 120)), "BMP"),
}


def odd(item: Item, what: str) -> Item:
    """The row with its picture in an odd form."""
    name = "picture.jpg" if what.endswith(".jpg") else None
    data = ODDITIES[what](opened(item.pictures[0]))
    return replace(item, pictures=[Picture(data, name), *item.pictures[1:]], plant=what)


# Rows. Each entry: what of an ordinary row is replaced, and what becomes of the row.
Change = Callable[[Item], dict[str, Any]]


def _first(data: bytes | None) -> Change:
    return lambda item: {"pictures": [Picture(data), *item.pictures[1:]]}


def _cut(item: Item) -> dict[str, Any]:
    data = item.pictures[0].data
    assert data is not None
    return _first(data[: len(data) // 2])(item)


def _null(what: str) -> Change:
    return lambda item: {"extra": {**item.extra, "null": what}}


def _more(user: str | None, answer: str) -> Change:
    return lambda item: {"turns": [*item.turns, (user, answer)]}


def _only(*answers: str | None) -> Change:
    """The first question with other answers."""
    return lambda item: {"turns": [(_question(item), answer) for answer in answers]}


def _question(item: Item) -> str:
    return item.turns[0][0] or "What is shown here?"


def _many(item: Item) -> dict[str, Any]:
    user, answer = _question(item), item.turns[0][1] or "A picture."
    return {"turns": [(f"{user} (number {i})", answer) for i in range(MANY_TURNS)]}


def _turns(*turns: Turn) -> Change:
    return lambda item: {"turns": list(turns)}


def _without_turns(**turns: int) -> Fate:
    return Fate("dropped", "no_turns", turns)


NOWHERE = [Picture(None, "/fsx/gone/nowhere_000000.png")]
HTML = b"<html>404 Not Found</html>" * 9
SORRY = "I'm sorry, but I can't help with identifying people."
ROWS: dict[str, tuple[Change, Fate]] = {
    "no images": (lambda item: {"pictures": []}, quarantined("no_images")),
    "image bytes are null": (_first(None), quarantined("missing_image")),
    "image bytes are empty": (_first(b""), quarantined("missing_image")),
    "image bytes are not an image": (_first(HTML), quarantined("image_unreadable")),
    "image cut in half": (_cut, quarantined("image_truncated")),
    "60,000 x 60,000 PNG of 1 kB": (_first(huge_png()), quarantined("image_too_large")),
    "images are null": (_null("images"), quarantined("bad_row")),
    "turns are null": (_null("turns"), quarantined("bad_row")),
    "no turns": (_turns(), _without_turns()),
    "every answer is empty": (_only("", None), _without_turns(empty_answer=2)),
    "the answer is empty": (_only(""), _without_turns(empty_answer=1)),
    "questions are null": (_null("turns"), _without_turns()),
    "the path of a picture that is nowhere": (
        lambda item: {"pictures": NOWHERE},
        dropped("image_not_shipped"),
    ),
    "five pages": (
        lambda item: {"pictures": [item.pictures[0]] * 5},
        dropped("too_many_pages"),
    ),
    "one empty answer": (_more("And what else?", "  "), Fate(turns={"empty_answer": 1})),
    "one empty question": (_more(None, "Nobody asked."), Fate(turns={"empty_question": 1})),
    f"{MANY_TURNS:,} turns": (_many, KEPT),
    'endings "?." and "!."': (
        _turns(("What is this?.", "A picture!."), ("Really?.\nBriefly.", 'He said "yes!."')),
        KEPT,
    ),
    "mojibake": (
        _turns(("WofÃ¼r steht das CafÃ©?", "Itâ€™s a cafÃ© â€“ naÃ¯ve. \ufffd Ã\x9cber")),
        KEPT,
    ),
    "one refusal": (_more("Who is the person?", SORRY), Fate(turns={"refusal": 1})),
    "nothing but a refusal": (
        _only("As an AI language model, I cannot see images."),
        _without_turns(refusal=1),
    ),
    "one special token": (_more("Go on.", "That is all.</s>"), Fate(turns={"special_token": 1})),
    "an answer of over 500 characters": (
        _more("Tell me all about it.", "The document goes on and on. " * 20),
        dropped("long_turn"),
    ),
}


def spoiled(item: Item, what: str) -> Item:
    change, fate = ROWS[what]
    return replace(item, **change(item), fate=fate, plant=what)
