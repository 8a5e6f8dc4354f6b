"""One picture of a row with what can be said about it: photographs, charts, tables, pages."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from cauldron.sample.draw import chart, page, photograph, table
from cauldron.sample.draw.ink import NAMED, WHITE, Face, mix
from cauldron.sample.draw.page import Block
from cauldron.sample.draw.photograph import Photo, Thing
from cauldron.sample.draw.table import Look, Table
from cauldron.sample.model import Facts, Picture, Rng, jpeg, pick, png, sample
from cauldron.sample.studio import Shown, Studio
from cauldron.sample.words import FIRMS, TOWNS, WORDS, any_slots, filled

Options = dict[str, Any]
SMALL = (400, 300)


def _bare(picture: Picture) -> Picture:
    """The same bytes, without the path: most sets publish none."""
    return Picture(picture.data, None)


def coco(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """One of the COCO photographs, from a part `start` of the pool on; sets overlap."""
    first = round(options["start"] * len(studio.coco))
    photo, picture = studio.coco[(first + i) % len(studio.coco)]
    return Shown([Picture(picture.data, picture.path)], photograph.facts(photo, rng))


def photo(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    scene = photograph.any_photo(rng)
    path = options["path"].format(i=i) if "path" in options else None
    facts = photograph.facts(scene, rng)
    boxes = [
        (thing.name, [min(max(round(999 * v), 0), 999) for v in (y - 0.2, x - 0.1, y, x + 0.1)])
        for thing in scene.things
        for x, y in thing.spots
    ]
    extra = {"objects": boxes, "draft": facts["photo"][0]["caption"]}
    return Shown([studio.taken(scene, path)[1]], facts, extra)


def sign(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    _, picture, facts = studio.signs[i] if options.get("shared") else studio.sign(rng)
    return Shown([picture], facts)


def meme(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    caption = tuple(options["captions"][i % len(options["captions"])])
    scene = replace(photograph.any_photo(rng), caption=caption)
    return Shown([studio.taken(scene)[1]], photograph.facts(scene, rng))


def radiograph(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    opaque, enlarged = bool(rng.integers(2)), bool(rng.integers(2))
    image = photograph.radiograph(studio.textures, int(rng.integers(1 << 31)), opaque, enlarged)
    fact = {"opaque": _yes(opaque), "enlarged": _yes(enlarged)}
    return Shown([png(image) if i % 3 == 0 else jpeg(image)], {"patient": [fact]})


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"


def photos(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """Two photographs: of other places, or of one place where one thing is gone."""
    first = photograph.any_photo(rng, size=SMALL)
    facts: Facts = {}
    if options.get("missing"):
        second, gone = _one_less(first, rng)
        at = "on the left" if gone.spots[0][0] < 0.5 else "on the right"
        facts["gone"] = [{"color": gone.color, "name": gone.name, "at": at}]
    else:
        second = photograph.any_photo(rng, size=SMALL)
        facts["pair"] = [_compared(first, second, rng)]
    return Shown([studio.taken(scene)[1] for scene in (first, second)], facts)


def _compared(first: Photo, second: Photo, rng: Rng) -> dict[str, str]:
    here, there = first.things[0], second.things[0]
    both = any(thing.name == here.name for thing in second.things)
    on_left = sum(thing.count for thing in first.things if thing.name == there.name)
    said = int(rng.integers(max(here.count - 1, 1), here.count + 2))
    return {
        "said": f"{photograph.NUMBERS[said]} {here.name if said == 1 else here.plural}",
        "is": "is" if said == 1 else "are",
        "is_said": _yes(said == here.count),
        "name": here.name,
        "both": _yes(both),
        "plural": there.plural,
        "more": _yes(there.count > on_left),
        "called": here.called(),
        "other_called": there.called(),
        **{key: getattr(first, key) for key in ("setting", "hour")},
        **{f"other_{key}": getattr(second, key) for key in ("setting", "hour")},
    }


def _one_less(scene: Photo, rng: Rng) -> tuple[Photo, Thing]:
    """The scene with one copy of one thing removed, and that copy alone."""
    at = int(rng.integers(len(scene.things)))
    thing = scene.things[at]
    gone = int(rng.integers(thing.count))
    left = thing.spots[:gone] + thing.spots[gone + 1 :]
    kept = (replace(thing, spots=left),) if left else ()
    things = scene.things[:at] + kept + scene.things[at + 1 :]
    return replace(scene, things=things), replace(thing, spots=(thing.spots[gone],))


def clevr(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    scene, picture = studio.clevr[i]
    total = len(scene.things)
    shapes = Counter(thing.name for thing in scene.things)
    colors = Counter(thing.color for thing in scene.things)
    metal = sum(thing.metal for thing in scene.things)
    whole = {
        "more_metal": _yes(metal > shapes["cube"]),
        "leftmost": min(scene.things, key=lambda thing: thing.spots[0][0]).name,
        "large": str(sum(thing.scale > 1 for thing in scene.things)),
    }
    facts: Facts = {
        "shape": [
            {"plural": f"{name}s", "count": str(shapes[name]), "rest": str(total - shapes[name])}
            for name in ("sphere", "cube", "cylinder")
        ],
        "color": [
            {"color": color, "count": str(count), "rest": str(total - count)}
            for color, count in colors.items()
        ],
        "scene": [whole],
    }
    return Shown([picture], facts)


def chart_of(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    kinds = options["kinds"]
    drawn = chart.any_chart(rng, kinds[i % len(kinds)], options.get("series", 1))
    if "names" in options:
        drawn = _renamed(drawn, rng, options)
    style = chart.Style(
        size=tuple(options.get("size", (640, 440))),
        panel=tuple(options["panel"]) if "panel" in options and i % 2 else None,
        numbers=options.get("numbers", False),
        footer=options.get("footer", "").format(town=pick(rng, TOWNS)),
        text=options.get("text", 13),
    )
    return Shown([png(chart.draw(drawn, style))], chart.facts(drawn, rng))


def _renamed(drawn: chart.Chart, rng: Rng, options: Options) -> chart.Chart:
    """The chart about objects, or about its own colours, as synthetic sets have them."""
    count = len(drawn.categories)
    colors = options["names"] == "colors"
    names = [c.capitalize() for c in drawn.colors] if colors else sample(rng, WORDS["objects"], 9)
    values = rng.choice(range(1, options["most"] + 1), size=count, replace=False)
    return replace(
        drawn,
        title=options["title"],
        x_label=options["label"],
        y_label=options["unit"],
        categories=tuple(names[:count]),
        series={"a": tuple(float(value) for value in values)},
    )


def any_table(rng: Rng, kind: str, notes: str = "") -> Table:
    """A random table of a kind in ``words.yaml``."""
    wanted = WORDS["tables"][kind]
    count = int(rng.integers(wanted["rows"][0], wanted["rows"][1] + 1))
    year = int(rng.integers(2009, 2019))
    slots = {"firm": pick(rng, FIRMS), "year": year, "before": year - 1}
    slots["who"] = pick(rng, WORDS["who"])
    columns = [_column(rng, column, count) for column in wanted["columns"]]
    if "total" in wanted:
        sums = [sum(table.value_of(cell) for cell in column) for column in columns[1:]]
        for column, cell in zip(
            columns, [wanted["total"], *(f"{s:,.0f}" for s in sums)], strict=True
        ):
            column.append(cell)
    groups = tuple((text, span) for text, span in wanted.get("groups", ()))
    header = tuple(filled(wanted["header"], slots))
    title = filled(wanted.get("title", ""), slots)
    return Table(title, header, tuple(zip(*columns, strict=True)), groups, notes)


def _column(rng: Rng, kind: str, count: int) -> list[str]:
    if kind in WORDS:
        return sample(rng, WORDS[kind], count)
    if kind == "rank":
        return [str(i + 1) for i in range(count)]
    if kind == "year":
        return [str(year) for year in sorted(rng.choice(range(1961, 2015), count, replace=False))]
    numbers = [float(value) for value in rng.random(count)]
    return {
        "money": [f"${0.6 + 9.3 * n:.2f}" for n in numbers],
        "share": [f"{2 + 58 * n:.1f}" for n in numbers],
        "thousands": [f"{800 + int(9100 * n):,}" for n in numbers],
        "two digits": [str(10 + int(89 * n)) for n in numbers],
        "minutes": [str(90 + int(150 * n)) for n in numbers],
    }[kind]


def table_of(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    names = ("lines", "total", "size", "head", "head_ink", "stripe")
    given = {name: options[name] for name in names if name in options}
    look = Look(**{k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})
    kind = options["tables"][i % len(options["tables"])]
    notes = options.get("notes", "")
    made = [any_table(rng, kind, notes) for _ in range(1 + i % options.get("most", 1))]
    facts = table.facts(made[0], rng)
    if facts["last"]:
        total = sum(table.value_of(one.rows[-1][1]) for one in made)
        facts["sum"] = [{"count": len(made), "sum": f"{total:,.0f}"}]
    return Shown([png(table.draw(one, look)) for one in made], facts)


def blocks_of(described: list[dict[str, Any]], slots: dict[str, Any]) -> tuple[Block, ...]:
    """Blocks of a page from their description: the first key is the kind, its value the rows."""
    made = []
    for part in described:
        (kind, rows), *rest = part.items()
        cells = [row if isinstance(row, list) else [row] for row in _listed(rows)]
        texts = tuple(tuple(row) for row in filled(cells, slots))
        made.append(Block(kind, texts, **dict(rest)))
    return tuple(made)


def _listed(rows: Any) -> list[Any]:
    return rows if isinstance(rows, list) else [] if rows is None else [rows]


def style_of(described: dict[str, Any], rng: Rng, accent: str) -> page.Style:
    """A style from its description; ``any`` stands for a random turn or accent."""
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in described.items()}
    if "face" in given:
        given["face"] = Face(**given["face"])
    if given.get("paper") == "tint":
        given["paper"] = mix(NAMED[accent], WHITE, float(rng.uniform(0.6, 0.85)))
    if given.get("turn") == "any":
        given["turn"] = float(rng.uniform(-8, 8))
    given["accent"] = NAMED[accent]
    return page.Style(**given, seed=int(rng.integers(1 << 31)))


def page_of(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    accent = pick(rng, ("blue", "green", "red", "purple", "orange", "brown"))
    style = style_of(options["style"], rng, accent)
    case = options["cases"][i % len(options["cases"])] if "cases" in options else {}
    slots = {**any_slots(rng, options["slots"]), **case}
    slots["accent"] = "#{:02x}{:02x}{:02x}".format(*NAMED[accent])
    sheets = [blocks_of(case.get("blocks", options.get("blocks")), slots)]
    facts: Facts = {"page": [slots], "following": [], **page.facts(sheets[0])}
    if "following" in options:
        for number in range(2, int(rng.choice((1, 1, 2, 2, 3, 4))) + 1):
            more = any_slots(rng, options["following"]["slots"]) | {"number": number}
            sheets.append(blocks_of(options["following"]["blocks"], more))
            facts["following"].append(more)
    if "large" in options and i % 6 == 1:  # at 150 dpi, as published
        names = ("width", "height", "size", "margin")
        bigger = {name: getattr(style, name) * options["large"] for name in names}
        bigger |= {name: round(bigger[name]) for name in ("width", "height")}
        style = replace(style, **bigger)
    images = [page.draw(sheet, style, studio.textures) for sheet in sheets]
    pictures = [jpeg(image) if options.get("jpeg") else png(image) for image in images]
    return Shown(pictures, facts, {"key": int(rng.integers(1000, 9_999_999)), "pages": sheets})


MAKERS = {
    "coco": coco,
    "photo": photo,
    "sign": sign,
    "meme": meme,
    "radiograph": radiograph,
    "photos": photos,
    "clevr": clevr,
    "chart": chart_of,
    "table": table_of,
    "page": page_of,
}
