"""Tables rendered as pictures: plain, striped, financial."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw

from cauldron.sample.draw import ink
from cauldron.sample.draw.ink import BLACK, Color
from cauldron.sample.model import Facts, Rng, sample

NARROWEST, MARGIN = 200, 16
LINE: Color = (150, 150, 150)


@dataclass(frozen=True)
class Table:
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Look:
    """How a table is drawn.

    Attributes:
        row, pad: height of a row and space on both sides of a cell's text, times `size`.
        lines: ``all``, ``rows`` or ``none``.
        total: print the last row bold.
    """

    size: float = 15
    row: float = 2.05
    pad: float = 0.9
    head: Color = (226, 232, 240)
    head_ink: Color = BLACK
    stripe: Color | None = None
    lines: str = "all"
    total: bool = False


def widths_of(table: Table, look: Look) -> list[float]:
    """The width of each column."""
    columns = zip(table.header, *table.rows, strict=True)
    pad = 2 * look.pad * look.size
    widths = [max(ink.width_of(cell, look.size) for cell in column) + pad for column in columns]
    wider = max(NARROWEST - sum(widths), 0) / len(widths)
    return [width + wider for width in widths]


def draw(table: Table, look: Look, widths: list[float] | None = None) -> Image.Image:
    """The picture of a table.

    Args:
        widths: of the columns; those of another table keep everything in its place.
    """
    widths, step = widths or widths_of(table, look), look.size * look.row
    wide = max(sum(widths), ink.width_of(table.title, look.size))
    top = MARGIN + (step if table.title else 0)
    bottom = top + step * (len(table.rows) + 1)
    image, pen = ink.canvas(wide + 2 * MARGIN, bottom + MARGIN)
    ink.write(pen, (MARGIN, MARGIN * 0.75), table.title, look.size, bold=True)
    for number, cells in enumerate((table.header, *table.rows)):
        bold = number == 0 or (look.total and number == len(table.rows))
        _row(pen, cells, look, widths, top + step * number, number, bold)
    return image


def _row(
    pen: ImageDraw.ImageDraw,
    cells: tuple[str, ...],
    look: Look,
    widths: list[float],
    y: float,
    number: int,
    bold: bool,
) -> None:
    step, x, right = look.size * look.row, float(MARGIN), MARGIN + sum(widths)
    fill = look.head if number == 0 else look.stripe if number % 2 == 0 else None
    edge = None if look.lines == "none" else LINE
    pen.rectangle((x, y, right, y + step), fill=fill, outline=edge)
    color, pad = look.head_ink if number == 0 else BLACK, look.pad * look.size
    for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        if column and look.lines == "all":
            pen.line([(x, y), (x, y + step)], fill=LINE)
        at, anchor = (x + width - pad, "rm") if column else (x + pad, "lm")
        ink.write(pen, (at, y + step / 2), cell, look.size, color, anchor, bold)
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
