"""Charts: bars, lines, dots, areas, pies and scatter plots in many styles.

Negatives: one value moved by a visible part of the axis, one label changed, two colours swapped
(which says that the series are the other way round; some pairs of colours have the same grey),
and the same template with other numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from benchmarks.duplicates.drawn import Drawn, drawn_from
from benchmarks.duplicates.lettering import Face, any_face, grown, width_of, write
from cauldron.sample.draw_charts import Chart, Style, draw_chart
from cauldron.sample.ink import NAMED, Color, pick, sample
from cauldron.sample.model import Rng
from cauldron.sample.rows_charts import COLORS, THEMES, any_chart, any_pie
from cauldron.sample.texture import Textures
from cauldron.sample.words import FIRMS, TOWNS

PANELS: tuple[Color | None, ...] = (None, None, (234, 234, 242), (245, 245, 240), (229, 236, 246))
PAPERS: tuple[Color, ...] = ((255, 255, 255), (255, 255, 255), (250, 248, 242), (240, 244, 248))


@dataclass(frozen=True)
class Looks:
    """How a family is drawn: style, and two factors of resampling."""

    style: Style
    across: float
    down: float


def family(rng: Rng, textures: Textures) -> Drawn:
    if rng.random() < 0.2:
        return _scatter_family(rng)
    kind = pick(rng, ("bars", "hbars", "lines", "dots", "area", "pie", "bars", "lines"))
    series = int(rng.integers(2, 5)) if kind in ("bars", "lines", "dots") else 1
    chart = any_pie(rng) if kind == "pie" else any_chart(rng, (kind,), series)
    looks = _any_looks(rng)
    return drawn_from(chart, lambda changed: _draw(changed, looks), CHANGES, rng)


def _any_looks(rng: Rng) -> Looks:
    across = float(rng.uniform(0.9, 1.2))
    size = (round(float(rng.uniform(500, 900)) / across), int(rng.integers(340, 560)))
    style = Style(
        size,
        pick(rng, PAPERS),
        pick(rng, PANELS),
        bool(rng.integers(2)),
        bool(rng.integers(2)),
        f"Source: {pick(rng, FIRMS)}" if rng.integers(2) else "",
        int(rng.integers(11, 17)),
    )
    return Looks(style, across, across * float(rng.uniform(0.95, 1.05)))


def _draw(chart: Chart, looks: Looks) -> Image.Image:
    return grown(draw_chart(chart, looks.style), looks.across, looks.down)


def _one_value(chart: Chart, rng: Rng) -> Chart:
    """One value moved by 8 to 30 % of the highest, which itself stays: the axis does too."""
    name = pick(rng, sorted(chart.series))
    values = list(chart.series[name])
    highest = max(max(row) for row in chart.series.values())
    at = pick(rng, [i for i, value in enumerate(values) if value < highest])
    step = highest * float(rng.uniform(0.08, 0.3)) * (1 if rng.integers(2) else -1)
    moved = values[at] + step
    if not 0.02 * highest < moved < highest:
        moved = values[at] - step
    values[at] = round(min(max(moved, 0.02 * highest), 0.98 * highest), 1)
    return replace(chart, series={**chart.series, name: tuple(values)})


def _one_label(chart: Chart, rng: Rng) -> Chart:
    names = list(chart.categories)
    if len(chart.series) > 1 and rng.integers(2):
        old = pick(rng, sorted(chart.series))
        fresh = pick(rng, [n for n in ("Girls", "Boys", "North", "South") if n not in chart.series])
        series = {fresh if name == old else name: row for name, row in chart.series.items()}
        return replace(chart, series=series)
    at = int(rng.integers(len(names)))
    if names[at].isdigit():
        names[at] = str(int(names[at]) + 40)
    else:
        names[at] = pick(rng, [town for town in TOWNS if town not in names])
    return replace(chart, categories=tuple(names))


def _swapped(chart: Chart, rng: Rng) -> Chart:
    used = len(chart.series)
    if used == 1 and chart.kind in ("bars", "hbars", "pie"):
        used = len(chart.categories)
    colors = list(chart.colors)
    if used == 1:
        colors[0] = pick(rng, [color for color in COLORS if color != colors[0]])
    else:
        a, b = sample(rng, range(used), 2)
        colors[a], colors[b] = colors[b], colors[a]
    return replace(chart, colors=tuple(colors))


def _other_numbers(chart: Chart, rng: Rng) -> Chart:
    if chart.kind == "pie":
        parts = [int(v) for v in rng.choice(range(5, 24), size=4, replace=False)]
        return replace(chart, series={"Share": (*map(float, parts), float(100 - sum(parts)))})
    highest = max(max(row) for row in chart.series.values())
    series = {
        name: tuple(round(float(v) * highest, 1) for v in rng.uniform(0.08, 1, len(row)))
        for name, row in chart.series.items()
    }
    return replace(chart, series=series)


CHANGES: dict[str, Callable[[Chart, Rng], Chart]] = {
    "one value": _one_value,
    "one label": _one_label,
    "colours swapped": _swapped,
    "other numbers": _other_numbers,
}


@dataclass(frozen=True)
class Scatter:
    """Groups of points, each coordinate 0 to 1, in one colour per group."""

    title: str
    axes: tuple[str, str]
    groups: tuple[tuple[str, str, tuple[tuple[float, float], ...]], ...]
    size: tuple[int, int]
    dot: float
    text: float
    face: Face
    panel: Color


def _scatter_family(rng: Rng) -> Drawn:
    return drawn_from(_any_scatter(rng), _draw_scatter, SCATTER_CHANGES, rng)


def _points(rng: Rng, count: int) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in rng.uniform(0.03, 0.97, (count, 2)))


def _any_scatter(rng: Rng) -> Scatter:
    (first, unit, *_), (_, other, *_) = sample(rng, THEMES, 2)
    names = sample(rng, TOWNS, int(rng.integers(2, 5)))
    colors = sample(rng, COLORS, len(names))
    groups = tuple(
        (name, color, _points(rng, int(rng.integers(6, 22))))
        for name, color in zip(names, colors, strict=True)
    )
    size = (int(rng.integers(500, 900)), int(rng.integers(380, 640)))
    return Scatter(
        f"{first} in {len(names)} towns",
        (unit, other),
        groups,
        size,
        float(rng.uniform(4, 9)),
        float(rng.uniform(11, 17)),
        any_face(rng),
        pick(rng, PANELS) or (255, 255, 255),
    )


def _draw_scatter(scatter: Scatter) -> Image.Image:
    width, height = scatter.size
    image = Image.new("RGB", (2 * width, 2 * height), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    text, face, ink = 2 * scatter.text, scatter.face, (40, 40, 44)
    write(draw, (width, text * 0.6), scatter.title, text * 1.2, face.bold(), ink, "m")
    x = text * 2
    for name, color, _ in scatter.groups:
        draw.ellipse((x, text * 2.6, x + text * 0.7, text * 3.3), fill=NAMED[color])
        write(draw, (x + text, text * 2.3), name, text, face, ink)
        x += text * 2.4 + width_of(name, text, face)
    left, top, right, bottom = text * 3, text * 4, 2 * width - text, 2 * height - text * 3
    draw.rectangle((left, top, right, bottom), fill=scatter.panel, outline=(120, 120, 120))
    for tick in range(6):
        at = left + (right - left) * tick / 5
        write(draw, (at, bottom + text * 0.2), str(tick * 20), text * 0.9, face, ink, "m")
    write(draw, (width, bottom + text * 1.4), scatter.axes[0], text, face, ink, "m")
    for _, color, points in scatter.groups:
        for px, py in points:
            cx, cy = left + (right - left) * px, bottom - (bottom - top) * py
            reach = scatter.dot * 2
            draw.ellipse((cx - reach, cy - reach, cx + reach, cy + reach), fill=NAMED[color])
    return image.resize(scatter.size, Image.Resampling.BOX)


def _one_point(scatter: Scatter, rng: Rng) -> Scatter:
    groups = list(scatter.groups)
    at = int(rng.integers(len(groups)))
    name, color, points = groups[at]
    which = int(rng.integers(len(points)))
    x, y = points[which]
    moved = ((x + float(rng.uniform(0.15, 0.6))) % 1, (y + float(rng.uniform(0.15, 0.6))) % 1)
    groups[at] = (name, color, (*points[:which], moved, *points[which + 1 :]))
    return replace(scatter, groups=tuple(groups))


def _one_name(scatter: Scatter, rng: Rng) -> Scatter:
    used = {name for name, _, _ in scatter.groups}
    fresh = pick(rng, [town for town in TOWNS if town not in used])
    (_, color, points), *rest = scatter.groups
    return replace(scatter, groups=((fresh, color, points), *rest))


def _swapped_groups(scatter: Scatter, rng: Rng) -> Scatter:
    (one, first, some), (two, second, others), *rest = scatter.groups
    return replace(scatter, groups=((one, second, some), (two, first, others), *rest))


def _other_points(scatter: Scatter, rng: Rng) -> Scatter:
    fresh = ((name, color, _points(rng, len(points))) for name, color, points in scatter.groups)
    return replace(scatter, groups=tuple(fresh))


SCATTER_CHANGES: dict[str, Callable[[Scatter, Rng], Scatter]] = {
    "one value": _one_point,
    "one label": _one_name,
    "colours swapped": _swapped_groups,
    "other numbers": _other_points,
}
