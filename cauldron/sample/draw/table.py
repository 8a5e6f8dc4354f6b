"""Tables rendered as pictures: plain, striped, financial, with one or two rows of headers."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from cauldron.sample.draw.ink import (
    BLACK,
    GREY,
    PLAIN,
    Color,
    Draw,
    Face,
    canvas,
    width_of,
    wrap,
    write,
)
from cauldron.sample.model import Facts, Rng, sample

NARROWEST = 200


@dataclass(frozen=True)
class Table:
    """A table's cells.

    Attributes:
        groups: an upper header, if any: (text, number of columns it spans) from column 1 on.
        notes: text below the table.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    groups: tuple[tuple[str, int], ...] = ()
    notes: str = ""


@dataclass(frozen=True)
class Look:
    """How a table is drawn; lengths in pixels.

    Attributes:
        row, pad: height of a row and room beside a cell's text, both times `size`.
        lines: ``all``, ``rows``, ``frame`` or ``none``.
        total: print the last row bold.
        middle: numbers stand in the middle of their column, not at its right.
        room: width that every column has to spare, times `size`.
    """

    size: float = 15
    face: Face = PLAIN
    row: float = 2.05
    pad: float = 0.8
    head: Color = (226, 232, 240)
    head_ink: Color = BLACK
    stripe: Color | None = None
    lines: str = "all"
    line: Color = (150, 150, 150)
    total: bool = False
    middle: bool = False
    margin: int = 16
    room: float = 0.2


def widths_of(table: Table, look: Look) -> list[float]:
    """The width of each column."""
    columns, bold = zip(table.header, *table.rows, strict=True), look.face.bold()
    extra = look.size * (2 * look.pad + look.room)
    widths = [max(width_of(cell, look.size, bold) for cell in column) + extra for column in columns]
    wider = max(NARROWEST - sum(widths), 0) / len(widths)
    return [width + wider for width in widths]


def draw(table: Table, look: Look, widths: list[float] | None = None) -> Image.Image:
    """The picture of a table.

    Args:
        widths: of the columns; those of another table keep everything in its place.
    """
    widths = widths or widths_of(table, look)
    step, bold = look.size * look.row, look.face.bold()
    wide = max(sum(widths), width_of(table.title, look.size, bold))
    notes = wrap(table.notes, look.size - 2, wide, look.face) if table.notes else []
    lines = [table.header, *table.rows]
    top = look.margin + (step if table.title else 0)
    high = top + step * (len(lines) + bool(table.groups)) + look.margin
    image, ink = canvas(round(wide) + 2 * look.margin, high + len(notes) * look.size * 1.4)
    if table.title:
        write(ink, (look.margin, look.margin * 0.75), table.title, look.size, face=bold)
    y = top
    if table.groups:
        _groups(ink, table, look, widths, y)
        y += step
    for number, cells in enumerate(lines):
        last = number == len(lines) - 1
        _row(ink, cells, look, widths, y + step * number, number, last)
    bottom = y + step * len(lines)
    if look.lines in ("all", "frame"):
        ink.rectangle((look.margin, top, look.margin + sum(widths), bottom), outline=look.line)
    for i, line in enumerate(notes):
        at = (look.margin, bottom + 8 + i * look.size * 1.4)
        write(ink, at, line, look.size - 2, GREY, face=look.face)
    return image


def _groups(ink: Draw, table: Table, look: Look, widths: list[float], y: float) -> None:
    step, column = look.size * look.row, 1
    x = look.margin + widths[0]
    ink.rectangle((look.margin, y, look.margin + sum(widths), y + step), fill=look.head)
    for text, span in table.groups:
        length = sum(widths[column : column + span])
        at = (x + length / 2, y + step / 2)
        write(ink, at, text, look.size, look.head_ink, "mm", look.face.bold())
        ink.line([(x + 6, y + step - 2), (x + length - 6, y + step - 2)], fill=look.line)
        x, column = x + length, column + span


def _row(
    ink: Draw,
    cells: tuple[str, ...],
    look: Look,
    widths: list[float],
    y: float,
    number: int,
    last: bool,
) -> None:
    step, x, right = look.size * look.row, float(look.margin), look.margin + sum(widths)
    fill = look.head if number == 0 else look.stripe if number % 2 == 0 else None
    if fill:
        ink.rectangle((x, y, right, y + step), fill=fill)
    if look.lines in ("all", "rows"):
        ink.line([(x, y), (right, y)], fill=look.line)
        ink.line([(x, y + step), (right, y + step)], fill=look.line)
    bold = number == 0 or (look.total and last)
    face = look.face.bold() if bold else look.face
    color, pad = look.head_ink if number == 0 else BLACK, look.pad * look.size
    for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        at, anchor = (x + pad, "lm")
        if column:
            at, anchor = (x + width / 2, "mm") if look.middle else (x + width - pad, "rm")
        write(ink, (at, y + step / 2), cell, look.size, color, anchor, face)
        if look.lines == "all" and column:
            ink.line([(x, y), (x, y + step)], fill=look.line)
        x += width


def value_of(cell: str) -> float:
    return float(cell.strip("$%").replace(",", ""))


def facts(table: Table, rng: Rng) -> Facts:
    """What can be said: about each cell, about two rows, about each row, about the whole."""
    cells = [
        {
            "row": row[0],
            "value": row[column],
            "column": table.header[column],
            "what": table.header[column].lower(),
            "key": table.header[0].lower(),
            "group": _group(table, column),
        }
        for row in table.rows
        for column in range(1, len(row))
    ]
    first, second = sample(rng, table.rows, 2)
    pair: dict[str, str] = {"a": first[0], "b": second[0]}
    if first[-1].startswith("$"):
        pair |= {"a_value": first[-1], "b_value": second[-1]}
        pair["sum"] = f"{value_of(first[-1]) + value_of(second[-1]):.2f}"
    printed = {"header": list(table.header), "rows": [list(row) for row in table.rows]}
    whole = {"printed": str(printed), "first": table.rows[0][0], "title": table.title}
    years = len(table.header) == 3 and all(name.isdigit() for name in table.header[1:])
    rows = [_change(table, row) for row in table.rows if years]
    return {"cell": cells, "pair": [pair], "row": rows, "table": [whole], "last": rows[-1:]}


def _group(table: Table, column: int) -> str:
    """The upper header above a column."""
    for text, span in table.groups:
        if column <= span:
            return text.lower()
        column -= span
    return ""


def _change(table: Table, row: tuple[str, ...]) -> dict[str, str]:
    """A row of a statement: this year's figure, last year's, and how they differ."""
    now, before = value_of(row[1]), value_of(row[2])
    return {
        "row": row[0],
        "what": row[0].lower(),
        "now": row[1],
        "year": table.header[1],
        "before": table.header[2],
        "change": f"{now - before:,.0f}",
        "percent": f"{(now - before) / before * 100:.1f}",
    }


