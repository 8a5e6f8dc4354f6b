"""Tables rendered as pictures: plain, striped, financial."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw

from cauldron.sample.draw import ink
from cauldron.sample.draw.ink import BLACK, Color, Face
from cauldron.sample.model import Facts, Rng, sample

NARROWEST = 200


@dataclass(frozen=True)
class Table:
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Look:
    """How a table is drawn.

    Attributes:
        row, pad, room: height of a row, space on both sides of a cell's text, and width that
            every column has to spare; all times `size`.
        lines: ``all``, ``rows``, ``frame`` or ``none``.
        total: print the last row bold.
        middle: numbers stand in the middle of their column, not at its right.
    """

    size: float = 15
    face: Face = ink.PLAIN
    row: float = 2.05
    pad: float = 0.8
    room: float = 0.2
    head: Color = (226, 232, 240)
    head_ink: Color = BLACK
    stripe: Color | None = None
    lines: str = "all"
    line: Color = (150, 150, 150)
    total: bool = False
    middle: bool = False
    margin: int = 16


def widths_of(table: Table, look: Look) -> list[float]:
    """The width of each column."""
    columns, bold = zip(table.header, *table.rows, strict=True), look.face.bold()
    extra = look.size * (2 * look.pad + look.room)
    widths = [max(ink.width_of(cell, look.size, bold) for cell in c) + extra for c in columns]
    wider = max(NARROWEST - sum(widths), 0) / len(widths)
    return [width + wider for width in widths]


def draw(table: Table, look: Look, widths: list[float] | None = None) -> Image.Image:
    """The picture of a table.

    Args:
        widths: of the columns; those of another table keep everything in its place.
    """
    widths = widths or widths_of(table, look)
    step, bold, margin = look.size * look.row, look.face.bold(), look.margin
    wide = max(sum(widths), ink.width_of(table.title, look.size, bold))
    top = margin + (step if table.title else 0)
    bottom = top + step * (len(table.rows) + 1)
    image, pen = ink.canvas(round(wide) + 2 * margin, bottom + margin)
    if table.title:
        ink.write(pen, (margin, margin * 0.75), table.title, look.size, face=bold)
    for number, cells in enumerate((table.header, *table.rows)):
        last = look.total and number == len(table.rows)
        _row(pen, cells, look, widths, top + step * number, number, last)
    if look.lines in ("all", "frame"):
        pen.rectangle((margin, top, margin + sum(widths), bottom), outline=look.line)
    return image


def _row(
    pen: ImageDraw.ImageDraw,
    cells: tuple[str, ...],
    look: Look,
    widths: list[float],
    y: float,
    number: int,
    total: bool,
) -> None:
    step, x, right = look.size * look.row, float(look.margin), look.margin + sum(widths)
    fill = look.head if number == 0 else look.stripe if number % 2 == 0 else None
    if fill:
        pen.rectangle((x, y, right, y + step), fill=fill)
    for edge in (y, y + step) if look.lines in ("all", "rows") else ():
        pen.line([(x, edge), (right, edge)], fill=look.line)
    face = look.face.bold() if total or number == 0 else look.face
    color, pad = look.head_ink if number == 0 else BLACK, look.pad * look.size
    for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        at, anchor = (x + pad, "lm")
        if column:
            at, anchor = (x + width / 2, "mm") if look.middle else (x + width - pad, "rm")
            if look.lines == "all":
                pen.line([(x, y), (x, y + step)], fill=look.line)
        ink.write(pen, (at, y + step / 2), cell, look.size, color, anchor, face)
        x += width


def value_of(cell: str) -> float:
    return float(cell.strip("$%").replace(",", ""))


def facts(table: Table, rng: Rng) -> Facts:
    """What can be said: about each cell, about two rows, about the last row, about the whole."""
    key, *names = table.header
    cells = [
        {"key": key.lower(), "row": row[0], "what": name.lower(), "value": cell}
        for row in table.rows
        for name, cell in zip(names, row[1:], strict=True)
    ]
    (a, *_, first), (b, *_, second) = sample(rng, table.rows, 2)
    found: Facts = {"cell": cells, "pair": []}
    if first.startswith("$"):
        pair = {"a": a, "b": b, "first": first, "second": second}
        found["pair"].append({**pair, "sum": f"{value_of(first) + value_of(second):.2f}"})
    if all(name.isdigit() for name in names):  # years, the latest first
        now, before = (value_of(cell) for cell in table.rows[-1][1:3])
        change = {"year": names[0], "before": names[1], "now": table.rows[-1][1]}
        change |= {"change": f"{now - before:,.0f}", "percent": f"{now / before * 100 - 100:.1f}"}
        found["last"] = [change]
    printed = {"header": list(table.header), "rows": [list(row) for row in table.rows]}
    return {**found, "table": [{"printed": str(printed)}]}
