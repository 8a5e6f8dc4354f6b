"""Rows of the document sets beside the Cauldron: CORD's receipts and Docmatix' reports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cauldron.sample.draw_pages import Page, draw_page
from cauldron.sample.draw_receipts import Receipt, Word, draw_receipt, rupiah
from cauldron.sample.ink import jpeg, pick, png, sample
from cauldron.sample.model import Item, Rng, Turn
from cauldron.sample.rows_pages import any_page
from cauldron.sample.studio import Studio
from cauldron.sample.words import MONTHS, prose, words_of

DISHES = words_of(
    "NASI GORENG|MIE AYAM|ES TEH MANIS|SATE AYAM|KOPI SUSU|AIR MINERAL|ROTI BAKAR|"
    "SOTO BETAWI|TEH TARIK|BAKSO URAT|JUS ALPUKAT|PISANG GORENG"
)


def any_receipt(rng: Rng, lines: int) -> Receipt:
    bought = []
    for dish in sample(rng, DISHES, lines):
        count = int(rng.integers(1, 4))
        bought.append((dish, count, count * int(rng.integers(8, 60)) * 1000))
    subtotal = sum(price for _, _, price in bought)
    tax = subtotal // 10 if rng.integers(2) else 0
    cash = -(-(subtotal + tax) // 50000) * 50000
    shop = pick(rng, ("KOPI KITA", "WARUNG SENJA", "DAPUR IBU", "TOKO ROTI MAWAR", "KEDAI PAGI"))
    return Receipt(
        shop,
        f"Jl. {pick(rng, ('Melati', 'Anggrek', 'Kenanga'))} {int(rng.integers(1, 200))}",
        tuple(bought),
        tax,
        cash,
    )


def gt_parse(receipt: Receipt) -> dict[str, Any]:
    """The fields of a receipt as CORD has them: `menu` is a bare dict where there is one item."""
    menu: list[dict[str, Any]] = [
        {"nm": name, "cnt": f"{count} x", "price": rupiah(price)}
        for name, count, price in receipt.lines
    ]
    if receipt.extra:
        menu[0]["sub"] = {"nm": receipt.extra}
    sub = {"subtotal_price": rupiah(receipt.subtotal)}
    if receipt.tax:
        sub["tax_price"] = rupiah(receipt.tax)
    return {
        "menu": menu if len(menu) > 1 else menu[0],
        "sub_total": sub,
        "total": {
            "total_price": rupiah(receipt.total),
            "cashprice": rupiah(receipt.cash),
            "changeprice": rupiah(receipt.cash - receipt.total),
        },
    }


def _valid_line(words: list[Word]) -> list[dict[str, Any]]:
    lines = []
    for row, word in enumerate(words):
        x1, y1, x2, y2 = word.box
        quad = {"x1": x1, "y1": y1, "x2": x2, "y2": y1, "x3": x2, "y3": y2, "x4": x1, "y4": y2}
        part = {"quad": quad, "is_key": 0, "row_id": row // 2, "text": word.text}
        lines.append(
            {"words": [part], "category": word.category, "group_id": word.group, "sub_group_id": 0}
        )
    return lines


def cord_v2(studio: Studio, rng: Rng) -> list[Item]:
    """The answer is made by the reader from `ground_truth`; there is no published question."""
    items = []
    for i in range(studio.rows):
        receipt = any_receipt(rng, 1 + i % 5)
        if i % 6 == 2:
            receipt = replace(receipt, extra="EXTRA PEDAS")
        image, words = draw_receipt(receipt, studio.textures, rng)
        parsed = gt_parse(receipt)
        if i % 6 == 5 and isinstance(parsed["menu"], list):
            parsed["menu"][0]["nm"] = parsed["menu"][0]["nm"].split(" ")  # a name in pieces
        truth = {
            "gt_parse": parsed,
            "meta": {
                "version": "2.0.0",
                "split": "train",
                "image_id": i,
                "image_size": {"width": image.width, "height": image.height},
            },
            "valid_line": _valid_line(words),
            "roi": {},
            "repeating_symbol": [],
            "dontcare": [],
        }
        items.append(Item([jpeg(image, 86)], [], {"ground_truth": truth}))
    return items


def docmatix_pages(rng: Rng) -> list[Page]:
    """One to four pages of one report."""
    count = int(rng.choice((1, 1, 2, 2, 3, 4)))
    first = any_page(rng, 2)
    pages = [first]
    for number in range(2, count + 1):
        heading = f"Section {number}: {pick(rng, MONTHS)}"
        pages.append(Page(heading, tuple(prose(rng, 5) for _ in range(4)), number=str(number)))
    return pages


def docmatix_turns(pages: list[Page], rng: Rng) -> list[Turn]:
    first = pages[0]
    told: list[Turn] = [
        (
            "What is the purpose of the document?",
            f"It is a document headed {first.heading} by {first.letterhead}.",
        ),
        ("Who is the recipient of the document?", f"The recipient is {first.fields[1][1]}."),
        (
            "Who signed the document, and when was it written?",
            f"It was signed by {first.signature} on {first.fields[0][1]}.",
        ),
        (
            f"How many units of {first.table[2][0].lower()} appear in the table?",
            f"The table lists {first.table[2][1]} units.",
        ),
    ]
    told += [
        (f"How does {page.heading.split(':')[0].lower()} begin?", page.paragraphs[0].split(". ")[0])
        for page in pages[1:]
    ]
    return sample(rng, told, len(told))


def docmatix(studio: Studio, rng: Rng) -> list[Item]:
    """Pages at 100 dpi, every sixth document at the published 150; `extra` keeps the pages."""
    items = []
    for i in range(studio.rows):
        pages = docmatix_pages(rng)
        width = 1240 if i % 6 == 1 else 600
        pictures = [png(draw_page(page, width)) for page in pages]
        key = int(rng.integers(1000, 9_999_999))
        items.append(Item(pictures, docmatix_turns(pages, rng), {"key": key, "pages": pages}))
    return items
