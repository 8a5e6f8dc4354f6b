"""Pages: letters, forms, receipts, covers, screens and web sites, as blocks from top to bottom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from cauldron.sample.draw import ink
from cauldron.sample.draw.ink import BLACK, WHITE, Box, Color, Face, mix
from cauldron.sample.draw.texture import Textures, develop, on_table, scanned
from cauldron.sample.model import Facts

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


BOLD, FAINT = Block("", bold=True), Block("", size=0.9, color="faint")
LABEL = Block("", bold=True, color="white")  # on the accent's colour


@dataclass(frozen=True)
class Style:
    """How a page is printed and photographed; lengths in pixels.

    Attributes:
        height: of the sheet; 0: as tall as what is on it.
        ruled: lines under fields and around cells.
        columns: in which a body is set.
        row: height of an entry in a list, times `size`.
        surface: ``scan``, or ``slip`` for a slip of paper on a table; "" for neither.
        ground, border, turn, fall, grain: of a slip: colour of the table and its width around the
            slip, angle in degrees, light at the lower edge, noise.
    """

    width: int
    height: int = 0
    size: float = 15
    margin: float = 30
    leading: float = 1.45
    face: Face = ink.PLAIN
    paper: Color = WHITE
    ink: Color = BLACK
    accent: Color = (50, 95, 200)
    ruled: bool = True
    columns: int = 1
    row: float = 3.4
    badges: bool = True
    grey: bool = False
    surface: str = ""
    ground: Color = (128, 92, 64)
    border: tuple[int, int] = (70, 60)
    turn: float = 0.0
    fall: float = 0.8
    grain: float = 0.018
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
    left: float
    words: list[Printed] = field(default_factory=list)

    @property
    def right(self) -> float:
        return self.style.width - self.style.margin

    def put(self, x: float, y: float, text: str, block: Block, anchor: str = "la") -> None:
        style = self.style
        named = {"faint": style.faint, "accent": style.accent, "white": WHITE}
        face = style.face.bold() if block.bold else style.face
        fill, size = named.get(block.color, style.ink), style.size * block.size
        self.words.append((text, ink.write(self.pen, (x, y), text, size, fill, anchor, face)))

    def wrapped(self, text: str, block: Block, x: float, width: float) -> None:
        face = self.style.face.bold() if block.bold else self.style.face
        size = self.style.size * block.size
        x += width * {"l": 0.0, "m": 0.5, "r": 1.0}[block.align]
        for line in ink.wrap(text, size, width, face):
            self.put(x, self.y, line, block, block.align + "a")
            self.y += size * self.style.leading

    def text(self, block: Block) -> None:
        """Paragraphs, one a row."""
        for (text,) in block.rows:
            self.wrapped(text, block, self.left, self.right - self.left)
            self.y += self.style.size * 0.5

    def line(self, block: Block) -> None:
        """Left and right text on one line."""
        for start, end in block.rows:
            self.put(self.left, self.y, start, block)
            if end:
                self.put(self.right, self.y, end, block, "ra")
            self.y += self.style.size * block.size * self.style.leading

    def fields(self, block: Block) -> None:
        """Label and value, as in a form."""
        size, start = self.style.size, self.left + self.style.size * 8
        for label, value in block.rows:
            self.put(self.left, self.y, f"{label}:", BOLD)
            self.put(start, self.y, value, block)
            self.y += size * 1.7
            if self.style.ruled:
                self.pen.line([(start, self.y), (self.right, self.y)], fill=self.style.faint)
                self.y += size * 0.3

    def table(self, block: Block) -> None:
        """The first row is the header."""
        size, wide = self.style.size, self.right - self.left
        line = self.style.faint if self.style.ruled else None
        for i, row in enumerate(block.rows):
            tint = mix(self.style.accent, self.style.paper, 0.8) if i == 0 else None
            box = (self.left, self.y, self.right, self.y + size * 1.8)
            self.pen.rectangle(box, fill=tint, outline=line)
            for j, cell in enumerate(row):
                x = self.left + wide * j / len(row) + size * 0.5
                self.put(x, self.y + size * 0.25, cell, BOLD if i == 0 else block)
            self.y += size * 1.8
        self.y += size * 0.6

    def rule(self, block: Block) -> None:
        """A line across the page, or a row of one character."""
        if block.rows:
            self.put((self.left + self.right) / 2, self.y, block.rows[0][0] * 26, block, "ma")
        else:
            ends = [(self.left, self.y), (self.right, self.y)]
            self.pen.line(ends, fill=self.style.faint, width=2)
        self.y += self.style.size * self.style.leading

    def gap(self, block: Block) -> None:
        self.y += self.style.size * block.size

    def band(self, block: Block) -> None:
        """A bar of the accent's colour with a title on its left, and more on its right."""
        size, (title, *more) = self.style.size * block.size, block.rows[0]
        bar = (0, self.y, self.style.width, self.y + size * 2)
        self.pen.rectangle(bar, fill=self.style.accent)
        head = Block("", size=block.size, bold=True, color="white")
        self.put(self.style.margin, self.y + size, title, head, "lm")
        x = self.right
        for text in reversed(more):
            self.put(x, self.y + size, text, LABEL, "rm")
            x -= ink.width_of(text, self.style.size, self.style.face) + self.style.size * 1.6
        self.y += size * 2 + self.style.size

    def cards(self, block: Block) -> None:
        """Boxes side by side: a head and a smaller text each; `size` is of the head."""
        size, top = self.style.size, self.y
        share = (self.right - self.left + size) / len(block.rows)
        high, line = size * (3 + block.size), mix(self.style.faint, self.style.paper, 0.5)
        head = Block("", size=block.size, bold=True, color=block.color)
        for i, (name, text) in enumerate(block.rows):
            x = self.left + share * i
            self.pen.rectangle((x, top, x + share - size, top + high), outline=line)
            self.put(x + size * 0.6, top + size * 0.4, name, head)
            self.y = top + size * (0.6 + block.size * 1.3)
            self.wrapped(text, FAINT, x + size * 0.6, share - size * 2)
        self.y = top + high + size

    def levels(self, block: Block) -> None:
        """Label and percentage, with a bar of that length."""
        size, start = self.style.size, self.left + self.style.size * 8
        for label, percent in block.rows:
            self.put(self.left, self.y, label, block)
            long = (self.right - start - size * 4) * float(percent) / 100
            bar = (start, self.y, start + max(long, size), self.y + size * 1.3)
            self.pen.rectangle(bar, fill=self.style.accent)
            self.put(self.right, self.y, f"{percent}%", BOLD, "ra")
            self.y += size * 2.4

    def entries(self, block: Block) -> None:
        """A list of name, detail and value; the values ``on`` and ``off`` are switches."""
        style, size, step = self.style, self.style.size, self.style.size * self.style.row
        for i, (name, detail, value) in enumerate(block.rows):
            if style.height and self.y + step > style.height - size * 0.5:
                return
            x, y = self.left, self.y
            if style.badges:
                tone = mix(style.accent, style.paper, 0.15 + 0.12 * (i % 5))
                self.pen.ellipse((x, y + size * 0.3, x + size * 2, y + size * 2.3), fill=tone)
                self.put(x + size, y + size * 1.3, name[0], LABEL, "mm")
                x += size * 2.8
            self.put(x, y + size * 0.2, name, Block("", size=1.1, bold=True))
            if value in ("on", "off"):
                self._switch(y + size * 0.3, value == "on")
            else:
                self.put(self.right, y + size * 0.2, value, block, "ra")
            short = ink.wrap(detail, size * 0.9, self.right - x, style.face)[0]
            self.put(x, y + size * 1.6, short, FAINT)
            self.y += step
            line = [(self.left, self.y - 2), (style.width, self.y - 2)]
            self.pen.line(line, fill=mix(style.faint, style.paper, 0.7))

    def _switch(self, y: float, on: bool) -> None:
        size, x = self.style.size, self.right - self.style.size * 2.6
        fill = self.style.accent if on else mix(self.style.faint, self.style.paper, 0.4)
        self.pen.rounded_rectangle((x, y, x + size * 2.6, y + size * 1.4), size * 0.7, fill=fill)
        knob = x + size * (1.3 if on else 0.1)
        self.pen.ellipse((knob, y + size * 0.1, knob + size * 1.2, y + size * 1.3), fill=WHITE)

    def menu(self, block: Block) -> None:
        """Words below each other on the left of all that follows; ``*`` marks one."""
        style, size, wide = self.style, self.style.size, self.style.size * 11
        side = mix(style.paper, style.ink, 0.06)
        self.pen.rectangle((0, self.y - size, wide, style.height), fill=side)
        for i, (name, mark) in enumerate(block.rows):
            y = self.y + size * 2.2 * i
            if mark:
                tint = mix(style.accent, style.paper, 0.65)
                self.pen.rectangle((0, y - size * 0.4, wide, y + size * 1.6), fill=tint)
            self.put(size, y, name, block)
        self.left = wide + size

    def picture(self, block: Block) -> None:
        """An illustration: hills under a sun in shades of the accent."""
        x0, y0, x1, y1 = self.left, self.y, self.right, self.y + self.style.size * 9 * block.size
        wide, high, accent = x1 - x0, y1 - y0, self.style.accent
        rng = np.random.default_rng(self.style.seed)
        self.pen.rectangle((x0, y0, x1, y1), fill=mix(accent, WHITE, 0.6))
        sun = x0 + wide * float(rng.uniform(0.1, 0.8))
        self.pen.ellipse((sun, y0 + 10, sun + high * 0.2, y0 + 10 + high * 0.2), fill="#fae28c")
        for tone in (0.35, 0.1):
            peaks = [
                (x0 + wide * i / 6, y1 - high * float(rng.uniform(0.1, 0.7))) for i in range(7)
            ]
            self.pen.polygon([(x0, y1), *peaks, (x1, y1)], fill=mix(accent, BLACK, tone))
        self.y = y1 + self.style.size

    def body(self, block: Block) -> None:
        """Heading and text of each section, set in columns and cut off at the foot."""
        style, gap, top, column = self.style, self.style.size * 2, self.y, 0
        wide = (self.right - self.left - gap * (style.columns - 1)) / style.columns
        bottom = style.height - style.margin * 0.8 - style.size * 1.2
        lines: list[tuple[str, Block]] = []
        for heading, text in block.rows:
            told = ink.wrap(text, style.size, wide, style.face)
            lines += [(heading, BOLD), *((line, block) for line in told), ("", block)]
        for line, look in lines:
            if self.y + style.size * style.leading > bottom:
                column, self.y = column + 1, top
            if column == style.columns:
                return
            self.put(self.left + column * (wide + gap), self.y, line, look)
            self.y += style.size * (style.leading if line else 0.7)

    def foot(self, block: Block) -> None:
        """Left and right text at the lower edge of the sheet."""
        y = self.style.height - self.style.margin * 0.6
        self.put(self.left, y, block.rows[0][0], FAINT)
        self.put(self.right, y, block.rows[0][1], FAINT, "ra")


def draw(blocks: Iterable[Block], style: Style, textures: Textures) -> Image.Image:
    return draw_words(blocks, style, textures)[0]


def draw_words(
    blocks: Iterable[Block], style: Style, textures: Textures
) -> tuple[Image.Image, list[Printed]]:
    """The picture, and every printed text with its box on the sheet."""
    image, pen = ink.canvas(style.width, style.height or TALLEST, style.paper)
    press = _Press(style, pen, style.margin * 0.8, style.margin)
    for number, block in enumerate(blocks):
        if number == 0 and block.kind == "band":
            press.y = 0
        getattr(press, block.kind)(block)
    if not style.height:
        image = image.crop((0, 0, style.width, round(press.y + style.margin * 0.8)))
    if style.grey or style.surface:
        image = image.convert("L")
    rng = np.random.default_rng(style.seed)
    if style.surface == "scan":
        image = scanned(image, textures, rng)
    elif style.surface == "slip":
        light = on_table(image, textures, rng, style.ground, style.border, style.turn)
        fall = np.linspace(1.05, style.fall, len(light), dtype=np.float32)[:, None, None]
        image = develop(light * fall, textures, rng, style.grain)
    return (image if style.grey else image.convert("RGB")), press.words


def facts(blocks: Iterable[Block]) -> Facts:
    """What can be said of bars: which is the longest, which the shortest."""
    orders = [
        sorted(block.rows, key=lambda row: float(row[1]))
        for block in blocks
        if block.kind == "levels"
    ]
    return {"levels": [{"lowest": rows[0][0], "highest": rows[-1][0]} for rows in orders]}
