"""Till receipts as a phone sees them: a slip on a table, slightly turned, uneven light, noise.

Negatives keep the photograph and change the print, as hard as it gets: one price (and with it the
total), one digit of the total, the date, or every count and price of the same shop and dishes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.duplicates.drawn import Drawn, drawn_from
from benchmarks.duplicates.lettering import Face, any_face, other_digit, write
from cauldron.sample.ink import pick, sample
from cauldron.sample.model import Rng
from cauldron.sample.rows_documents import DISHES
from cauldron.sample.texture import Textures, blend, develop, shade
from cauldron.sample.words import TOWNS

TABLES = ((128, 92, 64), (88, 82, 80), (190, 184, 172), (60, 64, 72), (150, 120, 90))
SHOPS = ("KOPI KITA", "WARUNG SENJA", "DAPUR IBU", "TOKO ROTI MAWAR", "KEDAI PAGI", "SATE HOUSE")


@dataclass(frozen=True)
class Slip:
    """What is printed. `lines` are dish, count, price; `total` may differ from their sum."""

    shop: str
    address: str
    date: str
    clock: str
    number: str
    lines: tuple[tuple[str, int, int], ...]
    total: str
    thanks: str


@dataclass(frozen=True)
class Shot:
    """How it is photographed; sizes in pixels, the turn in degrees."""

    width: int
    size: float
    step: float
    face: Face
    table: tuple[int, int, int]
    turn: float
    margin: tuple[int, int]
    fall: float
    grain: float
    rule: str
    seed: int


def family(rng: Rng, textures: Textures) -> Drawn:
    slip, shot = _any_slip(rng), _any_shot(rng)

    def draw(changed: Slip) -> Image.Image:
        return _photograph(_print(changed, shot), shot, textures)

    return drawn_from(slip, draw, CHANGES, rng)


def _any_slip(rng: Rng) -> Slip:
    lines = tuple(_line(dish, rng) for dish in sample(rng, DISHES, int(rng.integers(2, 10))))
    return Slip(
        pick(rng, SHOPS),
        f"Jl. {pick(rng, TOWNS)} {int(rng.integers(1, 200))}",
        _date(rng),
        f"{int(rng.integers(8, 23)):02d}:{int(rng.integers(60)):02d}",
        f"#{int(rng.integers(10000, 99999))}",
        lines,
        f"{sum(price for _, _, price in lines):,}",
        pick(rng, ("THANK YOU", "TERIMA KASIH", "SAMPAI JUMPA", "HAVE A NICE DAY")),
    )


def _line(dish: str, rng: Rng) -> tuple[str, int, int]:
    count = int(rng.integers(1, 5))
    return dish, count, count * int(rng.integers(8, 60)) * 500


def _date(rng: Rng) -> str:
    day, month, year = rng.integers(1, 29), rng.integers(1, 13), rng.integers(2012, 2024)
    return f"{day:02d}/{month:02d}/{year}"


def _any_shot(rng: Rng) -> Shot:
    width = int(rng.integers(380, 640))
    size = width / float(rng.uniform(17, 24))
    return Shot(
        width,
        size,
        size * float(rng.uniform(1.35, 1.8)),
        any_face(rng, fixed=0.5),
        pick(rng, TABLES),
        float(rng.uniform(-3, 3)),
        (round(width * float(rng.uniform(0.08, 0.3))), round(width * float(rng.uniform(0.1, 0.3)))),
        float(rng.uniform(0.65, 0.95)),
        float(rng.uniform(0.008, 0.025)),
        pick(rng, "-=*."),
        int(rng.integers(1 << 31)),
    )


def _print(slip: Slip, shot: Shot) -> Image.Image:
    rows: list[tuple[str, str]] = [("", ""), (slip.date, slip.clock), (slip.number, "")]
    rows += [("rule", "")]
    rows += [(f"{count} {dish}", f"{price:,}") for dish, count, price in slip.lines]
    rows += [("rule", ""), ("TOTAL", slip.total), ("CASH", slip.total), ("", "")]
    size, pad = shot.size, shot.size * 0.9
    height = round(shot.step * (len(rows) + 6))
    image = Image.new("L", (shot.width, height), 250)
    draw = ImageDraw.Draw(image)
    middle, y = shot.width / 2, shot.step
    write(draw, (middle, y), slip.shop, size * 1.35, shot.face.bold(), 30, "m")
    write(draw, (middle, y + shot.step * 1.5), slip.address, size * 0.85, shot.face, 50, "m")
    y += shot.step * 2
    for left, right in rows:
        face = shot.face.bold() if left == "TOTAL" else shot.face
        if left == "rule":
            write(draw, (middle, y), shot.rule * 26, size, shot.face, 70, "m")
        else:
            write(draw, (pad, y), left, size, face, 38)
            write(draw, (shot.width - pad, y), right, size, face, 38, "r")
        y += shot.step
    write(draw, (middle, y), slip.thanks, size, shot.face, 50, "m")
    return image


def _photograph(print_: Image.Image, shot: Shot, textures: Textures) -> Image.Image:
    rng = np.random.default_rng(shot.seed)
    width = print_.width + 2 * shot.margin[0]
    height = print_.height + 2 * shot.margin[1]
    fibre = textures.window("rough", height, width, rng, (6, 0.5))[..., None]
    light = (shade(shot.table) * (1 + 0.14 * fibre)).astype(np.float32)
    crease = textures.window("smooth", print_.height, print_.width, rng, (1.4, 1.4))
    fine = textures.window("relief", print_.height, print_.width, rng)
    soft = np.asarray(print_.filter(ImageFilter.GaussianBlur(0.5)), np.float32) / 255
    paper = np.zeros((height, width), np.float32)
    cover = Image.new("L", (width, height), 0)
    x, y = shot.margin
    ImageDraw.Draw(cover).rectangle((x, y, x + print_.width - 1, y + print_.height - 1), fill=255)
    inside = (slice(y, y + print_.height), slice(x, x + print_.width))
    paper[inside] = soft * (0.94 + 0.035 * crease + 0.012 * fine)
    turned = Image.fromarray(paper).rotate(shot.turn, Image.Resampling.BICUBIC)
    mask = np.asarray(cover.rotate(shot.turn, Image.Resampling.BICUBIC), np.float32) / 255
    slip = np.asarray(turned, np.float32)[..., None] * shade((250, 247, 240))
    light = blend(light, slip, mask)
    fall = np.linspace(1.05, shot.fall, height, dtype=np.float32)[:, None, None]
    return develop(light * fall, textures, rng, shot.grain)


def _one_price(slip: Slip, rng: Rng) -> Slip:
    at = int(rng.integers(len(slip.lines)))
    lines = list(slip.lines)
    lines[at] = _line(lines[at][0], rng)
    return replace(slip, lines=tuple(lines), total=f"{sum(line[2] for line in lines):,}")


def _one_digit(slip: Slip, rng: Rng) -> Slip:
    return replace(slip, total=other_digit(slip.total, rng))


def _one_date(slip: Slip, rng: Rng) -> Slip:
    return replace(slip, date=_date(rng) if rng.integers(2) else other_digit(slip.date, rng))


def _other_numbers(slip: Slip, rng: Rng) -> Slip:
    lines = tuple(_line(dish, rng) for dish, _, _ in slip.lines)
    clock = f"{int(rng.integers(8, 23)):02d}:{int(rng.integers(60)):02d}"
    total = f"{sum(line[2] for line in lines):,}"
    number = f"#{int(rng.integers(10000, 99999))}"
    return replace(slip, lines=lines, total=total, date=_date(rng), clock=clock, number=number)


CHANGES: dict[str, Callable[[Slip, Rng], Slip]] = {
    "one price": _one_price,
    "one digit": _one_digit,
    "one date": _one_date,
    "other numbers": _other_numbers,
}
