"""Pages: letters, forms, receipts, covers, screens and web sites, as blocks from top to bottom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from cauldron.sample.draw.ink import (
    BLACK,
    PLAIN,
    WHITE,
    Box,
    Color,
    Draw,
    Face,
    canvas,
    mix,
    width_of,
    wrap,
    write,
)
from cauldron.sample.draw.texture import Array, Textures, blend, clip, develop, shade
from cauldron.sample.model import Facts

TALLEST = 2400


@dataclass(frozen=True)
class Block:
    """A part of a page, as wide as the page.

    Attributes:
        kind: a method of `_Press`, which says what the cells are.
        rows: of cells.
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
        ruled: lines under fields and around cells.
        columns: in which a body is set.
        row: height of an entry in a list, times `size`.
        wobble: how far words leave their line, times `size`, as in handwriting.
        surface: ``scan``, ``slip`` (a slip on a table) or ``wall`` (uneven light); "" for none.
        ground: colour of the table under a slip.
        turn: in degrees, of what is scanned or photographed.
    """

    width: int
    height: int = 0
    size: float = 15
    margin: float = 30
    leading: float = 1.45
    face: Face = PLAIN
    paper: Color = WHITE
    ink: Color = BLACK
    accent: Color = (50, 95, 200)
    ruled: bool = True
    columns: int = 1
    row: float = 3.4
    badges: bool = True
    wobble: float = 0.0
    grey: bool = False
    surface: str = ""
    ground: Color = (128, 92, 64)
    border: tuple[int, int] = (70, 60)
    turn: float = 0.0
    fall: float = 0.8
    grain: float = 0.018
    seed: int = 0


@dataclass
class _Press:
    """A sheet that is being printed; `y` is the upper edge of the next block."""

    style: Style
    image: Image.Image
    ink: Draw
    y: float
    left: float
    words: list[tuple[str, Box]] = field(default_factory=list)

    @property
    def right(self) -> float:
        return self.style.width - self.style.margin

    @property
    def faint(self) -> Color:
        return mix(self.style.ink, self.style.paper, 0.45)

    def _fill(self, block: Block) -> Color:
        named = {"faint": self.faint, "accent": self.style.accent, "white": WHITE}
        return named.get(block.color, self.style.ink)

    def _put(self, x: float, y: float, text: str, block: Block, anchor: str = "la") -> None:
        face = self.style.face.bold() if block.bold else self.style.face
        size = self.style.size * block.size
        box = write(self.ink, (x, y), text, size, self._fill(block), anchor, face)
        self.words.append((text, box))

    def _lines(self, text: str, block: Block, x: float, width: float) -> None:
        """A paragraph; lines that would run over the foot are left out."""
        face = self.style.face.bold() if block.bold else self.style.face
        size, rng = self.style.size * block.size, np.random.default_rng(self.style.seed)
        at = x + width * {"l": 0.0, "m": 0.5, "r": 1.0}[block.align]
        for line in wrap(text, size, width, face):
            if self.style.wobble:
                start = at
                for word in line.split():
                    shift = float(rng.uniform(-1, 1)) * self.style.wobble * size
                    self._put(start, self.y + shift, word, block)
                    start += width_of(word + " ", size, face)
            else:
                self._put(at, self.y, line, block, block.align + "a")
            self.y += size * self.style.leading

    def text(self, block: Block) -> None:
        """Paragraphs, one a row."""
        for (text,) in block.rows:
            self._lines(text, block, self.left, self.right - self.left)
            self.y += self.style.size * 0.5

    def line(self, block: Block) -> None:
        """Left and right text on one line."""
        for start, end in block.rows:
            self._put(self.left, self.y, start, block)
            self._put(self.right, self.y, end, block, "ra")
            self.y += self.style.size * block.size * self.style.leading

    def fields(self, block: Block) -> None:
        """Label and value, as in a form."""
        size, start = self.style.size, self.left + self.style.size * 8
        for label, value in block.rows:
            self._put(self.left, self.y, f"{label}:", Block("", bold=True))
            self._put(start, self.y, value, block)
            self.y += size * 1.7
            if self.style.ruled:
                self.ink.line([(start, self.y), (self.right, self.y)], fill=self.faint)
                self.y += size * 0.3

    def table(self, block: Block) -> None:
        """The first row is the header."""
        size, wide = self.style.size, self.right - self.left
        for i, row in enumerate(block.rows):
            box = (self.left, self.y, self.right, self.y + size * 1.8)
            tint = mix(self.style.accent, self.style.paper, 0.8) if i == 0 else None
            self.ink.rectangle(box, fill=tint, outline=self.faint if self.style.ruled else None)
            for j, cell in enumerate(row):
                x = self.left + wide * j / len(row) + size * 0.5
                self._put(x, self.y + size * 0.25, cell, Block("", bold=i == 0))
            self.y += size * 1.8
        self.y += size * 0.6

    def rule(self, block: Block) -> None:
        """A line across the page, or a row of one character."""
        if block.rows:
            self._put((self.left + self.right) / 2, self.y, block.rows[0][0] * 26, block, "ma")
            self.y += self.style.size * self.style.leading
        else:
            self.ink.line([(self.left, self.y), (self.right, self.y)], fill=self.faint, width=2)
            self.y += self.style.size

    def gap(self, block: Block) -> None:
        self.y += self.style.size * block.size

    def band(self, block: Block) -> None:
        """A bar of the accent's colour with a title on its left, and more on its right."""
        size = self.style.size * block.size
        self.ink.rectangle((0, self.y, self.style.width, self.y + size * 2), fill=self.style.accent)
        (title, *more) = block.rows[0]
        white = Block("", size=block.size, bold=True, color="white")
        self._put(self.style.margin, self.y + size, title, white, "lm")
        x = self.right
        for text in reversed(more):
            self._put(x, self.y + size, text, Block("", color="white"), "rm")
            x -= width_of(text, self.style.size, self.style.face) + self.style.size * 1.4
        self.y += size * 2 + self.style.size

    def hero(self, block: Block) -> None:
        """A high bar with a claim in its middle, a text below it, and a button."""
        size, middle = self.style.size, (self.left + self.right) / 2
        (claim, text, button) = block.rows[0]
        box = (0, self.y - size, self.style.width, self.y + size * 10)
        self.ink.rectangle(box, fill=self.style.accent)
        self._put(
            middle, self.y + size, claim, Block("", size=2, bold=True, color="white"), "ma"
        )
        self._put(middle, self.y + size * 4.4, text, Block("", color="white"), "ma")
        self.y += size * 6.4
        self._button(button, WHITE, "accent")
        self.y += size * 2

    def button(self, block: Block) -> None:
        self._button(block.rows[0][0], self.style.accent, "white")

    def _button(self, text: str, fill: Color, color: str) -> None:
        size, middle = self.style.size, (self.left + self.right) / 2
        half = width_of(text, size, self.style.face) / 2 + size * 2
        box = (middle - half, self.y, middle + half, self.y + size * 2.4)
        self.ink.rounded_rectangle(box, size * 0.4, fill=fill)
        label = Block("", bold=True, color=color)
        self._put(middle, self.y + size * 1.2, text, label, "mm")
        self.y += size * 3.4

    def cards(self, block: Block) -> None:
        """Boxes side by side: a head and a smaller text each; `size` is of the head."""
        size, top = self.style.size, self.y
        share = (self.right - self.left + size) / len(block.rows)
        high = size * (3 + block.size)
        for i, (head, text) in enumerate(block.rows):
            x = self.left + share * i
            box = (x, top, x + share - size, top + high)
            self.ink.rounded_rectangle(
                box, size * 0.4, self.style.paper, mix(self.faint, self.style.paper, 0.5)
            )
            label = Block("", size=block.size, bold=True, color=block.color)
            self._put(x + size * 0.6, top + size * 0.4, head, label)
            self.y = top + size * (0.6 + block.size * 1.3)
            small = Block("", size=0.9, color="faint")
            self._lines(text, small, x + size * 0.6, share - size * 2)
        self.y = top + high + size

    def levels(self, block: Block) -> None:
        """Label and percentage, with a bar of that length."""
        size, start = self.style.size, self.left + self.style.size * 8
        for label, percent in block.rows:
            self._put(self.left, self.y, label, block)
            long = (self.right - start - size * 4) * float(percent) / 100
            bar = (start, self.y, start + max(long, size), self.y + size * 1.3)
            self.ink.rounded_rectangle(bar, size * 0.6, fill=self.style.accent)
            self._put(self.right, self.y, f"{percent}%", Block("", bold=True), "ra")
            self.y += size * 2.4

    def entries(self, block: Block) -> None:
        """A list of name, detail and value; the values ``on`` and ``off`` are switches."""
        size, step = self.style.size, self.style.size * self.style.row
        for i, (name, detail, value) in enumerate(block.rows):
            if self.style.height and self.y + step > self.style.height - size * 0.5:
                return
            x, y = self.left, self.y
            if self.style.badges:
                tone = mix(self.style.accent, self.style.paper, 0.15 + 0.12 * (i % 5))
                self.ink.ellipse((x, y + size * 0.3, x + size * 2, y + size * 2.3), fill=tone)
                at = (x + size, y + size * 1.3)
                self._put(*at, name[0], Block("", bold=True, color="white"), "mm")
                x += size * 2.8
            self._put(x, y + size * 0.2, name, Block("", size=1.1, bold=True))
            if value in ("on", "off"):
                self._switch(y + size * 0.3, value == "on")
            else:
                self._put(self.right, y + size * 0.2, value, block, "ra")
            short = wrap(detail, size * 0.9, self.right - x, self.style.face)[0]
            self._put(x, y + size * 1.6, short, Block("", size=0.9, color="faint"))
            self.y += step
            line = [(self.left, self.y - 2), (self.style.width, self.y - 2)]
            self.ink.line(line, fill=mix(self.faint, self.style.paper, 0.7))

    def _switch(self, y: float, on: bool) -> None:
        size, x = self.style.size, self.right - self.style.size * 2.6
        fill = self.style.accent if on else mix(self.faint, self.style.paper, 0.4)
        self.ink.rounded_rectangle((x, y, x + size * 2.6, y + size * 1.4), size * 0.7, fill=fill)
        knob = x + size * (1.3 if on else 0.1)
        box = (knob, y + size * 0.1, knob + size * 1.2, y + size * 1.3)
        self.ink.ellipse(box, fill=mix(WHITE, BLACK, 0.04))

    def boxes(self, block: Block) -> None:
        """Empty boxes to fill in, each below its label."""
        size = self.style.size
        for (label,) in block.rows:
            self._put(self.left, self.y, label, Block("", color="faint"))
            box = (self.left, self.y + size * 1.5, self.right, self.y + size * 3.8)
            self.ink.rectangle(box, outline=self.faint)
            self.y += size * 4.8

    def menu(self, block: Block) -> None:
        """Words below each other on the left of all that follows; the cell ``*`` marks one."""
        size, wide = self.style.size, self.style.size * 11
        top = self.y - size
        side = mix(self.style.paper, self.style.ink, 0.06)
        self.ink.rectangle((0, top, wide, self.style.height), fill=side)
        for i, (name, mark) in enumerate(block.rows):
            y = top + size * (1 + 2.2 * i)
            if mark == "*":
                tint = mix(self.style.accent, self.style.paper, 0.65)
                self.ink.rectangle((0, y - size * 0.4, wide, y + size * 1.6), fill=tint)
            self._put(size, y, name, block)
        self.left = wide + size

    def picture(self, block: Block) -> None:
        """An illustration: hills under a sun in shades of the accent."""
        high = self.style.size * 9 * block.size
        x0, y0, x1, y1 = self.left, self.y, self.right, self.y + high
        wide, accent = x1 - x0, self.style.accent
        self.ink.rectangle((x0, y0, x1, y1), fill=mix(accent, WHITE, 0.6))
        rng = np.random.default_rng(self.style.seed)
        sun = x0 + wide * float(rng.uniform(0.1, 0.8))
        self.ink.ellipse((sun, y0 + 10, sun + high * 0.2, y0 + 10 + high * 0.2), fill="#fae28c")
        for tone in (0.35, 0.1):
            peaks = [(x0 + wide * i / 6, y1 - high * float(rng.uniform(0.1, 0.7))) for i in range(7)]
            self.ink.polygon([(x0, y1), *peaks, (x1, y1)], fill=mix(accent, BLACK, tone))
        self.y = y1 + self.style.size

    def body(self, block: Block) -> None:
        """Heading and text of each section, set in columns and cut off at the foot."""
        gap, top, columns = self.style.size * 2, self.y, self.style.columns
        wide = (self.right - self.left - gap * (columns - 1)) / columns
        bottom = self.style.height - self.style.margin * 0.8 - self.style.size * 1.2
        lines: list[tuple[str, bool]] = []
        for heading, text in block.rows:
            lines += [(heading, True)] if heading else []
            lines += [(line, False) for line in wrap(text, self.style.size, wide, self.style.face)]
            lines.append(("", False))
        column = 0
        for line, bold in lines:
            if self.y + self.style.size * self.style.leading > bottom:
                column, self.y = column + 1, top
            if column == columns:
                return
            self._put(self.left + column * (wide + gap), self.y, line, Block("", bold=bold))
            self.y += self.style.size * (self.style.leading if line else 0.7)

    def foot(self, block: Block) -> None:
        """Left and right text at the lower edge of the sheet."""
        y = self.style.height - self.style.margin * 0.6
        small = Block("", size=0.85, color="faint")
        self._put(self.left, y, block.rows[0][0], small)
        self._put(self.right, y, block.rows[0][1], small, "ra")


def draw(blocks: Iterable[Block], style: Style, textures: Textures) -> Image.Image:
    return draw_words(blocks, style, textures)[0]


def draw_words(
    blocks: Iterable[Block], style: Style, textures: Textures
) -> tuple[Image.Image, list[tuple[str, Box]]]:
    """The picture, and every printed text with its box, both before it is turned."""
    image, ink = canvas(style.width, style.height or TALLEST, style.paper)
    press = _Press(style, image, ink, style.margin * 0.8, style.margin)
    for number, block in enumerate(blocks):
        if number == 0 and block.kind == "band":
            press.y = 0
        getattr(press, block.kind)(block)
    if not style.height:
        image = image.crop((0, 0, style.width, round(press.y + style.margin * 0.8)))
    if style.grey or style.surface in ("scan", "slip"):
        image = image.convert("L")
    finish = {"scan": _scanned, "slip": _slip, "wall": _wall}.get(style.surface)
    if finish:
        image = finish(image, style, textures)
    return (image if style.grey else image.convert("RGB")), press.words


def _scanned(image: Image.Image, style: Style, textures: Textures) -> Image.Image:
    """A page through an old scanner: slightly turned, uneven paper, dust."""
    rng = np.random.default_rng(style.seed)
    turned = image.rotate(float(rng.uniform(-0.7, 0.7)), Image.Resampling.BILINEAR, fillcolor=250)
    pixels: Array = np.asarray(turned, np.float32)
    height, width = pixels.shape
    paper = textures.window("smooth", height, width, rng, (3, 3)) * 3 + 240
    dust = textures.window("grain", height, width, rng, (1.3, 1.3)) > 4.0
    pixels = pixels / 255 * paper * np.where(dust, 0.5, 1)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _slip(image: Image.Image, style: Style, textures: Textures) -> Image.Image:
    """A slip of paper on a table, photographed from above."""
    rng = np.random.default_rng(style.seed)
    x, y = style.border
    width, height = image.width + 2 * x, image.height + 2 * y
    fibre = textures.window("rough", height, width, rng, (6, 0.5))[..., None]
    light = (shade(style.ground) * (1 + 0.14 * fibre)).astype(np.float32)
    crease = textures.window("smooth", image.height, image.width, rng, (1.4, 1.4))
    fine = textures.window("relief", image.height, image.width, rng)
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(0.5)), np.float32) / 255
    sheet = Image.new("F", (width, height), 0)
    sheet.paste(Image.fromarray(soft * (0.94 + 0.035 * crease + 0.012 * fine)), (x, y))
    cover = Image.new("L", (width, height), 0)
    ImageDraw.Draw(cover).rectangle((x, y, x + image.width - 1, y + image.height - 1), fill=255)
    turned, mask = (i.rotate(style.turn, Image.Resampling.BICUBIC) for i in (sheet, cover))
    paper = np.asarray(turned, np.float32)[..., None] * shade((250, 247, 240))
    light = blend(light, paper, np.asarray(mask, np.float32) / 255)
    fall = np.linspace(1.05, style.fall, height, dtype=np.float32)[:, None, None]
    return develop(light * fall, textures, rng, style.grain)


def _wall(image: Image.Image, style: Style, textures: Textures) -> Image.Image:
    """Words on a rough surface in uneven light."""
    rng = np.random.default_rng(style.seed)
    turned = image.rotate(style.turn, Image.Resampling.BICUBIC, fillcolor=style.paper)
    relief = textures.window("relief", image.height, image.width, rng)[..., None]
    fall = np.linspace(1.08, style.fall, image.width, dtype=np.float32)[None, :, None]
    return develop(
        clip(np.asarray(turned, np.float32) / 255 * fall * (1 + 0.05 * relief)),
        textures,
        rng,
        style.grain,
    )


def facts(blocks: Iterable[Block]) -> Facts:
    """What can be said: about each field, about bars."""
    found: Facts = {"field": [], "levels": []}
    for block in blocks:
        if block.kind == "fields":
            found["field"] += [
                {"label": label, "what": label.lower(), "value": value}
                for label, value in block.rows
            ]
        elif block.kind == "levels":
            order = sorted(block.rows, key=lambda row: float(row[1]))
            found["levels"].append({"lowest": order[0][0], "highest": order[-1][0]})
    return found
