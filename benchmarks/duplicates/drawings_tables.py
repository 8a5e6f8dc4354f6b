"""Tables: two columns with a title as TabMWP has them, and wider ones as Wikipedia and reports.

Negatives: one digit changed, one cell replaced, and the same header with other rows' numbers.
A column keeps its width, so that nothing else moves when a cell changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from benchmarks.duplicates.drawn import Drawn, drawn_from
from benchmarks.duplicates.lettering import other_digit
from cauldron.sample.draw.ink import BLACK, NAMED, WHITE, mix
from cauldron.sample.draw.table import Look, Table, draw, widths_of
from cauldron.sample.draw.texture import Textures
from cauldron.sample.model import Rng, pick, sample
from cauldron.sample.words import FIRMS, MONTHS, TOWNS, WORDS, person

NAMES: dict[str, tuple[str, ...]] = {
    "Item": tuple(WORDS["goods"]),
    "Town": tuple(TOWNS),
    "Company": tuple(FIRMS),
    "Name": tuple(WORDS["last"]),
    "Month": tuple(MONTHS),
}
NUMBERS = ("Price", "Points", "Share", "Sales", "Year", "Change", "Rank", "Date")
CellAt = tuple[int, int]


def family(rng: Rng, textures: Textures) -> Drawn:
    table, look = _any_table(rng), _any_look(rng)
    widths = widths_of(table, look)
    return drawn_from(table, lambda changed: draw(changed, look, widths), CHANGES, rng)


def _number(kind: str, rng: Rng) -> str:
    value = float(rng.uniform(0, 1))
    return {
        "Price": f"${value * 99 + 0.5:.2f}",
        "Points": str(10 + int(value * 90)),
        "Share": f"{value * 100:.1f}%",
        "Sales": f"{1000 + int(value * 98000):,}",
        "Year": str(1950 + int(value * 70)),
        "Change": f"{value * 20 - 10:+.2f}",
        "Rank": str(1 + int(value * 60)),
        "Date": f"{1 + int(value * 27)} {pick(rng, MONTHS)[:3]} {1990 + int(value * 30)}",
    }[kind]


def _any_table(rng: Rng) -> Table:
    small = rng.random() < 0.45
    columns = 2 if small else int(rng.integers(3, 7))
    subject = pick(rng, sorted(NAMES))
    names = sample(rng, NAMES[subject], int(rng.integers(3, 8 if small else 16)))
    kinds = ("", *(pick(rng, NUMBERS) for _ in range(columns - 1)))
    rows = tuple((name, *(_number(kind, rng) for kind in kinds[1:])) for name in names)
    title = f"{pick(rng, kinds[1:])} by {subject.lower()}, {person(rng)}" if rng.integers(2) else ""
    return Table(title, (subject, *kinds[1:]), rows)


def _any_look(rng: Rng) -> Look:
    size = float(rng.uniform(11, 20))
    base = NAMED[pick(rng, sorted(NAMED))]
    dark = rng.random() < 0.3
    head = mix(base, WHITE, 0.15 if dark else float(rng.uniform(0.7, 1)))
    return Look(
        size=size,
        row=float(rng.uniform(1.5, 2.3)),
        pad=float(rng.uniform(0.9, 1.5)),  # a changed cell may be wider
        head=head,
        head_ink=WHITE if dark else BLACK,
        stripe=mix(base, WHITE, float(rng.uniform(0.85, 0.95))) if rng.integers(2) else None,
        lines=pick(rng, ("all", "rows", "none", "all")),
    )


def _with(table: Table, at: CellAt, text: str) -> Table:
    row, column = at
    cells = (*table.rows[row][:column], text, *table.rows[row][column + 1 :])
    return replace(table, rows=(*table.rows[:row], cells, *table.rows[row + 1 :]))


def _any_cell(table: Table, rng: Rng) -> CellAt:
    return int(rng.integers(len(table.rows))), int(rng.integers(1, len(table.header)))


def _one_digit(table: Table, rng: Rng) -> Table:
    row, column = _any_cell(table, rng)
    return _with(table, (row, column), other_digit(table.rows[row][column], rng))


def _one_cell(table: Table, rng: Rng) -> Table:
    row, column = _any_cell(table, rng)
    if rng.random() < 0.3:
        names = {cells[0] for cells in table.rows}
        spare = [name for name in NAMES[table.header[0]] if name not in names]
        if spare:
            return _with(table, (row, 0), min(spare, key=lambda n: abs(len(n) - 6)))
    return _with(table, (row, column), _number(table.header[column], rng))


def _other_numbers(table: Table, rng: Rng) -> Table:
    rows = tuple(
        (cells[0], *(_number(kind, rng) for kind in table.header[1:])) for cells in table.rows
    )
    return replace(table, rows=rows)


CHANGES: dict[str, Callable[[Table, Rng], Table]] = {
    "one digit": _one_digit,
    "one cell": _one_cell,
    "other numbers": _other_numbers,
}
