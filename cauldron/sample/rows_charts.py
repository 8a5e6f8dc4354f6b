"""Rows of the chart sets: ChartQA, PlotQA, DVQA, FigureQA, Chart2Text, VisText, MapQA."""

from __future__ import annotations

from cauldron.sample.draw_charts import Chart, Style, draw_chart, number
from cauldron.sample.draw_maps import Country, draw_map
from cauldron.sample.ink import NAMED, pick, png, sample
from cauldron.sample.model import Item, Rng, Turn
from cauldron.sample.studio import Studio
from cauldron.sample.words import MONTHS, TOWNS, brief, closed, listed, words_of, yes_no

THEMES = (
    ("Coffee production", "Tonnes", 10, 95),
    ("Museum visitors", "Visitors (thousands)", 40, 900),
    ("Rainfall", "Millimetres", 12, 180),
    ("Unemployment rate", "Percent", 2, 15),
    ("Bicycle sales", "Units", 120, 4800),
    ("Energy use", "Gigawatt hours", 20, 300),
    ("Library loans", "Loans (thousands)", 5, 80),
    ("Honey exports", "Tonnes", 3, 60),
)
COLORS = tuple(name for name in NAMED if name not in ("yellow", "grey"))


def _values(rng: Rng, count: int, low: int, high: int) -> tuple[float, ...]:
    """Different whole or half numbers, so that the largest and smallest are unique."""
    steps = rng.choice((high - low) * 2, size=count, replace=False)
    scale = 0.5 if high < 100 else 1
    return tuple(float(low + int(step) * scale) for step in steps)


def any_chart(rng: Rng, kinds: tuple[str, ...], series: int = 1) -> Chart:
    theme, unit, low, high = pick(rng, THEMES)
    kind = pick(rng, kinds)
    count = int(rng.integers(4, 8))
    if kind in ("lines", "area", "dots") or rng.integers(2):
        start = int(rng.integers(1995, 2014))
        where, label = pick(rng, TOWNS), "Year"
        names = tuple(str(start + i) for i in range(count))
        title = f"{theme} in {where}, {names[0]} to {names[-1]}"
    else:
        label = "Town"
        names = tuple(sample(rng, TOWNS, min(count, 6)))
        title = f"{theme} by town in {int(rng.integers(2000, 2020))}"
    groups = sample(rng, ("Men", "Women", "Urban", "Rural", "Under 30", "Over 60"), series)
    data = {name: _values(rng, len(names), low, high) for name in groups}
    return Chart(kind, title, label, unit, names, data, tuple(sample(rng, COLORS, 8)))


def any_pie(rng: Rng) -> Chart:
    names = tuple(
        sample(rng, ("Rent", "Food", "Travel", "Clothing", "Savings", "Books", "Sport"), 5)
    )
    parts = rng.choice(range(5, 24), size=4, replace=False)
    values = (*(float(p) for p in parts), float(100 - parts.sum()))
    title = f"How households in {pick(rng, TOWNS)} spend their money"
    return Chart(
        "pie", title, "", "Percent", names, {"Share": values}, tuple(sample(rng, COLORS, 8))
    )


def extremes(chart: Chart) -> tuple[int, int]:
    """Indices of the smallest and the largest value."""
    values = chart.values
    return values.index(min(values)), values.index(max(values))


def _facts(chart: Chart, rng: Rng) -> list[tuple[str, str]]:
    low, high = extremes(chart)
    at = int(rng.integers(len(chart.categories)))
    what = chart.y_label.lower()
    name = chart.x_label.lower() or "category"
    told = [
        (f"Which {name} has the highest value?", chart.categories[high]),
        (f"Which {name} has the lowest value?", chart.categories[low]),
        (f"What is the value in {what} for {chart.categories[at]}?", number(chart.values[at])),
        (
            "What is the difference between the highest and the lowest value?",
            number(chart.values[high] - chart.values[low]),
        ),
    ]
    return sample(rng, told, len(told))


def chartqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        chart = any_pie(rng) if i % 4 == 3 else any_chart(rng, ("bars", "hbars", "lines"))
        style = Style(numbers=True, footer=f"Source: Survey office of {pick(rng, TOWNS)}")
        turns = [(brief(rng, q), closed(a)) for q, a in _facts(chart, rng)[:2]]
        items.append(Item([png(draw_chart(chart, style))], list(turns)))
    return items


def plotqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        chart = any_chart(rng, ("bars", "lines", "dots"), 2)
        turns: list[Turn] = []
        for name, values in chart.series.items():
            for category, value in zip(chart.categories, values, strict=True):
                turns.append(
                    (brief(rng, f"What is the value of {name} in {category}?"), f"{number(value)}.")
                )
        style = Style((650, 450), numbers=True, panel=(234, 234, 242) if i % 2 else None)
        items.append(Item([png(draw_chart(chart, style))], turns))
    return items


OBJECTS = words_of("lamp|rose|fork|boot|tray|comb|bell|disk|vest|knot|salt|harp")


def dvqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        names = tuple(sample(rng, OBJECTS, int(rng.integers(4, 7))))
        values = tuple(float(v) for v in rng.choice(range(1, 10), size=len(names), replace=False))
        colors = tuple(sample(rng, COLORS, 8))
        kind = "hbars" if i % 3 == 2 else "bars"
        chart = Chart(
            kind, "Sales of items in the store", "Item", "Units sold", names, {"a": values}, colors
        )
        low, high = extremes(chart)
        turns: list[Turn] = [
            (brief(rng, "How many bars are there?"), f"{len(names)}."),
            (
                brief(rng, f"How many units of the item {names[0]} were sold?"),
                f"{number(values[0])}.",
            ),
            (brief(rng, "Which item sold the most units?"), closed(names[high])),
            (brief(rng, "Which item sold the fewest units?"), closed(names[low])),
        ]
        items.append(Item([png(draw_chart(chart, Style((448, 448), grid=i % 2 == 0)))], turns))
    return items


def figureqa(studio: Studio, rng: Rng) -> list[Item]:
    """Colours are the names, as in FigureQA; every answer is yes or no."""
    items = []
    for i in range(studio.rows):
        colors = tuple(sample(rng, COLORS, 5))
        names = tuple(color.capitalize() for color in colors)
        values = _values(rng, 5, 8, 96)
        chart = Chart(
            ("bars", "hbars", "dots")[i % 3],
            "",
            "xaxis_label",
            "yaxis_label",
            names,
            {"a": values},
            colors,
        )
        low, high = extremes(chart)
        a, b = sample(rng, range(5), 2)
        turns: list[Turn] = [
            (
                f"Is {names[a]} greater than {names[b]}?\nAnswer yes or no.",
                yes_no(values[a] > values[b]),
            ),
            (f"Is {names[a]} the maximum?\nAnswer yes or no.", yes_no(a == high)),
            (f"Is {names[b]} the minimum?\nAnswer yes or no.", yes_no(b == low)),
        ]
        items.append(Item([png(draw_chart(chart, Style((480, 360))))], turns))
    return items


def _told(chart: Chart) -> str:
    low, high = extremes(chart)
    pairs = [f"{c}: {number(v)}" for c, v in zip(chart.categories, chart.values, strict=True)]
    return (
        f"The chart shows {chart.title[:1].lower()}{chart.title[1:]}, in {chart.y_label.lower()}. "
        f"The highest value is {number(chart.values[high])} for {chart.categories[high]}, the "
        f"lowest {number(chart.values[low])} for {chart.categories[low]}. All values are "
        f"{listed(pairs)}."
    )


def chart2text(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        chart = any_chart(rng, ("bars", "hbars", "lines"))
        style = Style((720, 460), numbers=True, footer="© Statistics Bureau 2020", text=14)
        source = "chart2text-statista" if i % 2 else "chart2text-pew"
        question = pick(rng, ("Write a summary of this chart.", "What does this chart tell us?"))
        items.append(
            Item([png(draw_chart(chart, style))], [(question, _told(chart))], {"source": source})
        )
    return items


def vistext(studio: Studio, rng: Rng) -> list[Item]:
    """Two captions of one chart are two rows: this set is not merged by image."""
    items: list[Item] = []
    while len(items) < studio.rows:
        chart = any_chart(rng, ("area", "lines", "bars"))
        picture = png(draw_chart(chart, Style((480, 420), footer="")))
        question = pick(
            rng, ("Describe the structure of this chart.", "Explain how this chart is built.")
        )
        kind = {"bars": "a bar chart", "lines": "a line chart", "area": "an area chart"}[chart.kind]
        how = (
            f"Here is {kind} called {chart.title}. The x-axis is labeled {chart.x_label}, "
            f"the y-axis {chart.y_label}, on a linear scale that starts at 0."
        )
        items.append(Item([picture], [(question, how)]))
        if len(items) % 4 == 1 and len(items) < studio.rows:
            items.append(Item([picture], [("Sum up the main trend.", _told(chart))]))
    return items


def mapqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        ranges = ("0-10%", "10-20%", "20-30%", "30-40%", "40-50%")
        names = tuple(sample(rng, TOWNS, 14))
        level = tuple(int(value) for value in rng.integers(0, 5, 14))
        what = pick(rng, ("people who cycle to work", "homes with solar panels", "adults over 65"))
        country = Country(
            f"Share of {what}, {pick(rng, MONTHS)} {int(rng.integers(2005, 2020))}",
            names,
            level,
            ranges,
        )
        best = [n for n, value in zip(names, level, strict=True) if value == max(level)]
        a, b = sample(rng, range(14), 2)
        turns: list[Turn] = [
            (brief(rng, f"What is the range of {names[a]}?"), f"{ranges[level[a]]}."),
            (brief(rng, "Which provinces have the highest value?"), f"{', '.join(best)}."),
            (
                f"Does {names[a]} have a higher value than {names[b]}?\nAnswer yes or no.",
                yes_no(level[a] > level[b]),
            ),
        ]
        items.append(Item([png(draw_map(country, rng))], turns))
    return items
