"""Pages of A4 at 72 to 150 dpi: reports, letters and forms, invoices; clean or scanned.

Negatives: the next page of the same document (same head, foot and layout, other text), the same
page with another amount, with another date, and the same form filled in with other values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.duplicates.drawn import Drawn, drawn_from
from benchmarks.duplicates.lettering import other_digit
from cauldron.sample.draw.page import Block, Style, draw
from cauldron.sample.draw.texture import Textures
from cauldron.sample.model import Rng, pick, sample
from cauldron.sample.words import FIRMS, TOWNS, amount, date, person, sentences

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


def family(rng: Rng, textures: Textures) -> Drawn:
    style, sheet = _any_style(rng), _any_sheet(rng)
    return drawn_from(sheet, lambda changed: draw(_blocks(changed), style, textures), CHANGES, rng)


def _any_style(rng: Rng) -> Style:
    dpi = pick(rng, (72, 84, 96, 100, 120, 150))
    width, height = round(A4[0] * dpi), round(A4[1] * dpi)
    tint = int(rng.integers(60, 180))
    return Style(
        width,
        height,
        size=dpi / 72 * float(rng.uniform(9.5, 12)),
        margin=width * float(rng.uniform(0.07, 0.13)),
        leading=float(rng.uniform(1.25, 1.6)),
        ink=(int(rng.integers(0, 60)),) * 3,
        accent=(tint,) * 3,
        grey=bool(rng.integers(2)),
        surface="scan" if rng.random() < 0.4 else "",
        seed=int(rng.integers(1 << 31)),
    )


def _blocks(sheet: Sheet) -> tuple[Block, ...]:
    sections = (
        block
        for heading, text in sheet.sections
        for block in (Block("text", ((heading,),), bold=True), Block("text", ((text,),)))
    )
    return (
        Block("line", ((sheet.head, sheet.fields[0][1]),), 1.1, True),
        Block("rule"),
        Block("text", ((sheet.title,),), 1.6, True),
        Block("line", sheet.fields),
        Block("text", (("",),), 0.6),
        Block("table", sheet.table),
        *sections,
        Block("foot", ((sheet.foot, str(sheet.page)),)),
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
    return tuple((name, " ".join(sentences(rng, int(rng.integers(4, 13))))) for name in names)


def _table(rng: Rng, rows: int) -> tuple[tuple[str, ...], ...]:
    lines = (
        (pick(rng, PARTS).capitalize(), str(int(rng.integers(2, 90))), f"${amount(rng, 20, 9000)}")
        for _ in range(rows)
    )
    return (("Item", "Units", "Cost"), *lines)


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
