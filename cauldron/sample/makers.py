"""One picture of a row with what can be said about it: photographs, charts, tables, pages."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from cauldron.sample.draw import chart, page, photograph, table
from cauldron.sample.draw.ink import NAMED, WHITE, Face, mix
from cauldron.sample.draw.page import Block
from cauldron.sample.draw.photograph import Photo
from cauldron.sample.draw.table import Look, Table
from cauldron.sample.model import Facts, Rng, jpeg, pick, png, sample
from cauldron.sample.studio import Shown, Studio
from cauldron.sample.words import FIRMS, TOWNS, WORDS, any_slots, filled

Options = dict[str, Any]
SMALL = (400, 300)
# Numbers in a column of a table: how they are printed, least and most.
NUMBERS = {
    "money": ("${:.2f}", 0.6, 9.9),
    "share": ("{:.1f}", 2, 60),
    "thousands": ("{:,}", 800, 9900),
    "two digits": ("{}", 10, 99),
    "minutes": ("{}", 90, 240),
}


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"


def coco(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """One of the COCO photographs, from a part `start` of the pool on; sets overlap."""
    first = round(options["start"] * len(studio.coco))
    photo, picture = studio.coco[(first + i) % len(studio.coco)]
    return Shown([picture], photograph.facts(photo, rng))


def photo(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    scene = photograph.any_photo(rng)
    if "captions" in options:
        scene = replace(scene, caption=tuple(options["captions"][i % len(options["captions"])]))
    facts = photograph.facts(scene, rng)
    boxes = [
        (thing.name, [round(999 * min(max(v, 0), 1)) for v in (y - 0.2, x - 0.1, y, x + 0.1)])
        for thing in scene.things
        for x, y in thing.spots
    ]
    path = options["named"].format(i=i) if "named" in options else None
    extra = {"objects": boxes, "draft": facts["photo"][0]["caption"]}
    return Shown([studio.taken(scene, path)], facts, extra)


def sign(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    return studio.signs[i] if options.get("shared") else studio.sign(rng)


def chest(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    scene = photograph.any_chest(rng)
    image = photograph.draw(scene, studio.textures).convert("L")
    shown = {thing.name for thing in scene.things}
    fact = {"enlarged": _yes("large heart" in shown), "opaque": _yes("opacity" in shown)}
    return Shown([png(image) if i % 3 == 0 else jpeg(image)], {"patient": [fact]})


def photos(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """Two photographs: of other places, or of one place where one thing is gone."""
    first = photograph.any_photo(rng, size=SMALL)
    if options.get("missing"):
        second, facts = _one_less(first, rng)
    else:
        second = photograph.any_photo(rng, size=SMALL)
        facts = _compared(first, second)
    return Shown([studio.taken(scene) for scene in (first, second)], facts)


def _compared(first: Photo, second: Photo) -> Facts:
    one, other = first.things[0], second.things[0]
    left = sum(thing.count for thing in first.things if thing.name == other.name)
    pair = {"name": one.name, "both": _yes(one.name in {t.name for t in second.things})}
    pair |= {"plural": other.plural, "more": _yes(other.count > left)}
    pair |= {"called": one.called(), "setting": first.setting, "hour": first.hour}
    pair |= {"other_called": other.called(), "other_setting": second.setting}
    return {"pair": [{**pair, "other_hour": second.hour}]}


def _one_less(scene: Photo, rng: Rng) -> tuple[Photo, Facts]:
    """The scene with one copy of one thing removed, and what was removed."""
    at = int(rng.integers(len(scene.things)))
    thing = scene.things[at]
    gone = pick(rng, thing.spots)
    left = replace(thing, spots=tuple(spot for spot in thing.spots if spot != gone))
    things = [*scene.things[:at], *([left] if left.spots else []), *scene.things[at + 1 :]]
    where = "on the left" if gone[0] < 0.5 else "on the right"
    fact = {"color": thing.color, "name": thing.name, "at": where}
    return replace(scene, things=tuple(things)), {"gone": [fact]}


def clevr(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    scene, picture = studio.clevr[i]
    total = len(scene.things)
    shapes = Counter(thing.name for thing in scene.things)
    colors = Counter(thing.color for thing in scene.things)
    first = min(scene.things, key=lambda thing: thing.spots[0][0])
    whole = {"leftmost": first.name, "more_spheres": _yes(shapes["sphere"] > shapes["cube"])}
    whole["large"] = str(sum(thing.scale > 1 for thing in scene.things))
    counted = {
        key: [{"name": name, "count": str(n), "rest": str(total - n)} for name, n in found.items()]
        for key, found in (("shape", shapes), ("color", colors))
    }
    return Shown([picture], {**counted, "scene": [whole]})


def chart_of(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    kinds = options["kinds"]
    drawn = chart.any_chart(rng, kinds[i % len(kinds)], options.get("series", 1))
    if "names" in options:
        drawn = _renamed(drawn, rng, options)
    style = chart.Style(**_tuples(options.get("style", {})))
    style = replace(style, footer=style.footer.format(town=pick(rng, TOWNS)))
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


def any_table(rng: Rng, kind: str) -> Table:
    """A random table of a kind in ``words.yaml``."""
    wanted = WORDS["tables"][kind]
    count, year = int(rng.integers(wanted["rows"][0], wanted["rows"][1] + 1)), 2009
    year += int(rng.integers(10))
    slots = {"firm": pick(rng, FIRMS), "who": pick(rng, WORDS["who"])}
    slots |= {"year": str(year), "before": str(year - 1)}
    columns = [_column(rng, column, count) for column in wanted["columns"]]
    if "total" in wanted:
        columns[0].append(wanted["total"])
        for column in columns[1:]:
            column.append(f"{sum(table.value_of(cell) for cell in column):,.0f}")
    header = tuple(filled(wanted["header"], slots))
    return Table(filled(wanted.get("title", ""), slots), header, tuple(zip(*columns, strict=True)))


def _column(rng: Rng, kind: str, count: int) -> list[str]:
    if kind in WORDS:
        return sample(rng, WORDS[kind], count)
    if kind == "rank":
        return [str(i + 1) for i in range(count)]
    if kind == "year":
        return [str(year) for year in sorted(rng.choice(range(1961, 2015), count, replace=False))]
    form, low, high = NUMBERS[kind]
    values = (float(value) for value in rng.uniform(low, high, count))
    return [form.format(value if "." in form else int(value)) for value in values]


def table_of(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    look = Look(**_tuples(options.get("look", {})))
    kind = options["tables"][i % len(options["tables"])]
    made = [any_table(rng, kind) for _ in range(1 + i % options.get("most", 1))]
    facts = table.facts(made[0], rng)
    if "last" in facts:
        total = sum(table.value_of(one.rows[-1][1]) for one in made)
        facts["sum"] = [{"count": len(made), "sum": f"{total:,.0f}"}]
    return Shown([png(table.draw(one, look)) for one in made], facts)


def _tuples(given: Options) -> Options:
    """Options of a style as its dataclass wants them."""
    fixed: Options = {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
    return {**fixed, "face": Face(**fixed["face"])} if "face" in fixed else fixed


def blocks_of(described: list[Options], slots: Options) -> tuple[Block, ...]:
    """Blocks of a page from their description: the first key is the kind, its value the rows."""
    made = []
    for part in described:
        (kind, rows), *look = part.items()
        listed = rows if isinstance(rows, list) else [] if rows is None else [rows]
        cells = [row if isinstance(row, list) else [row] for row in filled(listed, slots)]
        made.append(Block(kind, tuple(tuple(row) for row in cells), **dict(look)))
    return tuple(made)


def page_of(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """The sheets of a document; the first one has the facts."""
    accent = pick(rng, ("blue", "green", "red", "purple", "orange", "brown"))
    case = options["cases"][i % len(options["cases"])] if "cases" in options else {}
    slots = {**any_slots(rng, options["slots"]), **case}
    slots["accent"] = "#{:02x}{:02x}{:02x}".format(*NAMED[accent])
    style = page.Style(**_tuples(options["style"]), seed=int(rng.integers(1 << 31)))
    style = replace(style, accent=NAMED[accent])
    if options.get("tinted"):
        style = replace(style, paper=mix(NAMED[accent], WHITE, float(rng.uniform(0.6, 0.85))))
    if options.get("turned"):
        style = replace(style, turn=float(rng.uniform(-8, 8)))
    if i % 6 == 1 and "large" in options:  # at 150 dpi, as published
        style = replace(style, **options["large"])
    sheets = [blocks_of(case.get("blocks") or options["blocks"], slots)]
    facts: Facts = {"page": [slots], "following": [], **page.facts(sheets[0])}
    more = options.get("following", {})
    for number in range(2, int(rng.choice((1, 1, 2, 2, 3, 4))) + 1) if more else ():
        facts["following"].append({**any_slots(rng, more["slots"]), "number": number})
        sheets.append(blocks_of(more["blocks"], facts["following"][-1]))
    images = [page.draw(sheet, style, studio.textures) for sheet in sheets]
    pictures = [jpeg(image) if options.get("jpeg") else png(image) for image in images]
    return Shown(pictures, facts, {"key": int(rng.integers(1000, 9_999_999)), "pages": sheets})


MAKERS = {
    **{make.__name__: make for make in (coco, photo, sign, chest, photos, clevr)},
    **{"chart": chart_of, "table": table_of, "page": page_of},
}
