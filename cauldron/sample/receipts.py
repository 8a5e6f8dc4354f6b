"""CORD's receipts: slips on a table, with every field and the box of every word."""

from __future__ import annotations

from typing import Any

from cauldron.sample.draw import page
from cauldron.sample.draw.ink import Box, Face
from cauldron.sample.draw.page import Block
from cauldron.sample.model import Item, Rng, jpeg, pick, sample
from cauldron.sample.studio import Studio
from cauldron.sample.words import DISHES

SHOPS = ("KOPI KITA", "WARUNG SENJA", "DAPUR IBU", "TOKO ROTI MAWAR", "KEDAI PAGI")
STREETS = ("Melati", "Anggrek", "Kenanga")
SUMS = {
    "SUBTOTAL": "sub_total.subtotal_price",
    "PB1 10%": "sub_total.tax_price",
    "TOTAL": "total.total_price",
    "CASH": "total.cashprice",
    "CHANGE": "total.changeprice",
}
Rows = tuple[tuple[str, str], ...]


def cord_v2(name: str, studio: Studio, rng: Rng) -> list[Item]:
    """The answer is made by the reader from `ground_truth`; there is no published question."""
    return [_receipt(studio, rng, i) for i in range(studio.rows)]


def _receipt(studio: Studio, rng: Rng, i: int) -> Item:
    dishes = sample(rng, DISHES, 1 + i % 5)
    counts = [int(rng.integers(1, 4)) for _ in dishes]
    prices = [count * int(rng.integers(8, 60)) * 1000 for count in counts]
    tax = sum(prices) // 10 if rng.integers(2) else 0
    total = sum(prices) + tax
    cash = -(-total // 50000) * 50000
    amounts = (sum(prices), tax, total, cash, cash - total)
    sums = {key: f"{n:,}" for key, n in zip(SUMS, amounts, strict=True) if tax or key != "PB1 10%"}
    extra = "EXTRA PEDAS" if i % 6 == 2 else ""
    lines = [
        (dish, f"{count} x   {price:,}")
        for dish, count, price in zip(dishes, counts, prices, strict=True)
    ]
    lines[1:1] = [(f"+ {extra}", "")] if extra else []
    blocks = _blocks(rng, tuple(lines), tuple(sums.items()))
    ground = pick(rng, ((128, 92, 64), (88, 82, 80)))
    style = page.Style(
        300, size=16, margin=16, face=Face(), surface="slip", ground=ground, seed=i + 1
    )
    image, words = page.draw_words(blocks, style, studio.textures)
    parsed = _parsed(list(zip(dishes, counts, prices, strict=True)), extra, sums)
    if i % 6 == 5 and isinstance(parsed["menu"], list):
        parsed["menu"][0]["nm"] = parsed["menu"][0]["nm"].split(" ")  # a name in pieces
    size = {"width": image.width, "height": image.height}
    truth = {
        "gt_parse": parsed,
        "meta": {"version": "2.0.0", "split": "train", "image_id": i, "image_size": size},
        "valid_line": _lines([(w, b) for w, b in words if w], style.border, sums),
        "roi": {},
        "repeating_symbol": [],
        "dontcare": [],
    }
    return Item([jpeg(image)], [], {"ground_truth": truth})


def _blocks(rng: Rng, lines: Rows, sums: Rows) -> tuple[Block, ...]:
    return (
        Block("text", ((pick(rng, SHOPS),),), 1.4, True, align="m"),
        Block("text", ((f"Jl. {pick(rng, STREETS)} {int(rng.integers(1, 200))}",),), align="m"),
        Block("rule", (("-",),)),
        Block("line", lines),
        Block("line", sums, bold=True),
        Block("text", (("THANK YOU",),), align="m"),
    )


def _parsed(bought: list[tuple[str, int, int]], extra: str, sums: dict[str, str]) -> dict[str, Any]:
    """The fields as CORD has them: `menu` is a bare dict where there is one item."""
    menu: list[dict[str, Any]] = [
        {"nm": dish, "cnt": f"{count} x", "price": f"{price:,}"} for dish, count, price in bought
    ]
    if extra:
        menu[0]["sub"] = {"nm": extra}
    parsed: dict[str, Any] = {"menu": menu if len(menu) > 1 else menu[0]}
    for key, value in sums.items():
        group, field = SUMS[key].split(".")
        parsed.setdefault(group, {})[field] = value
    return parsed


def _lines(
    words: list[tuple[str, Box]], border: tuple[int, int], sums: dict[str, str]
) -> list[dict[str, Any]]:
    """Every printed text between the head and the thanks, with its place in the photograph."""
    lines = []
    for number, (text, box) in enumerate(words[3:-1]):
        x1, y1, x2, y2 = (round(v) + border[n % 2] for n, v in enumerate(box))
        quad = {"x1": x1, "y1": y1, "x2": x2, "y2": y1, "x3": x2, "y3": y2, "x4": x1, "y4": y2}
        word = {"quad": quad, "is_key": int(text in sums), "row_id": number // 2, "text": text}
        category = SUMS.get(text) or ("menu.price" if " x " in text else "menu.nm")
        lines.append(
            {"words": [word], "category": category, "group_id": number // 2, "sub_group_id": 0}
        )
    return lines
