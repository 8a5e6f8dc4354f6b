"""Charts: bars and lines, with axes and a legend."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw

from cauldron.sample.draw import ink
from cauldron.sample.draw.ink import BLACK, GREY, NAMED, WHITE, Box, Color, Point
from cauldron.sample.model import Facts, Rng, load, pick, sample

Pen = ImageDraw.ImageDraw
WORDS = load("words")
COLORS = tuple(name for name in NAMED if name not in ("yellow", "grey", "white"))


@dataclass(frozen=True)
class Chart:
    """What a chart shows.

    Attributes:
        kind: ``bars`` or ``lines``.
        series: one value per category by name.
        colors: names of colours, one per series, or per category if there is one series.
    """

    kind: str
    title: str
    x_label: str
    y_label: str
    categories: tuple[str, ...]
    series: dict[str, tuple[float, ...]]
    colors: tuple[str, ...]

    @property
    def values(self) -> tuple[float, ...]:
        return next(iter(self.series.values()))


@dataclass(frozen=True)
class Style:
    """How a chart looks; `text` is in pixels, `panel` the colour between the axes."""

    size: tuple[int, int] = (640, 440)
    panel: Color = WHITE
    numbers: bool = False
    footer: str = ""
    text: float = 13


def any_chart(rng: Rng, kind: str, series: int = 1, about: dict[str, Any] | None = None) -> Chart:
    """A random chart.

    Args:
        about: an entry of the themes in ``words.yaml``; None: any of them.
    """
    themes = [theme for theme in WORDS["themes"] if kind == "bars" or theme["names"] == "years"]
    about = about or pick(rng, themes)
    names = sample(rng, WORDS[about["names"]], int(rng.integers(4, 7)))
    names = sorted(names) if about["names"] == "years" else names
    data = {
        # Different whole numbers, so that the largest and the smallest are unique.
        group: tuple(map(float, rng.choice(range(*about["span"]), len(names), replace=False)))
        for group in sample(rng, WORDS["groups"], series)
    }
    title = about["title"].format(town=pick(rng, WORDS["towns"]), year=pick(rng, WORDS["years"]))
    label, unit, colors = about["label"], about["unit"], sample(rng, COLORS, len(COLORS))
    return Chart(kind, title, label, unit, tuple(names), data, tuple(colors))


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


def draw(chart: Chart, style: Style) -> Image.Image:
    image, pen = ink.canvas(*style.size)
    (width, height), text, top = style.size, style.text, 12.0
    for line in ink.wrap(chart.title, text + 4, width - 36):
        ink.write(pen, (18, top), line, text + 4, bold=True)
        top += (text + 4) * 1.4
    if style.footer:
        ink.write(pen, (18, height - 22), style.footer, text - 2, GREY)
    if len(chart.series) > 1:
        _legend(pen, chart, style, top + 4)
        top += text * 1.6 + 4
    end, step = top_of_axis(max(max(values) for values in chart.series.values()))
    box = (18 + text * 4, top + 22, width - 24, height - text * 3.4 - (26 if style.footer else 8))
    plot = _Plot(box, end, len(chart.categories))
    pen.rectangle(box, fill=style.panel)
    _axes(pen, chart, style, plot, step)
    (_bars if chart.kind == "bars" else _lines)(pen, chart, style, plot)
    return image


@dataclass(frozen=True)
class _Plot:
    """The inside of the axes: the categories from left to right, the values upwards."""

    box: Box
    top: float
    slots: int

    def at(self, slot: float, value: float) -> Point:
        x0, y0, x1, y1 = self.box
        return x0 + (x1 - x0) * slot / self.slots, y1 - (y1 - y0) * value / self.top


def _legend(pen: Pen, chart: Chart, style: Style, y: float) -> None:
    x = 24.0
    for name, color in zip(chart.series, chart.colors, strict=False):
        pen.rectangle((x, y + 2, x + 12, y + 14), fill=NAMED[color])
        ink.write(pen, (x + 18, y), name, style.text)
        x += 40 + ink.width_of(name, style.text)


def _axes(pen: Pen, chart: Chart, style: Style, plot: _Plot, step: float) -> None:
    x0, y0, x1, y1 = plot.box
    small = style.text - 1
    for i in range(round(plot.top / step) + 1):
        y = plot.at(0, i * step)[1]
        pen.line([(x0, y), (x1, y)], fill=(215, 215, 215))
        ink.write(pen, (x0 - 6, y), number(round(i * step, 6)), small, GREY, "rm")
    pen.line([(x0, y0), (x0, y1), (x1, y1)], fill=(90, 90, 90), width=2)
    for i, name in enumerate(chart.categories):
        ink.write(pen, (plot.at(i + 0.5, 0)[0], y1 + 5), name, small, BLACK, "ma")
    at = ((x0 + x1) / 2, y1 + style.text * 2.1)
    ink.write(pen, at, chart.x_label, style.text, BLACK, "ma")
    ink.write(pen, (x0 + 6, y0 - 4), chart.y_label, small, GREY, "ls")


def _bars(pen: Pen, chart: Chart, style: Style, plot: _Plot) -> None:
    share = 0.7 / len(chart.series)
    for s, values in enumerate(chart.series.values()):
        for c, value in enumerate(values):
            start = c + 0.15 + share * s
            (xa, ya), (xb, yb) = plot.at(start, 0), plot.at(start + share, value)
            color = chart.colors[(c if len(chart.series) == 1 else s) % len(chart.colors)]
            pen.rectangle((xa, yb, xb - 2, ya), fill=NAMED[color])
            if style.numbers:
                at = ((xa + xb) / 2, yb - 3)
                ink.write(pen, at, number(value), style.text - 2, BLACK, "ms")


def _lines(pen: Pen, chart: Chart, style: Style, plot: _Plot) -> None:
    for color, values in zip(chart.colors, chart.series.values(), strict=False):
        points = [plot.at(i + 0.5, value) for i, value in enumerate(values)]
        pen.line(points, fill=NAMED[color], width=3, joint="curve")
        for x, y in points:
            pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=NAMED[color])


def facts(chart: Chart, rng: Rng) -> Facts:
    """What can be said: about each value, about two categories, about the whole."""
    known = dict(zip(chart.categories, chart.values, strict=True))
    low, *_, high = sorted(known, key=lambda name: known[name])
    cells = [
        {"series": series, "name": name, "value": number(value), "unit": chart.y_label.lower()}
        for series, row in chart.series.items()
        for name, value in zip(chart.categories, row, strict=True)
    ]
    whole = {
        "title": chart.title,
        "x": chart.x_label,
        "y": chart.y_label,
        "unit": chart.y_label.lower(),
        "kind": f"{chart.kind.removesuffix('s')} chart",
        "highest": high,
        "lowest": low,
        "bars": str(len(known)),
        "top": number(known[high]),
        "bottom": number(known[low]),
        "difference": number(known[high] - known[low]),
        "all": ", ".join(f"{name}: {number(value)}" for name, value in known.items()),
    }
    a, b = sample(rng, chart.categories, 2)
    truths = {"more": known[a] > known[b], "maximum": a == high, "minimum": b == low}
    pair = {"a": a, "b": b, **{key: "yes" if truth else "no" for key, truth in truths.items()}}
    return {"value": cells, "chart": [whole], "pair": [pair]}
