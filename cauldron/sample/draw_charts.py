"""Charts: bars, lines and pies with axes, labels and a legend."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image, ImageDraw

from cauldron.sample.ink import BLACK, NAMED, Color, canvas, mix, paragraph, width_of, write


@dataclass(frozen=True)
class Chart:
    """What a chart shows. `series` maps a name to one value per category."""

    kind: str  # "bars", "hbars", "lines", "dots", "area" or "pie"
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
    """How a chart looks."""

    size: tuple[int, int] = (640, 440)
    paper: Color = (255, 255, 255)
    panel: Color | None = None
    grid: bool = True
    numbers: bool = False
    footer: str = ""
    text: int = 13


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


def draw_chart(chart: Chart, style: Style) -> Image.Image:
    image, draw = canvas(*style.size, style.paper)
    top = 14.0
    if chart.title:
        top = paragraph(draw, (18, 12), chart.title, style.text + 4, style.size[0] - 36, bold=True)
    bottom = style.size[1] - (26 if style.footer else 8)
    if style.footer:
        write(draw, (18, style.size[1] - 22), style.footer, style.text - 2, (120, 120, 120))
    if chart.kind == "pie":
        _pie(draw, chart, style, (18, top, style.size[0] - 18, bottom))
        return image
    if len(chart.series) > 1:
        top = _legend(draw, chart, style, top + 4)
    left = (
        18
        + style.text * 4
        + (
            width_of(max(chart.categories, key=len), style.text) - 40
            if chart.kind == "hbars"
            else 0
        )
    )
    box = (left, top + 10, style.size[0] - 24, bottom - style.text * 3.4)
    if style.panel:
        draw.rectangle(box, fill=style.panel)
    _axes(draw, chart, style, box)
    {"bars": _bars, "hbars": _hbars}.get(chart.kind, _lines)(draw, chart, style, box)
    return image


Box = tuple[float, float, float, float]
Draw = ImageDraw.ImageDraw


def _legend(draw: Draw, chart: Chart, style: Style, y: float) -> float:
    x = 24.0
    for name, color in zip(chart.series, chart.colors, strict=False):
        draw.rectangle((x, y + 2, x + 12, y + 14), fill=NAMED[color])
        write(draw, (x + 18, y), name, style.text)
        x += 40 + width_of(name, style.text)
    return y + style.text * 1.6


def _axes(draw: Draw, chart: Chart, style: Style, box: Box) -> None:
    x0, y0, x1, y1 = box
    highest, step = top_of_axis(max(max(values) for values in chart.series.values()))
    line: Color = (215, 215, 215) if not style.panel else (255, 255, 255)
    for i in range(round(highest / step) + 1):
        part = i * step / highest
        if chart.kind == "hbars":
            x = x0 + (x1 - x0) * part
            at, anchor, ends = (x, y1 + 5), "ma", [(x, y0), (x, y1)]
        else:
            y = y1 - (y1 - y0) * part
            at, anchor, ends = (x0 - 6, y), "rm", [(x0, y), (x1, y)]
        if style.grid:
            draw.line(ends, fill=line)
        write(draw, at, number(round(i * step, 6)), style.text - 1, (70, 70, 70), anchor)
    draw.line([(x0, y0), (x0, y1), (x1, y1)], fill=(90, 90, 90), width=2)
    middle = (x0 + x1) / 2
    below, beside = chart.x_label, chart.y_label
    if chart.kind == "hbars":
        below, beside = beside, below
    write(draw, (middle, y1 + style.text * 2.1), below, style.text, anchor="ma")
    _sideways(draw, beside, style, (y0 + y1) / 2)


def _sideways(draw: Draw, text: str, style: Style, middle: float) -> None:
    length = int(width_of(text, style.text)) + 4
    strip = Image.new("L", (length, style.text + 6), 0)
    write(ImageDraw.Draw(strip), (2, 1), text, style.text, fill=255)
    turned = strip.transpose(Image.Transpose.ROTATE_90)
    draw.bitmap((3, round(middle - length / 2)), turned, fill=BLACK)


def _bars(draw: Draw, chart: Chart, style: Style, box: Box) -> None:
    x0, y0, x1, y1 = box
    highest, _ = top_of_axis(max(max(values) for values in chart.series.values()))
    slot = (x1 - x0) / len(chart.categories)
    thick = slot * 0.7 / len(chart.series)
    for c, category in enumerate(chart.categories):
        for s, values in enumerate(chart.series.values()):
            x = x0 + slot * (c + 0.15) + thick * s
            y = y1 - (y1 - y0) * values[c] / highest
            one = len(chart.series) == 1
            color = NAMED[chart.colors[(c if one else s) % len(chart.colors)]]
            draw.rectangle((x, y, x + thick - 2, y1), fill=color)
            if style.numbers:
                write(draw, (x + thick / 2, y - 3), number(values[c]), style.text - 2, anchor="ms")
        write(draw, (x0 + slot * (c + 0.5), y1 + 5), category, style.text - 1, anchor="ma")


def _hbars(draw: Draw, chart: Chart, style: Style, box: Box) -> None:
    x0, y0, x1, y1 = box
    highest, _ = top_of_axis(max(chart.values))
    slot = (y1 - y0) / len(chart.categories)
    for c, (category, value) in enumerate(zip(chart.categories, chart.values, strict=True)):
        y = y0 + slot * (c + 0.15)
        x = x0 + (x1 - x0) * value / highest
        draw.rectangle((x0, y, x, y + slot * 0.7), fill=NAMED[chart.colors[c % len(chart.colors)]])
        write(draw, (x0 - 6, y + slot * 0.35), category, style.text - 1, anchor="rm")
        if style.numbers:
            write(draw, (x + 4, y + slot * 0.35), number(value), style.text - 2, anchor="lm")


def _lines(draw: Draw, chart: Chart, style: Style, box: Box) -> None:
    x0, y0, x1, y1 = box
    highest, _ = top_of_axis(max(max(values) for values in chart.series.values()))
    slot = (x1 - x0) / len(chart.categories)
    for name, values in zip(chart.colors, chart.series.values(), strict=False):
        color = NAMED[name]
        points = [
            (x0 + slot * (i + 0.5), y1 - (y1 - y0) * value / highest)
            for i, value in enumerate(values)
        ]
        if chart.kind == "area":
            base = [(points[-1][0], y1 - 1), (points[0][0], y1 - 1)]
            draw.polygon(points + base, fill=mix(color, style.paper, 0.5))
        if chart.kind != "dots":
            draw.line(points, fill=color, width=3, joint="curve")
        for x, y in points if chart.kind in ("lines", "dots") else []:
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), fill=color)
    for i, category in enumerate(chart.categories):
        write(draw, (x0 + slot * (i + 0.5), y1 + 5), category, style.text - 1, anchor="ma")


def _pie(draw: Draw, chart: Chart, style: Style, box: Box) -> None:
    x0, y0, x1, y1 = box
    radius = min(y1 - y0, (x1 - x0) * 0.62) / 2 - 8
    cx, cy = x0 + radius + 14, (y0 + y1) / 2
    total = sum(chart.values)
    angle = -90.0
    for i, (category, value) in enumerate(zip(chart.categories, chart.values, strict=True)):
        sweep = 360 * value / total
        color = NAMED[chart.colors[i % len(chart.colors)]]
        circle = (cx - radius, cy - radius, cx + radius, cy + radius)
        draw.pieslice(circle, angle, angle + sweep, fill=color, outline=style.paper, width=2)
        middle = math.radians(angle + sweep / 2)
        at = (cx + radius * 0.68 * math.cos(middle), cy + radius * 0.68 * math.sin(middle))
        write(draw, at, f"{number(value)}%", style.text, (255, 255, 255), "mm", bold=True)
        y = cy - len(chart.categories) * 13 + i * 26
        draw.rectangle((cx + radius + 34, y + 2, cx + radius + 48, y + 16), fill=color)
        write(draw, (cx + radius + 56, y), category, style.text)
        angle += sweep
