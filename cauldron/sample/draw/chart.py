"""Charts: bars, lines, areas, dots, scatter plots, pies and tile maps, with axes and a legend."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from PIL import Image, ImageDraw

from cauldron.sample.data import load
from cauldron.sample.draw import ink
from cauldron.sample.draw.ink import BLACK, GREY, NAMED, WHITE, Box, Color, Face, Point, mix
from cauldron.sample.model import Facts, Rng, pick, sample

Pen = ImageDraw.ImageDraw
THEMES: list[tuple[str, str, int, int]] = load("words")["themes"]
COLORS = tuple(name for name in NAMED if name not in ("yellow", "grey", "white"))
SHARES = ("Rent", "Food", "Travel", "Clothing", "Savings", "Books", "Sport")
GROUPS = ("Men", "Women", "Urban", "Rural", "Under 30", "Over 60")
KINDS = {"bars": "bar chart", "hbars": "bar chart", "lines": "line chart", "area": "area chart"}
RANGES = ("0-10%", "10-20%", "20-30%", "30-40%", "40-50%")


@dataclass(frozen=True)
class Chart:
    """What a chart shows.

    Attributes:
        kind: ``bars``, ``hbars``, ``lines``, ``area``, ``dots``, ``pie`` or ``map``.
        series: one value per category by name; of a map, the number of a range in `RANGES`.
        colors: names of colours, one per series, or per category if there is one series.
        xs: places on the horizontal axis instead of categories, for a scatter plot.
    """

    kind: str
    title: str
    x_label: str
    y_label: str
    categories: tuple[str, ...]
    series: dict[str, tuple[float, ...]]
    colors: tuple[str, ...]
    xs: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def values(self) -> tuple[float, ...]:
        return next(iter(self.series.values()))


@dataclass(frozen=True)
class Style:
    """How a chart looks; `text` and `dot` in pixels."""

    size: tuple[int, int] = (640, 440)
    paper: Color = WHITE
    panel: Color | None = None
    grid: bool = True
    numbers: bool = False
    footer: str = ""
    text: float = 13
    dot: float = 4
    face: Face = ink.PLAIN


def any_values(rng: Rng, count: int, low: int, high: int) -> tuple[float, ...]:
    """Different whole or half numbers, so that the largest and the smallest are unique."""
    steps = rng.choice((high - low) * 2, size=count, replace=False)
    scale = 0.5 if high < 100 else 1
    return tuple(float(low + int(step) * scale) for step in steps)


def any_chart(rng: Rng, kind: str, series: int = 1) -> Chart:
    towns: list[str] = load("words")["towns"]
    colors = tuple(sample(rng, COLORS, 8))
    if kind == "pie":
        parts = [int(part) for part in rng.choice(range(5, 24), size=4, replace=False)]
        values = (*map(float, parts), float(100 - sum(parts)))
        names = tuple(sample(rng, SHARES, 5))
        title = f"How households in {pick(rng, towns)} spend their money"
        return Chart(kind, title, "Item", "Percent", names, {"Share": values}, colors)
    if kind == "map":
        names = tuple(sample(rng, towns, 14))
        title = f"{pick(rng, load('words')['shares'])}, {int(rng.integers(2005, 2020))}"
        levels = tuple(float(level) for level in rng.integers(0, len(RANGES), 14))
        return Chart(kind, title, "Province", "Share", names, {"Share": levels}, colors)
    theme, unit, low, high = pick(rng, THEMES)
    count = int(rng.integers(4, 7))
    if kind in ("lines", "area", "dots") or rng.integers(2):
        start, label = int(rng.integers(1995, 2014)), "Year"
        names = tuple(str(start + i) for i in range(count))
        title = f"{theme} in {pick(rng, towns)}, {names[0]} to {names[-1]}"
    else:
        names, label = tuple(sample(rng, towns, count)), "Town"
        title = f"{theme} by town in {int(rng.integers(2000, 2020))}"
    data = {name: any_values(rng, count, low, high) for name in sample(rng, GROUPS, series)}
    return Chart(kind, title, label, unit, names, data, colors)


def number(value: float) -> str:
    return f"{value:g}" if abs(value) < 10000 else f"{value:,.0f}"


def top_of_axis(highest: float) -> tuple[float, float]:
    """A round upper end of the value axis, and the step between ticks."""
    step = 10 ** math.floor(math.log10(max(highest, 1e-9)))
    for factor in (0.2, 0.5, 1, 2, 5):
        if highest / (step * factor) <= 6:
            step *= factor
            break
    return math.ceil(highest * 1.02 / step) * step, step


@dataclass(frozen=True)
class _Plot:
    """The inside of the axes. Values go up, or to the right if the bars lie."""

    box: Box
    top: float
    lying: bool
    slots: int

    def at(self, part: float, value: float) -> Point:
        """The point at a part of the category axis and a value."""
        x0, y0, x1, y1 = self.box
        high = value / self.top
        if self.lying:
            return x0 + (x1 - x0) * high, y0 + (y1 - y0) * part
        return x0 + (x1 - x0) * part, y1 - (y1 - y0) * high


def draw(chart: Chart, style: Style) -> Image.Image:
    image, pen = ink.canvas(*style.size, style.paper)
    width, height = style.size
    text, top = style.text, 12.0
    bold = style.face.bold()
    for line in ink.wrap(chart.title, text + 4, width - 36, bold) if chart.title else ():
        ink.write(pen, (18, top), line, text + 4, face=bold)
        top += (text + 4) * 1.4
    if style.footer:
        ink.write(pen, (18, height - 22), style.footer, text - 2, GREY, face=style.face)
    box = (18, top, width - 18, height - (26 if style.footer else 8))
    if chart.kind == "pie":
        _pie(pen, chart, style, box)
    elif chart.kind == "map":
        _map(pen, chart, style, box)
    else:
        _plot(pen, chart, style, box)
    return image


def _plot(pen: Pen, chart: Chart, style: Style, box: Box) -> None:
    left, top, right, bottom = box
    if len(chart.series) > 1:
        _legend(pen, chart, style, top + 4)
        top += style.text * 1.6 + 4
    lying = chart.kind == "hbars"
    beside = max((ink.width_of(name, style.text) for name in chart.categories), default=0)
    left += style.text * 4 + (beside - 40 if lying else 0)
    highest = max(max(values) for values in chart.series.values())
    inner = (left, top + 10, right - 6, bottom - style.text * 3.4)
    plot = _Plot(inner, top_of_axis(highest)[0], lying, max(len(chart.categories), 1))
    if style.panel:
        pen.rectangle(inner, fill=style.panel)
    _axes(pen, chart, style, plot)
    (_bars if chart.kind in ("bars", "hbars") else _lines)(pen, chart, style, plot)


def _legend(pen: Pen, chart: Chart, style: Style, y: float) -> None:
    x = 24.0
    for name, color in zip(chart.series, chart.colors, strict=False):
        pen.rectangle((x, y + 2, x + 12, y + 14), fill=NAMED[color])
        ink.write(pen, (x + 18, y), name, style.text, face=style.face)
        x += 40 + ink.width_of(name, style.text, style.face)


def _axes(pen: Pen, chart: Chart, style: Style, plot: _Plot) -> None:
    x0, y0, x1, y1 = plot.box
    faint = WHITE if style.panel else (215, 215, 215)
    small, step = style.text - 1, top_of_axis(plot.top / 1.02)[1]
    for i in range(round(plot.top / step) + 1):
        near, far = plot.at(0, i * step), plot.at(1, i * step)
        if style.grid:
            pen.line([near, far], fill=faint)
        at, anchor = ((near[0], y1 + 5), "ma") if plot.lying else ((x0 - 6, near[1]), "rm")
        ink.write(pen, at, number(round(i * step, 6)), small, GREY, anchor, style.face)
    pen.line([(x0, y0), (x0, y1), (x1, y1)], fill=(90, 90, 90), width=2)
    names = chart.categories or tuple(str(tick) for tick in range(0, 101, 20))
    for i, name in enumerate(names):
        part = (i + 0.5) / plot.slots if chart.categories else i / 5
        x, y = plot.at(part, 0)
        at, anchor = ((x - 6, y), "rm") if plot.lying else ((x, y1 + 5), "ma")
        ink.write(pen, at, name, small, BLACK, anchor, style.face)
    below, beside = chart.x_label, chart.y_label
    if plot.lying:
        below, beside = beside, below
    at = ((x0 + x1) / 2, y1 + style.text * 2.1)
    ink.write(pen, at, below, style.text, BLACK, "ma", style.face)
    _sideways(pen, beside, style, (y0 + y1) / 2)


def _sideways(pen: Pen, text: str, style: Style, middle: float) -> None:
    length = int(ink.width_of(text, style.text, style.face)) + 4
    strip = Image.new("L", (length, round(style.text) + 6), 0)
    ink.write(ImageDraw.Draw(strip), (2, 1), text, style.text, 255, face=style.face)
    turned = strip.transpose(Image.Transpose.ROTATE_90)
    pen.bitmap((3, round(middle - length / 2)), turned, fill=BLACK)


def _bars(pen: Pen, chart: Chart, style: Style, plot: _Plot) -> None:
    share = 0.7 / len(chart.series) / plot.slots
    gap = 0 if plot.lying else 2
    for s, values in enumerate(chart.series.values()):
        for c, value in enumerate(values):
            start = (c + 0.15) / plot.slots + share * s
            (xa, ya), (xb, yb) = plot.at(start, 0), plot.at(start + share, value)
            color = chart.colors[(c if len(chart.series) == 1 else s) % len(chart.colors)]
            pen.rectangle((xa, min(ya, yb), xb - gap, max(ya, yb)), fill=NAMED[color])
            if style.numbers:
                x, y = plot.at(start + share / 2, value)
                at, anchor = ((x + 4, y), "lm") if plot.lying else ((x, y - 3), "ms")
                ink.write(pen, at, number(value), style.text - 2, BLACK, anchor, style.face)


def _lines(pen: Pen, chart: Chart, style: Style, plot: _Plot) -> None:
    for color_name, (name, values) in zip(chart.colors, chart.series.items(), strict=False):
        color, r = NAMED[color_name], style.dot
        xs = chart.xs.get(name) or tuple((i + 0.5) / plot.slots for i in range(len(values)))
        points = [plot.at(x, value) for x, value in zip(xs, values, strict=True)]
        if chart.kind == "area":
            foot = [plot.at(xs[-1], 0), plot.at(xs[0], 0)]
            pen.polygon(points + foot, fill=mix(color, style.paper, 0.5))
        if chart.kind != "dots":
            pen.line(points, fill=color, width=3, joint="curve")
        for x, y in points if chart.kind in ("lines", "dots") else ():
            pen.ellipse((x - r, y - r, x + r, y + r), fill=color)


def _pie(pen: Pen, chart: Chart, style: Style, box: Box) -> None:
    x0, y0, x1, y1 = box
    radius = min(y1 - y0, (x1 - x0) * 0.62) / 2 - 8
    cx, cy = x0 + radius + 14, (y0 + y1) / 2
    angle, total = -90.0, sum(chart.values)
    for i, (name, value) in enumerate(zip(chart.categories, chart.values, strict=True)):
        sweep, color = 360 * value / total, NAMED[chart.colors[i % len(chart.colors)]]
        circle = (cx - radius, cy - radius, cx + radius, cy + radius)
        pen.pieslice(circle, angle, angle + sweep, fill=color, outline=style.paper, width=2)
        middle = math.radians(angle + sweep / 2)
        at = (cx + radius * 0.68 * math.cos(middle), cy + radius * 0.68 * math.sin(middle))
        ink.write(pen, at, f"{number(value)}%", style.text, WHITE, "mm", style.face.bold())
        y = cy - len(chart.categories) * 13 + i * 26
        pen.rectangle((cx + radius + 34, y + 2, cx + radius + 48, y + 16), fill=color)
        ink.write(pen, (cx + radius + 56, y), name, style.text, face=style.face)
        angle += sweep


def _map(pen: Pen, chart: Chart, style: Style, box: Box) -> None:
    """Provinces as tiles in four columns, shaded by their range."""
    x0, y0, x1, y1 = box
    columns, deep = 4, NAMED[chart.colors[0]]
    wide, high = (x1 - x0 - 110) / columns, (y1 - y0) / -(-len(chart.categories) // columns)
    last = len(RANGES) - 1
    for i, (name, value) in enumerate(zip(chart.categories, chart.values, strict=True)):
        x, y = x0 + i % columns * wide, y0 + i // columns * high
        tile = (x + 2, y + 2, x + wide - 2, y + high - 2)
        pen.rectangle(tile, fill=mix(WHITE, deep, 0.1 + 0.9 * value / last), outline=GREY)
        at = (x + wide / 2, y + high / 2)
        ink.write(pen, at, name, style.text, WHITE if value > 2 else BLACK, "mm", style.face)
    for i, text in enumerate(RANGES):
        y = y0 + 30 + i * 28
        fill = mix(WHITE, deep, 0.1 + 0.9 * i / last)
        pen.rectangle((x1 - 96, y, x1 - 76, y + 20), fill=fill, outline=GREY)
        ink.write(pen, (x1 - 68, y + 2), text, style.text, face=style.face)


def facts(chart: Chart, rng: Rng) -> Facts:
    """What can be said: about each value, about two categories, about the whole."""
    names, values, unit = chart.categories, chart.values, chart.y_label.lower()
    known = dict(zip(names, values, strict=True))
    order = sorted(names, key=lambda name: known[name])
    low, high = order[0], order[-1]
    cells = [
        {"series": series, "name": name, "value": number(value), "unit": unit}
        for series, row in chart.series.items()
        for name, value in zip(names, row, strict=True)
    ]
    whole = {"title": chart.title, "x": chart.x_label, "y": chart.y_label, "unit": unit}
    whole |= {"axis": chart.x_label.lower(), "kind": KINDS.get(chart.kind, chart.kind)}
    whole |= {"highest": high, "lowest": low, "bars": str(len(names))}
    whole |= {"top": number(known[high]), "bottom": number(known[low])}
    whole["difference"] = number(known[high] - known[low])
    whole["all"] = ", ".join(f"{name}: {number(value)}" for name, value in known.items())
    whole["best"] = ", ".join(name for name in names if known[name] == known[high])
    a, b = sample(rng, names, 2)
    pair = {"a": a, "b": b, "more": _yes(known[a] > known[b])}
    pair |= {"maximum": _yes(a == high), "minimum": _yes(b == low)}
    pair["value"] = RANGES[int(known[a])] if chart.kind == "map" else number(known[a])
    return {"value": cells, "chart": [whole], "pair": [pair]}


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"
