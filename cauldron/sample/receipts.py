"""CORD's receipts: slips on a table, with every field and the box of every word."""

from __future__ import annotations

from typing import Any

from cauldron.sample.draw import page
from cauldron.sample.draw.ink import Box
from cauldron.sample.draw.page import Block
from cauldron.sample.model import Item, Rng, jpeg, pick, sample
from cauldron.sample.studio import Studio
from cauldron.sample.words import WORDS

BORDER = (70, 60)
SUMS: dict[str, str] = WORDS["sums"]
Bought = list[tuple[str, int, int]]  # dish, count, price


def cord_v2(name: str, studio: Studio, rng: Rng) -> list[Item]:
    """The answer is made by the reader from `ground_truth`; there is no published question."""
    return [_receipt(studio, rng, i) for i in range(studio.rows)]


def _receipt(studio: Studio, rng: Rng, i: int) -> Item:
    counts = rng.integers(1, 4, 1 + i % 5).tolist()
    dishes = sample(rng, WORDS["dishes"], len(counts))
    prices = [count * int(rng.integers(8, 60)) * 1000 for count in counts]
    bought = list(zip(dishes, counts, prices, strict=True))
    sums = _sums(sum(price for *_, price in bought), bool(rng.integers(2)))
    extra = "EXTRA PEDAS" if i % 6 == 2 else ""
    style = page.Style(300, size=16, margin=16, surface="slip", border=BORDER, seed=i + 1)
    image, words = page.draw_words(_blocks(rng, bought, extra, sums), style, studio.textures)
    parsed = _parsed(bought, extra, sums)
    if i % 6 == 5 and isinstance(parsed["menu"], list):
        parsed["menu"][0]["nm"] = parsed["menu"][0]["nm"].split(" ")  # a name in pieces
    size = {"width": image.width, "height": image.height}
    truth = {
        "gt_parse": parsed,
        "meta": {"version": "2.0.0", "split": "train", "image_id": i, "image_size": size},
        # What is printed between the head and the thanks.
        "valid_line": [_line(n, *word, sums) for n, word in enumerate(words[2:-1]) if word[0]],
        "roi": {},
        "repeating_symbol": [],
        "dontcare": [],
    }
    return Item([jpeg(image)], [], {"ground_truth": truth})


def _sums(subtotal: int, taxed: bool) -> dict[str, str]:
    tax = subtotal // 10 if taxed else 0
    total = subtotal + tax
    cash = -(-total // 50000) * 50000
    amounts = (subtotal, tax, total, cash, cash - total)
    return {key: f"{n:,}" for key, n in zip(SUMS, amounts, strict=True) if tax or "PB1" not in key}


def _blocks(rng: Rng, bought: Bought, extra: str, sums: dict[str, str]) -> list[Block]:
    address = f"Jl. {pick(rng, WORDS['streets'])} {int(rng.integers(1, 200))}"
    lines = [(dish, f"{count} x   {price:,}") for dish, count, price in bought]
    lines[1:1] = [(f"+ {extra}", "")] if extra else []
    return [
        Block("text", ((pick(rng, WORDS["shops"]),),), 1.4, True, align="m"),
        Block("text", ((address,),), align="m"),
        Block("rule"),
        Block("line", tuple(lines)),
        Block("line", tuple(sums.items()), bold=True),
        Block("text", (("THANK YOU",),), align="m"),
    ]


def _parsed(bought: Bought, extra: str, sums: dict[str, str]) -> dict[str, Any]:
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


def _line(number: int, text: str, box: Box, sums: dict[str, str]) -> dict[str, Any]:
    """A printed text with its place in the photograph."""
    x1, y1, x2, y2 = (round(v) + BORDER[n % 2] for n, v in enumerate(box))
    quad = {"x1": x1, "y1": y1, "x2": x2, "y2": y1, "x3": x2, "y3": y2, "x4": x1, "y4": y2}
    word = {"quad": quad, "is_key": int(text in sums), "row_id": number // 2, "text": text}
    category = SUMS.get(text) or ("menu.price" if " x " in text else "menu.nm")
    return {"words": [word], "category": category, "group_id": number // 2, "sub_group_id": 0}
