"""Pages: letters, forms, receipts, covers, screens and web sites, as blocks from top to bottom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image, ImageDraw

from cauldron.sample.draw import ink
from cauldron.sample.draw.ink import BLACK, WHITE, Box, Color, mix
from cauldron.sample.draw.texture import Textures, on_table, scanned

TALLEST = 2400
Printed = tuple[str, Box]


@dataclass(frozen=True)
class Block:
    """A part of a page, as wide as the page.

    Attributes:
        kind: a method of `_Press`, which says what the cells of the rows are.
        size: of the type, times the page's.
        color: ``ink``, ``faint``, ``accent`` or ``white``.
        align: ``l``, ``m`` or ``r``.
    """

    kind: str
    rows: tuple[tuple[str, ...], ...] = ()
    size: float = 1.0
    bold: bool = False
    color: str = "ink"
    align: str = "l"


@dataclass(frozen=True)
class Style:
    """How a page is printed and photographed; lengths in pixels.

    Attributes:
        height: of the sheet; 0: as tall as what is on it.
        surface: ``scan``, or ``slip`` for a slip of paper on a table; "" for neither.
        border, turn: of a slip: width of the table around it, angle in degrees.
    """

    width: int
    height: int = 0
    size: float = 15
    margin: float = 30
    leading: float = 1.45
    paper: Color = WHITE
    ink: Color = BLACK
    accent: Color = (50, 95, 200)
    grey: bool = False
    surface: str = ""
    border: tuple[int, int] = (70, 60)
    turn: float = 0.0
    seed: int = 0

    @property
    def faint(self) -> Color:
        return mix(self.ink, self.paper, 0.45)


@dataclass
class _Press:
    """A sheet that is being printed; `y` is the upper edge of the next block."""

    style: Style
    pen: ImageDraw.ImageDraw
    y: float
    words: list[Printed] = field(default_factory=list)

    @property
    def right(self) -> float:
        return self.style.width - self.style.margin

    def put(self, x: float, y: float, text: str, look: Block, anchor: str = "la") -> None:
        style = self.style
        named = {"faint": style.faint, "accent": style.accent, "white": WHITE}
        fill, size = named.get(look.color, style.ink), style.size * look.size
        self.words.append((text, ink.write(self.pen, (x, y), text, size, fill, anchor, look.bold)))

    def text(self, block: Block) -> None:
        """Paragraphs, one a row."""
        size, wide = self.style.size * block.size, self.right - self.style.margin
        x = self.style.margin + wide * {"l": 0.0, "m": 0.5, "r": 1.0}[block.align]
        for (text,) in block.rows:
            for line in ink.wrap(text, size, wide):
                self.put(x, self.y, line, block, block.align + "a")
                self.y += size * self.style.leading
            self.y += self.style.size * 0.5

    def line(self, block: Block) -> None:
        """Left and right text on one line."""
        for start, end in block.rows:
            self.put(self.style.margin, self.y, start, block)
            self.put(self.right, self.y, end, block, "ra")
            self.y += self.style.size * block.size * self.style.leading

    def table(self, block: Block) -> None:
        """The first row is the header."""
        size, wide = self.style.size, self.right - self.style.margin
        for i, row in enumerate(block.rows):
            tint = mix(self.style.accent, self.style.paper, 0.8) if i == 0 else None
            box = (self.style.margin, self.y, self.right, self.y + size * 1.8)
            self.pen.rectangle(box, fill=tint, outline=self.style.faint)
            for j, cell in enumerate(row):
                x = self.style.margin + wide * j / len(row) + size * 0.5
                self.put(x, self.y + size * 0.25, cell, replace(block, bold=i == 0))
            self.y += size * 1.8
        self.y += size * 0.6

    def rule(self, block: Block) -> None:
        ends = [(self.style.margin, self.y), (self.right, self.y)]
        self.pen.line(ends, fill=self.style.faint, width=2)
        self.y += self.style.size * block.size * self.style.leading

    def band(self, block: Block) -> None:
        """A bar of the accent's colour with a title on its left and more on its right."""
        size, ((title, more),) = self.style.size * block.size, block.rows
        bar = (0, self.y, self.style.width, self.y + size * 2)
        self.pen.rectangle(bar, fill=self.style.accent)
        head = replace(block, bold=True, color="white")
        self.put(self.style.margin, self.y + size, title, head, "lm")
        self.put(self.right, self.y + size, more, replace(head, size=1, bold=False), "rm")
        self.y += size * 2 + self.style.size

    def picture(self, block: Block) -> None:
        """An illustration: hills in shades of the accent."""
        x0, y0, x1, y1 = (
            self.style.margin,
            self.y,
            self.right,
            self.y + self.style.size * 9 * block.size,
        )
        rng = np.random.default_rng(self.style.seed)
        self.pen.rectangle((x0, y0, x1, y1), fill=mix(self.style.accent, WHITE, 0.6))
        for tone in (0.35, 0.1):
            tops = y1 - (y1 - y0) * rng.uniform(0.1, 0.9, 7)
            peaks = [(x0 + (x1 - x0) * i / 6, float(top)) for i, top in enumerate(tops)]
            fill = mix(self.style.accent, BLACK, tone)
            self.pen.polygon([(x0, y1), *peaks, (x1, y1)], fill=fill)
        self.y = y1 + self.style.size

    def foot(self, block: Block) -> None:
        """Left and right text at the lower edge of the sheet."""
        self.y = self.style.height - self.style.margin * 0.6
        self.line(replace(block, size=0.9, color="faint"))


def draw(blocks: Iterable[Block], style: Style, textures: Textures) -> Image.Image:
    return draw_words(blocks, style, textures)[0]


def draw_words(
    blocks: Iterable[Block], style: Style, textures: Textures
) -> tuple[Image.Image, list[Printed]]:
    """The picture, and every printed text with its box on the sheet."""
    image, pen = ink.canvas(style.width, style.height or TALLEST, style.paper)
    press = _Press(style, pen, style.margin * 0.8)
    for block in blocks:
        getattr(press, block.kind)(block)
    if not style.height:
        image = image.crop((0, 0, style.width, round(press.y + style.margin * 0.8)))
    if style.grey or style.surface:
        image = image.convert("L")
    rng = np.random.default_rng(style.seed)
    if style.surface == "scan":
        image = scanned(image, textures, rng)
    elif style.surface == "slip":
        image = on_table(image, textures, rng, style.border, style.turn)
    return (image if style.grey else image.convert("RGB")), press.words
