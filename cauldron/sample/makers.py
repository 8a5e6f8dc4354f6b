"""One picture of a row with what can be said about it: photographs, charts, tables, pages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cauldron.sample.draw import chart, page, photograph, table
from cauldron.sample.draw.ink import NAMED
from cauldron.sample.draw.page import Block
from cauldron.sample.draw.photograph import Photo
from cauldron.sample.draw.table import Look, Table
from cauldron.sample.model import Facts, Rng, jpeg, pick, png, sample
from cauldron.sample.studio import Shown, Studio
from cauldron.sample.words import WORDS, any_slots, filled

Options = dict[str, Any]
ACCENTS = ("blue", "green", "red", "purple", "orange", "brown")
SMALL = (400, 300)


def photo(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """A photograph of a place with things in it, or with a board of one of some kinds."""
    scene, facts = photograph.any_photo(rng, options.get("place", "")), {}
    if "boards" in options:
        kind, color = pick(rng, options["boards"]), pick(rng, ACCENTS)
        slots = any_slots(rng, WORDS["boards"][kind]["slots"])
        lines = filled(WORDS["boards"][kind]["lines"], slots)
        scene = replace(scene, things=(), board=(color, *lines))
        read = {"color": color, "read": ", ".join(lines), "setting": scene.setting}
        facts = {kind: [slots], "board": [read]}
    facts |= photograph.facts(scene, rng)
    path = options["named"].format(i=i) if "named" in options else None
    image = photograph.draw(scene, studio.textures)
    picture = (png if options.get("png") else jpeg)(image, path)
    extra = {"objects": scene.things, "draft": facts["photo"][0]["listed"]}
    return Shown([picture], facts, extra)


def photos(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    """Two photographs: of other places, or of one place where one thing is gone."""
    first = photograph.any_photo(rng, size=SMALL)
    if options.get("missing"):
        second, facts = _one_less(first, rng)
    else:
        second = photograph.any_photo(rng, size=SMALL)
        facts = {"pair": [_compared(photograph.facts(first, rng), photograph.facts(second, rng))]}
    images = (photograph.draw(scene, studio.textures) for scene in (first, second))
    return Shown([jpeg(image) for image in images], facts)


def _compared(first: Facts, second: Facts) -> dict[str, str]:
    one, other = ({**facts["photo"][0], **facts["thing"][0]} for facts in (first, second))
    both = any(thing["name"] == one["name"] for thing in second["thing"])
    others = {f"other_{key}": value for key, value in other.items()}
    return {**one, **others, "both": "yes" if both else "no"}


def _one_less(scene: Photo, rng: Rng) -> tuple[Photo, Facts]:
    """The scene with one copy of one thing removed, and what was removed."""
    at = int(rng.integers(len(scene.things)))
    thing = scene.things[at]
    gone = pick(rng, thing.spots)
    left = replace(thing, spots=tuple(spot for spot in thing.spots if spot != gone))
    things = [left if number == at else other for number, other in enumerate(scene.things)]
    where = "on the left" if gone[0] < 0.5 else "on the right"
    fact = {"color": thing.color, "name": thing.name, "at": where}
    return replace(scene, things=tuple(things)), {"gone": [fact]}


def _tuples(given: Options) -> Options:
    """Options of a style as its dataclass wants them."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}


def chart_of(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    kind = options["kinds"][i % len(options["kinds"])]
    drawn = chart.any_chart(rng, kind, options.get("series", 1), options.get("about"))
    style = chart.Style(**_tuples(options.get("style", {})))
    style = replace(style, footer=style.footer.format(town=pick(rng, WORDS["towns"])))
    return Shown([png(chart.draw(drawn, style))], chart.facts(drawn, rng))


def any_table(rng: Rng, kind: str) -> Table:
    """A random table of a kind in ``words.yaml``."""
    wanted = WORDS["tables"][kind]
    count, year = int(rng.integers(*wanted["rows"])), int(rng.integers(2009, 2019))
    slots = {"firm": pick(rng, WORDS["firms"]), "who": pick(rng, WORDS["who"])}
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
    form, low, high = WORDS["numbers"][kind]
    return [form.format(value) for value in rng.uniform(low, high, count)]


def table_of(studio: Studio, rng: Rng, i: int, options: Options) -> Shown:
    look = Look(**_tuples(options.get("look", {})))
    kind = options["tables"][i % len(options["tables"])]
    made = [any_table(rng, kind) for _ in range(1 + i % options.get("most", 1))]
    facts = table.facts(made[0], rng)
    total = sum(table.value_of(one.rows[-1][1]) for one in made) if "last" in facts else 0
    facts["sum"] = [{"count": len(made), "sum": f"{total:,.0f}"}]
    return Shown([png(table.draw(one, look)) for one in made], facts)


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
    accent = NAMED[pick(rng, ACCENTS)]
    case = options["cases"][i % len(options["cases"])] if "cases" in options else {}
    slots = {**any_slots(rng, options["slots"]), **case}
    slots["accent"] = "#{:02x}{:02x}{:02x}".format(*accent)
    look = {**options["style"], "accent": accent, "seed": int(rng.integers(1 << 31))}
    look |= options.get("large", {}) if i % 6 == 1 else {}  # at 150 dpi, as published
    style = page.Style(**_tuples(look), turn=float(rng.uniform(-8, 8)))
    sheets = [blocks_of(case.get("blocks") or options["blocks"], slots)]
    facts: Facts = {"page": [slots], "following": []}
    more = options.get("following", {})
    for number in range(2, int(rng.choice((1, 1, 2, 2, 3, 4))) + 1) if more else ():
        facts["following"].append({**any_slots(rng, more["slots"]), "number": number})
        sheets.append(blocks_of(more["blocks"], facts["following"][-1]))
    images = [page.draw(sheet, style, studio.textures) for sheet in sheets]
    pictures = [jpeg(image) if options.get("jpeg") else png(image) for image in images]
    return Shown(pictures, facts, {"key": int(rng.integers(1000, 9_999_999)), "pages": sheets})


MAKERS = {"photo": photo, "photos": photos, "chart": chart_of, "table": table_of, "page": page_of}
