"""Pages of A4 at 72 to 150 dpi: reports, letters and forms, invoices; clean or scanned.

Negatives: the next page of the same document (same head, foot and layout, other text), the same
page with another amount, with another date, and the same form filled in with other values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.duplicates.drawn import Drawn, drawn_from
from benchmarks.duplicates.lettering import Face, any_face, other_digit, paragraph, width_of, write
from cauldron.sample.draw_pages import scan
from cauldron.sample.ink import pick, sample
from cauldron.sample.model import Rng
from cauldron.sample.texture import Textures
from cauldron.sample.words import FIRMS, TOPICS, TOWNS, amount, date, person, prose

A4 = (8.27, 11.69)  # inches
PARTS = ("paper", "lamps", "chairs", "tools", "tiles", "cables", "boxes", "labels", "paint")
HEADINGS = ("Summary", "Background", "Results", "Costs", "Next steps", "Discussion", "Method")


@dataclass(frozen=True)
class Sheet:
    """What is on a page. `fields` are label and value, `table` begins with its header."""

    head: str
    title: str
    fields: tuple[tuple[str, str], ...]
    sections: tuple[tuple[str, str], ...]
    table: tuple[tuple[str, ...], ...]
    foot: str
    page: int


@dataclass(frozen=True)
class Layout:
    """How pages of one document look; sizes in pixels."""

    width: int
    height: int
    size: float
    face: Face
    margin: float
    leading: float
    columns: int
    ink: int
    ruled: bool
    tint: int
    scanned: int | None  # seed of the scanner's paper, None for a clean rendering
    colour: bool


def family(rng: Rng, textures: Textures) -> Drawn:
    layout, sheet = _any_layout(rng), _any_sheet(rng)

    def draw(changed: Sheet) -> Image.Image:
        return _finished(_draw(changed, layout), layout, textures)

    return drawn_from(sheet, draw, CHANGES, rng)


def _any_layout(rng: Rng) -> Layout:
    dpi = pick(rng, (72, 84, 96, 100, 120, 150))
    width, height = round(A4[0] * dpi), round(A4[1] * dpi)
    return Layout(
        width,
        height,
        dpi / 72 * float(rng.uniform(9.5, 12)),
        any_face(rng, fixed=0.1),
        width * float(rng.uniform(0.07, 0.13)),
        float(rng.uniform(1.25, 1.6)),
        int(rng.integers(1, 3)),
        int(rng.integers(0, 60)),
        bool(rng.integers(2)),
        int(rng.integers(215, 245)),
        int(rng.integers(1 << 31)) if rng.random() < 0.4 else None,
        bool(rng.integers(2)),
    )


def _any_sheet(rng: Rng) -> Sheet:
    kind = pick(rng, ("report", "form", "invoice"))
    firm = pick(rng, FIRMS)
    fields = (
        ("Date", date(rng)),
        ("Reference", f"{pick(rng, 'ABCDEFGH')}-{int(rng.integers(1000, 9999))}"),
        ("Amount", f"${amount(rng, 100, 90000)}"),
        ("To", person(rng)),
        ("From", person(rng)),
        ("Place", pick(rng, TOWNS)),
    )[: 3 if kind == "report" else int(rng.integers(4, 7))]
    table = _table(rng, int(rng.integers(4, 12))) if kind == "invoice" else ()
    sections = {"report": (4, 8), "form": (1, 4), "invoice": (1, 3)}[kind]
    title = {"report": "Report on the year", "form": "Application", "invoice": "Invoice"}[kind]
    return Sheet(
        firm,
        f"{title}, {pick(rng, TOWNS)}",
        fields,
        _sections(rng, int(rng.integers(*sections))),
        table,
        f"{firm}, {pick(rng, TOWNS)}",
        int(rng.integers(1, 60)),
    )


def _sections(rng: Rng, count: int) -> tuple[tuple[str, str], ...]:
    names = sample(rng, HEADINGS, count)
    topic = pick(rng, sorted(TOPICS))
    return tuple((name, prose(rng, int(rng.integers(4, 13)), topic)) for name in names)


def _table(rng: Rng, rows: int) -> tuple[tuple[str, ...], ...]:
    lines = (
        (pick(rng, PARTS).capitalize(), str(int(rng.integers(2, 90))), f"${amount(rng, 20, 9000)}")
        for _ in range(rows)
    )
    return (("Item", "Units", "Cost"), *lines)


def _draw(sheet: Sheet, look: Layout) -> Image.Image:
    image = Image.new("L", (look.width, look.height), 255)
    draw = ImageDraw.Draw(image)
    size, face, left = look.size, look.face, look.margin
    inner, y = look.width - 2 * left, left * 0.8
    write(draw, (left, y), sheet.head, size * 1.2, face.bold(), look.ink)
    write(draw, (left + inner, y), sheet.fields[0][1], size, face, look.ink, "r")
    y += size * 2
    if look.ruled:
        draw.line([(left, y), (left + inner, y)], fill=80)
    y = paragraph(
        draw, (left, y + size), sheet.title, size * 1.6, face.bold(), look.ink, inner, 1.3
    )
    y = _fields(draw, sheet, look, y + size * 0.6)
    y = _grid(draw, sheet, look, y + size * 0.6)
    _body(draw, sheet, look, y + size * 0.6)
    foot = look.height - left * 0.6
    write(draw, (left, foot), sheet.foot, size * 0.85, face, 90)
    write(draw, (left + inner, foot), str(sheet.page), size * 0.85, face, 90, "r")
    return image


def _fields(draw: ImageDraw.ImageDraw, sheet: Sheet, look: Layout, y: float) -> float:
    for label, value in sheet.fields:
        write(draw, (look.margin, y), f"{label}:", look.size, look.face.bold(), look.ink)
        write(draw, (look.margin + look.size * 8, y), value, look.size, look.face, look.ink)
        y += look.size * 1.7
        if look.ruled:
            ends = [(look.margin + look.size * 8, y), (look.width - look.margin, y)]
            draw.line(ends, fill=170)
            y += look.size * 0.3
    return y


def _grid(draw: ImageDraw.ImageDraw, sheet: Sheet, look: Layout, y: float) -> float:
    inner = look.width - 2 * look.margin
    for i, row in enumerate(sheet.table):
        box = (look.margin, y, look.margin + inner, y + look.size * 1.7)
        draw.rectangle(box, fill=look.tint if i == 0 else None, outline=130 if look.ruled else None)
        face = look.face.bold() if i == 0 else look.face
        for j, cell in enumerate(row):
            at = (look.margin + inner * (j + 1) / len(row) - look.size * 0.5, y + look.size * 0.2)
            if j == 0:
                at = (look.margin + look.size * 0.5, at[1])
            write(draw, at, cell, look.size, face, look.ink, "l" if j == 0 else "r")
        y += look.size * 1.7
    return y


def _body(draw: ImageDraw.ImageDraw, sheet: Sheet, look: Layout, top: float) -> None:
    """Sections in one or two columns, cut off at the foot as a page break does."""
    gap = look.size * 2
    wide = (look.width - 2 * look.margin - gap * (look.columns - 1)) / look.columns
    bottom = look.height - look.margin * 0.8 - look.size * 1.2
    column, y = 0, top
    size, face = look.size, look.face
    for heading, text in sheet.sections:
        for words, bold in ((heading, True), (text, False)):
            line = ""
            for word in [*words.split(), ""]:
                longer = f"{line} {word}".strip()
                if word and width_of(longer, size, face) <= wide:
                    line = longer
                    continue
                if y + size * look.leading > bottom:
                    column, y = column + 1, top
                if column == look.columns:
                    return
                at = (look.margin + column * (wide + gap), y)
                write(draw, at, line, size, face.bold() if bold else face, look.ink)
                line, y = word, y + size * look.leading
        y += size * 0.7


def _finished(page: Image.Image, look: Layout, textures: Textures) -> Image.Image:
    if look.scanned is not None:
        page = scan(page, textures, np.random.default_rng(look.scanned))
    return page.convert("RGB") if look.colour else page


def _field(sheet: Sheet, label: str, value: str) -> Sheet:
    fields = tuple((name, value if name == label else old) for name, old in sheet.fields)
    return replace(sheet, fields=fields)


def _next_page(sheet: Sheet, rng: Rng) -> Sheet:
    """Other text and numbers under the same head; a form's fields stay, as on its second sheet."""
    return replace(
        sheet,
        sections=_sections(rng, len(sheet.sections)),
        table=_table(rng, len(sheet.table) - 1) if sheet.table else (),
        page=sheet.page + 1,
    )


def _one_amount(sheet: Sheet, rng: Rng) -> Sheet:
    old = dict(sheet.fields)["Amount"]
    return _field(sheet, "Amount", other_digit(old, rng))


def _one_date(sheet: Sheet, rng: Rng) -> Sheet:
    old = dict(sheet.fields)["Date"]
    fresh = date(rng) if rng.integers(2) else other_digit(old, rng)
    return _field(sheet, "Date", fresh)


def _other_numbers(sheet: Sheet, rng: Rng) -> Sheet:
    fresh = {
        "Date": date(rng),
        "Reference": f"{pick(rng, 'ABCDEFGH')}-{int(rng.integers(1000, 9999))}",
        "Amount": f"${amount(rng, 100, 90000)}",
        "To": person(rng),
        "From": person(rng),
        "Place": pick(rng, TOWNS),
    }
    fields = tuple((label, fresh[label]) for label, _ in sheet.fields)
    table = _table(rng, len(sheet.table) - 1) if sheet.table else ()
    return replace(sheet, fields=fields, table=table)


CHANGES: dict[str, Callable[[Sheet, Rng], Sheet]] = {
    "next page": _next_page,
    "one amount": _one_amount,
    "one date": _one_date,
    "other numbers": _other_numbers,
}
