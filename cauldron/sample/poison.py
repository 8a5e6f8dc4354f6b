"""Bytes and rows that something is wrong with, and harmless oddities that only look wrong."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image

from cauldron.sample.ink import opened
from cauldron.sample.model import KEPT, Fate, Item, Picture, Turn, dropped, quarantined

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


# Rows. Each function takes an ordinary row and returns a broken or odd one.
def _picture(item: Item, data: bytes | None) -> Item:
    return replace(item, pictures=[Picture(data), *item.pictures[1:]])


def _cut(item: Item) -> bytes:
    data = item.pictures[0].data
    assert data is not None
    return data[: len(data) // 2]


def _turns(item: Item, turns: list[Turn], fate: Fate) -> Item:
    return replace(item, turns=turns, fate=fate)


def _pair(item: Item) -> tuple[str, str]:
    user, assistant = item.turns[0]
    return user or "What is shown here?", assistant or "A picture."


def _many(item: Item) -> Item:
    user, assistant = _pair(item)
    turns: list[Turn] = [(f"{user} (number {i})", assistant) for i in range(MANY_TURNS)]
    return _turns(item, turns, KEPT)


def _artefacts(item: Item) -> Item:
    turns: list[Turn] = [
        ("What is this?.", "A picture!."),
        ("Really?.\nBriefly.", 'He said "yes!."'),
    ]
    return _turns(item, turns, KEPT)


def _mojibake(item: Item) -> Item:
    turns: list[Turn] = [("WofÃ¼r steht das CafÃ©?", "Itâ€™s a cafÃ© â€“ naÃ¯ve. \ufffd Ã\x9cber")]
    return _turns(item, turns, KEPT)


def _in_dialogue(item: Item) -> Item:
    """There a bad turn takes its row."""
    return replace(item, fate=replace(item.fate, outcome="dropped", reason="bad_turn"))


ROWS: dict[str, Callable[[Item], Item]] = {
    "no images": lambda i: replace(i, pictures=[], fate=quarantined("no_images")),
    "image bytes are null": lambda i: replace(_picture(i, None), fate=quarantined("missing_image")),
    "image bytes are empty": lambda i: replace(_picture(i, b""), fate=quarantined("missing_image")),
    "image bytes are not an image": lambda i: replace(
        _picture(i, b"<html>404 Not Found</html>" * 9), fate=quarantined("image_unreadable")
    ),
    "image cut in half": lambda i: replace(
        _picture(i, _cut(i)), fate=quarantined("image_truncated")
    ),
    "60,000 x 60,000 PNG of 1 kB": lambda i: replace(
        _picture(i, huge_png()), fate=quarantined("image_too_large")
    ),
    "images are null": lambda i: replace(
        i, extra={**i.extra, "null": "images"}, fate=quarantined("bad_row")
    ),
    "turns are null": lambda i: replace(
        i, extra={**i.extra, "null": "turns"}, fate=quarantined("bad_row")
    ),
    "no turns": lambda i: _turns(i, [], dropped("no_turns")),
    "every answer is empty": lambda i: _turns(
        i,
        [(_pair(i)[0], ""), (_pair(i)[0], None)],
        Fate("dropped", "no_turns", {"empty_answer": 2}),
    ),
    "the answer is empty": lambda i: _turns(
        i, [(_pair(i)[0], "")], Fate("dropped", "no_turns", {"empty_answer": 1})
    ),
    "questions are null": lambda i: replace(
        i, extra={**i.extra, "null": "turns"}, fate=dropped("no_turns")
    ),
    "the path of a picture that is nowhere": lambda i: replace(
        i,
        pictures=[Picture(None, "/fsx/gone/nowhere_000000.png")],
        fate=dropped("image_not_shipped"),
    ),
    "five pages": lambda i: replace(
        i, pictures=[i.pictures[0]] * 5, fate=dropped("too_many_pages")
    ),
    "one empty answer": lambda i: _turns(
        i, [*i.turns, ("And what else?", "  ")], Fate(turns={"empty_answer": 1})
    ),
    "one empty question": lambda i: _turns(
        i, [*i.turns, (None, "Nobody asked.")], Fate(turns={"empty_question": 1})
    ),
    f"{MANY_TURNS:,} turns": _many,
    'endings "?." and "!."': _artefacts,
    "mojibake": _mojibake,
    "one refusal": lambda i: _turns(
        i,
        [*i.turns, ("Who is the person?", "I'm sorry, but I can't help with identifying people.")],
        Fate(turns={"refusal": 1}),
    ),
    "nothing but a refusal": lambda i: _turns(
        i,
        [(_pair(i)[0], "As an AI language model, I cannot see images.")],
        Fate("dropped", "no_turns", {"refusal": 1}),
    ),
    "one special token": lambda i: _turns(
        i, [*i.turns, ("Go on.", "That is all.</s>")], Fate(turns={"special_token": 1})
    ),
    "a dialogue with one refusal": lambda i: _in_dialogue(ROWS["one refusal"](i)),
    "a dialogue with one special token": lambda i: _in_dialogue(ROWS["one special token"](i)),
    "an answer of over 500 characters": lambda i: _turns(
        i,
        [*i.turns, ("Tell me all about it.", "The document goes on and on. " * 20)],
        dropped("long_turn"),
    ),
}


def spoiled(item: Item, what: str) -> Item:
    return replace(ROWS[what](item), plant=what)
