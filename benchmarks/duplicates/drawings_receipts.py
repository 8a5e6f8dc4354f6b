"""Till receipts as a phone sees them: a slip on a table, slightly turned, uneven light, noise.

Negatives keep the photograph and change the print, as hard as it gets: one price (and with it the
total), one digit of the total, the date, or every count and price of the same shop and dishes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.duplicates.drawn import Drawn, drawn_from
from benchmarks.duplicates.lettering import other_digit
from cauldron.sample.draw.page import Block, Style, draw
from cauldron.sample.draw.texture import Textures
from cauldron.sample.model import Rng, pick, sample
from cauldron.sample.words import TOWNS, WORDS


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


def family(rng: Rng, textures: Textures) -> Drawn:
    slip, style = _any_slip(rng), _any_style(rng)
    return drawn_from(slip, lambda changed: draw(_blocks(changed), style, textures), CHANGES, rng)


def _any_slip(rng: Rng) -> Slip:
    lines = tuple(
        _line(dish, rng) for dish in sample(rng, WORDS["dishes"], int(rng.integers(2, 10)))
    )
    return Slip(
        pick(rng, WORDS["shops"]),
        f"Jl. {pick(rng, TOWNS)} {int(rng.integers(1, 200))}",
        _date(rng),
        _clock(rng),
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


def _clock(rng: Rng) -> str:
    return f"{int(rng.integers(8, 23)):02d}:{int(rng.integers(60)):02d}"


def _any_style(rng: Rng) -> Style:
    width = int(rng.integers(380, 640))
    size = width / float(rng.uniform(17, 24))
    around = (float(rng.uniform(0.08, 0.3)), float(rng.uniform(0.1, 0.3)))
    return Style(
        width,
        size=size,
        margin=size * 0.9,
        leading=float(rng.uniform(1.35, 1.8)),
        ink=(38, 38, 38),
        surface="slip",
        border=(round(width * around[0]), round(width * around[1])),
        turn=float(rng.uniform(-3, 3)),
        seed=int(rng.integers(1 << 31)),
    )


def _blocks(slip: Slip) -> tuple[Block, ...]:
    bought = tuple((f"{count} {dish}", f"{price:,}") for dish, count, price in slip.lines)
    return (
        Block("text", ((slip.shop,),), 1.35, True, align="m"),
        Block("text", ((slip.address,),), 0.85, align="m"),
        Block("line", ((slip.date, slip.clock), (slip.number, ""))),
        Block("rule"),
        Block("line", bought),
        Block("rule"),
        Block("line", (("TOTAL", slip.total),), bold=True),
        Block("line", (("CASH", slip.total),)),
        Block("text", (("",),)),
        Block("text", ((slip.thanks,),), align="m"),
    )


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
    total = f"{sum(line[2] for line in lines):,}"
    number = f"#{int(rng.integers(10000, 99999))}"
    clock = _clock(rng)
    return replace(slip, lines=lines, total=total, date=_date(rng), clock=clock, number=number)


CHANGES: dict[str, Callable[[Slip, Rng], Slip]] = {
    "one price": _one_price,
    "one digit": _one_digit,
    "one date": _one_date,
    "other numbers": _other_numbers,
}
