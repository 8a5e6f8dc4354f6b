"""Charts: bars and lines in many styles.

Negatives: one value moved by a visible part of the axis, one label changed, two colours swapped
(which says that the series are the other way round; some pairs of colours have the same grey),
and the same template with other numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from PIL import Image

from benchmarks.duplicates.drawn import Drawn, drawn_from
from benchmarks.duplicates.lettering import grown
from cauldron.sample.draw.chart import COLORS, Chart, Style, any_chart, draw
from cauldron.sample.draw.ink import WHITE, Color
from cauldron.sample.draw.texture import Textures
from cauldron.sample.model import Rng, pick, sample
from cauldron.sample.words import FIRMS, TOWNS

PANELS: tuple[Color, ...] = (WHITE, WHITE, (234, 234, 242), (245, 245, 240), (229, 236, 246))


@dataclass(frozen=True)
class Looks:
    """How a family is drawn: style, and two factors of resampling."""

    style: Style
    across: float
    down: float


def family(rng: Rng, textures: Textures) -> Drawn:
    chart = any_chart(rng, pick(rng, ("bars", "lines")), int(rng.integers(1, 5)))
    looks = _any_looks(rng)
    return drawn_from(chart, lambda changed: _draw(changed, looks), CHANGES, rng)


def _any_looks(rng: Rng) -> Looks:
    across = float(rng.uniform(0.9, 1.2))
    style = Style(
        size=(round(float(rng.uniform(500, 900)) / across), int(rng.integers(340, 560))),
        panel=pick(rng, PANELS),
        numbers=bool(rng.integers(2)),
        footer=f"Source: {pick(rng, FIRMS)}" if rng.integers(2) else "",
        text=float(rng.uniform(11, 17)),
    )
    return Looks(style, across, across * float(rng.uniform(0.95, 1.05)))


def _draw(chart: Chart, looks: Looks) -> Image.Image:
    return grown(draw(chart, looks.style), looks.across, looks.down)


def _highest(chart: Chart) -> float:
    return max(max(row) for row in chart.series.values())


def _one_value(chart: Chart, rng: Rng) -> Chart:
    """One value moved by 8 to 30 % of the highest, which itself stays: the axis does too."""
    name, highest = pick(rng, sorted(chart.series)), _highest(chart)
    values = list(chart.series[name])
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
        old, fresh = pick(rng, sorted(chart.series)), pick(rng, ("Girls", "Boys", "North", "South"))
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
    if used == 1 and chart.kind == "bars":
        used = len(chart.categories)
    colors = list(chart.colors)
    if used == 1:
        colors[0] = pick(rng, [color for color in COLORS if color != colors[0]])
    else:
        a, b = sample(rng, range(used), 2)
        colors[a], colors[b] = colors[b], colors[a]
    return replace(chart, colors=tuple(colors))


def _other_numbers(chart: Chart, rng: Rng) -> Chart:
    highest = _highest(chart)
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
