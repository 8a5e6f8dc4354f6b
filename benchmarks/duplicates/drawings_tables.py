"""Tables: two columns with a title as TabMWP has them, and wider ones as Wikipedia and reports.

Negatives: one digit changed, one cell replaced, and the same header with other rows' numbers.
A column keeps its width, so that nothing else moves when a cell changes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from benchmarks.duplicates.drawn import Drawn, drawn_from
from benchmarks.duplicates.lettering import Face, any_face, other_digit, width_of, write
from cauldron.sample.ink import NAMED, WHITE, Color, mix, pick, sample
from cauldron.sample.model import Rng
from cauldron.sample.texture import Textures
from cauldron.sample.words import FIRMS, LAST, MONTHS, TOWNS, person, words_of

GOODS = words_of(
    "notebook|pencil case|bag of apples|jar of honey|wool scarf|gloves|toy boat|kite|crayons|"
    "loaf of bread|grapes|wooden spoon|teddy bear|comic book|baseball|puzzle|hat|watch"
)
NAMES: dict[str, tuple[str, ...]] = {
    "Item": tuple(GOODS),
    "Town": tuple(TOWNS),
    "Company": tuple(FIRMS),
    "Name": tuple(LAST),
    "Month": tuple(MONTHS),
}
NUMBERS = ("Price", "Points", "Share", "Sales", "Year", "Change", "Rank", "Date")
CellAt = tuple[int, int]
NARROWEST = 200


@dataclass(frozen=True)
class Grid:
    """A table's cells; `kinds` says per column what its numbers are, "" for names."""

    title: str
    header: tuple[str, ...]
    kinds: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Look:
    """How it is drawn. `lines` is "all", "rows", "frame" or "none"; sizes in pixels."""

    size: float
    face: Face
    row: float
    pad: float
    head: Color
    head_ink: Color
    stripe: Color | None
    lines: str
    line: Color
    middle: bool
    margin: int


def family(rng: Rng, textures: Textures) -> Drawn:
    grid = _any_grid(rng)
    look = _any_look(rng)
    widths = _widths(grid, look)
    return drawn_from(grid, lambda changed: _draw(changed, look, widths), CHANGES, rng)


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


def _any_grid(rng: Rng) -> Grid:
    small = rng.random() < 0.45
    columns = 2 if small else int(rng.integers(3, 7))
    subject = pick(rng, sorted(NAMES))
    names = sample(rng, NAMES[subject], int(rng.integers(3, 8 if small else 16)))
    kinds = ("", *(pick(rng, NUMBERS) for _ in range(columns - 1)))
    rows = tuple((name, *(_number(kind, rng) for kind in kinds[1:])) for name in names)
    title = f"{pick(rng, kinds[1:])} by {subject.lower()}, {person(rng)}" if rng.integers(2) else ""
    return Grid(title, (subject, *kinds[1:]), kinds, rows)


def _any_look(rng: Rng) -> Look:
    size = float(rng.uniform(11, 20))
    base = NAMED[pick(rng, sorted(NAMED))]
    dark = rng.random() < 0.3
    head = mix(base, WHITE, 0.15 if dark else float(rng.uniform(0.7, 1)))
    return Look(
        size,
        any_face(rng, fixed=0.12),
        size * float(rng.uniform(1.5, 2.3)),
        size * float(rng.uniform(0.4, 1.1)),
        head,
        WHITE if dark else (25, 25, 30),
        mix(base, WHITE, float(rng.uniform(0.85, 0.95))) if rng.integers(2) else None,
        pick(rng, ("all", "rows", "frame", "none", "all")),
        mix((40, 40, 40), WHITE, float(rng.uniform(0.2, 0.7))),
        bool(rng.integers(2)),
        int(rng.integers(2, 24)),
    )


def _widths(grid: Grid, look: Look) -> list[float]:
    columns = zip(grid.header, *grid.rows, strict=True)
    bold = look.face.bold()
    room = look.size * 0.9  # a changed cell may be wider
    widths = [
        max(width_of(cell, look.size, bold) for cell in column) + 2 * look.pad + room
        for column in columns
    ]
    wider = max(NARROWEST - sum(widths), 0) / len(widths)
    return [width + wider for width in widths]


def _draw(grid: Grid, look: Look, widths: list[float]) -> Image.Image:
    top = look.margin + (look.row if grid.title else 0)
    wide = max(sum(widths), width_of(grid.title, look.size, look.face.bold()))
    high = top + look.row * (len(grid.rows) + 1) + look.margin
    image = Image.new("RGB", (round(wide) + 2 * look.margin, round(high)), WHITE)
    draw = ImageDraw.Draw(image)
    if grid.title:
        at = (float(look.margin), look.margin * 1.0)
        write(draw, at, grid.title, look.size, look.face.bold(), (25, 25, 30))
    for i, cells in enumerate((grid.header, *grid.rows)):
        _row(draw, cells, look, widths, top + look.row * i, i)
    right, bottom = look.margin + sum(widths), top + look.row * (len(grid.rows) + 1)
    if look.lines in ("all", "frame"):
        draw.rectangle((look.margin, top, right, bottom), outline=look.line)
    return image


def _row(
    draw: ImageDraw.ImageDraw,
    cells: tuple[str, ...],
    look: Look,
    widths: list[float],
    y: float,
    number: int,
) -> None:
    x, right = float(look.margin), look.margin + sum(widths)
    fill = look.head if number == 0 else look.stripe if number % 2 == 0 else None
    if fill:
        draw.rectangle((x, y, right, y + look.row), fill=fill)
    if look.lines in ("all", "rows"):
        draw.line([(x, y), (right, y)], fill=look.line)
        draw.line([(x, y + look.row), (right, y + look.row)], fill=look.line)
    face, ink = (look.face.bold(), look.head_ink) if number == 0 else (look.face, (25, 25, 30))
    lift = (look.row - look.size * 1.25) / 2
    for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        if column == 0:
            write(draw, (x + look.pad, y + lift), cell, look.size, face, ink)
        elif look.middle:
            write(draw, (x + width / 2, y + lift), cell, look.size, face, ink, "m")
        else:
            write(draw, (x + width - look.pad, y + lift), cell, look.size, face, ink, "r")
        if look.lines == "all" and column:
            draw.line([(x, y), (x, y + look.row)], fill=look.line)
        x += width


def _with(grid: Grid, at: CellAt, text: str) -> Grid:
    row, column = at
    cells = (*grid.rows[row][:column], text, *grid.rows[row][column + 1 :])
    return replace(grid, rows=(*grid.rows[:row], cells, *grid.rows[row + 1 :]))


def _any_cell(grid: Grid, rng: Rng) -> CellAt:
    return int(rng.integers(len(grid.rows))), int(rng.integers(1, len(grid.header)))


def _one_digit(grid: Grid, rng: Rng) -> Grid:
    row, column = _any_cell(grid, rng)
    return _with(grid, (row, column), other_digit(grid.rows[row][column], rng))


def _one_cell(grid: Grid, rng: Rng) -> Grid:
    row, column = _any_cell(grid, rng)
    if rng.random() < 0.3:
        names = {cells[0] for cells in grid.rows}
        spare = [name for name in NAMES[grid.header[0]] if name not in names]
        if spare:
            return _with(grid, (row, 0), min(spare, key=lambda n: abs(len(n) - 6)))
    return _with(grid, (row, column), _number(grid.kinds[column], rng))


def _other_numbers(grid: Grid, rng: Rng) -> Grid:
    rows = tuple(
        (cells[0], *(_number(kind, rng) for kind in grid.kinds[1:])) for cells in grid.rows
    )
    return replace(grid, rows=rows)


CHANGES: dict[str, Callable[[Grid, Rng], Grid]] = {
    "one digit": _one_digit,
    "one cell": _one_cell,
    "other numbers": _other_numbers,
}
