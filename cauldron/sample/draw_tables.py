"""Tables rendered as pictures: plain, striped, financial, with one or two header rows."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw

from cauldron.sample.ink import BLACK, Color, canvas, paragraph, width_of, write


@dataclass(frozen=True)
class Table:
    """`groups`, if any, is an upper header: (text, number of columns it spans) from column 1 on."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    groups: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Look:
    size: int = 15
    head: Color = (226, 232, 240)
    stripe: Color | None = None
    lines: str = "all"  # "all", "rows" or "none"
    total: bool = False
    notes: str = ""
    head_text: Color = BLACK


def draw_table(table: Table, look: Look) -> Image.Image:
    columns = list(zip(table.header, *table.rows, strict=True))
    widths = [max(width_of(cell, look.size) for cell in column) + 30 for column in columns]
    total = max(sum(widths), width_of(table.title, look.size + 2), 240.0)
    step = look.size * 2.05
    head = 2 if table.groups else 1
    notes = look.size * 1.4 * (1 + len(look.notes) * look.size * 0.48 // total) if look.notes else 0
    top = 16 + (look.size * 2 if table.title else 0)
    height = top + step * (len(table.rows) + head) + 18 + notes
    image, draw = canvas(round(total) + 32, round(height))
    if table.title:
        write(draw, (16, 12), table.title, look.size + 2, bold=True)
    bottom = _cells(draw, table, look, widths, top, step)
    if look.notes:
        paragraph(draw, (16, bottom + 8), look.notes, look.size - 2, total, (80, 80, 80))
    return image


def _cells(
    draw: ImageDraw.ImageDraw,
    table: Table,
    look: Look,
    widths: list[float],
    top: float,
    step: float,
) -> float:
    right = 16 + sum(widths)
    y = top
    if table.groups:
        draw.rectangle((16, y, right, y + step), fill=look.head)
        _groups(draw, table, look, widths, y, step)
        y += step
    draw.rectangle((16, y, right, y + step), fill=look.head)
    _row(draw, table.header, look, widths, y, step, header=True)
    for i, row in enumerate(table.rows):
        y += step
        if look.stripe and i % 2:
            draw.rectangle((16, y, right, y + step), fill=look.stripe)
        _row(draw, row, look, widths, y, step, bold=look.total and i == len(table.rows) - 1)
        if look.lines != "none":
            draw.line([(16, y), (right, y)], fill=(150, 150, 150))
    bottom = y + step
    draw.rectangle((16, top, right, bottom), outline=(90, 90, 90))
    x = 16.0
    for width in widths[:-1] if look.lines == "all" else []:
        x += width
        draw.line([(x, top + (step if table.groups else 0)), (x, bottom)], fill=(150, 150, 150))
    return bottom


def _groups(
    draw: ImageDraw.ImageDraw,
    table: Table,
    look: Look,
    widths: list[float],
    y: float,
    step: float,
) -> None:
    x, column = 16 + widths[0], 1
    for text, span in table.groups:
        length = sum(widths[column : column + span])
        write(draw, (x + length / 2, y + step / 2), text, look.size, look.head_text, "mm", True)
        draw.line([(x + 6, y + step - 2), (x + length - 6, y + step - 2)], fill=(90, 90, 90))
        x, column = x + length, column + span


def _row(
    draw: ImageDraw.ImageDraw,
    cells: tuple[str, ...],
    look: Look,
    widths: list[float],
    y: float,
    step: float,
    header: bool = False,
    bold: bool = False,
) -> None:
    x = 16.0
    color = look.head_text if header else BLACK
    for i, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        at, anchor = (
            ((x + 10, y + step / 2), "lm") if i == 0 else ((x + width - 10, y + step / 2), "rm")
        )
        write(draw, at, cell, look.size, color, anchor, bold=header or bold)
        x += width
