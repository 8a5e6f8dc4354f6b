"""Till receipts, photographed on a table: CORD's subject, with its fields known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cauldron.sample.ink import font
from cauldron.sample.model import Rng
from cauldron.sample.texture import Textures, blend, develop, shade

WIDTH, STEP = 300, 24


@dataclass(frozen=True)
class Receipt:
    """`lines` are (name, count, price), amounts whole rupiah; `extra` belongs to the first."""

    shop: str
    address: str
    lines: tuple[tuple[str, int, int], ...]
    tax: int
    cash: int
    extra: str = ""

    @property
    def subtotal(self) -> int:
        return sum(price for _, _, price in self.lines)

    @property
    def total(self) -> int:
        return self.subtotal + self.tax


@dataclass(frozen=True)
class Word:
    """A printed word and its box (x1, y1, x2, y2) in the photograph."""

    text: str
    category: str
    group: int
    box: tuple[int, int, int, int]


def rupiah(value: int) -> str:
    return f"{value:,}"


def _printed(receipt: Receipt) -> list[tuple[str, str, str, int]]:
    """Lines as (left, right, category, group)."""
    lines = [
        (name, f"{n} x   {rupiah(price)}", "menu", i)
        for i, (name, n, price) in enumerate(receipt.lines)
    ]
    if receipt.extra:
        lines.insert(1, (f"  + {receipt.extra}", "", "menu.sub_nm", 0))
    group = len(receipt.lines)
    lines.append(("SUBTOTAL", rupiah(receipt.subtotal), "sub_total.subtotal_price", group))
    if receipt.tax:
        lines.append(("PB1 10%", rupiah(receipt.tax), "sub_total.tax_price", group + 1))
    lines.append(("TOTAL", rupiah(receipt.total), "total.total_price", group + 2))
    lines.append(("CASH", rupiah(receipt.cash), "total.cashprice", group + 3))
    lines.append(("CHANGE", rupiah(receipt.cash - receipt.total), "total.changeprice", group + 4))
    return lines


def draw_receipt(receipt: Receipt, textures: Textures, rng: Rng) -> tuple[Image.Image, list[Word]]:
    """The photograph, and every printed word with its box."""
    printed = _printed(receipt)
    height = 130 + STEP * len(printed) + 60
    slip = Image.new("L", (WIDTH, height), 250)
    draw = ImageDraw.Draw(slip)
    margin = (70, 60)
    draw.text((WIDTH / 2, 24), receipt.shop, fill=30, font=font(22), anchor="mm", stroke_width=0.6)
    draw.text((WIDTH / 2, 52), receipt.address, fill=60, font=font(13), anchor="mm")
    draw.text((WIDTH / 2, 80), "-" * 34, fill=60, font=font(14), anchor="mm")
    words: list[Word] = []
    y = 104
    for left, right, category, group in printed:
        size = 20 if left == "TOTAL" else 16
        names = ("menu.nm", "menu.price") if category == "menu" else (category, category)
        ends = ((left, 16, "lm", names[0]), (right, WIDTH - 16, "rm", names[1]))
        for text, x, anchor, kind in ends:
            if text:
                draw.text((x, y), text, fill=35, font=font(size), anchor=anchor)
                box = draw.textbbox((x, y), text, font=font(size), anchor=anchor)
                x1, y1, x2, y2 = (round(v) + margin[n % 2] for n, v in enumerate(box))
                words.append(Word(text.strip(), kind, group, (x1, y1, x2, y2)))
        y += STEP
    draw.text((WIDTH / 2, y + 14), "THANK YOU", fill=50, font=font(16), anchor="mm")
    return _photograph(slip, margin, textures, rng), words


def _photograph(
    slip: Image.Image, margin: tuple[int, int], textures: Textures, rng: Rng
) -> Image.Image:
    width, height = slip.width + 2 * margin[0], slip.height + 2 * margin[1]
    fibre = textures.window("rough", height, width, rng, (6, 0.5))[..., None]
    wood = shade((128, 92, 64) if rng.integers(2) else (88, 82, 80))
    light = (wood * (1 + 0.14 * fibre)).astype(np.float32)
    shadow = Image.new("L", (width, height), 0)
    x, y = margin
    ImageDraw.Draw(shadow).rectangle(
        (x + 8, y + 10, x + slip.width + 8, y + slip.height + 10), fill=160
    )
    soft = np.asarray(shadow.filter(ImageFilter.BoxBlur(7)), np.float32) / 255
    light = blend(light, np.zeros_like(light), soft)
    paper = np.asarray(slip.filter(ImageFilter.GaussianBlur(0.5)), np.float32) / 255
    crease = textures.window("smooth", slip.height, slip.width, rng, (1.4, 1.4))
    fine = textures.window("relief", slip.height, slip.width, rng)
    paper = paper * (0.94 + 0.035 * crease + 0.012 * fine)
    light[y : y + slip.height, x : x + slip.width] = paper[..., None] * shade((250, 247, 240))
    fall = np.linspace(1.05, 0.8, height, dtype=np.float32)[:, None, None]
    return develop(light * fall, textures, rng)
