"""Rows of the table sets: TabMWP, TAT-QA, FinQA, HiTab, MultiHiertt, and the Wikipedia tables."""

from __future__ import annotations

from cauldron.sample.draw_tables import Look, Table, draw_table
from cauldron.sample.ink import pick, png, sample
from cauldron.sample.model import Item, Rng, Turn
from cauldron.sample.studio import Studio
from cauldron.sample.words import FIRMS, LAST, TOWNS, amount, brief, person, words_of

GOODS = words_of(
    "notebook|pencil case|bag of apples|jar of honey|wool scarf|pair of gloves|toy boat|kite|"
    "box of crayons|loaf of bread|bunch of grapes|wooden spoon"
)
WHO = ("renters", "commuters", "farm workers", "students")
BLUE = (206, 222, 244)


def tabmwp(studio: Studio, rng: Rng) -> list[Item]:
    """Every other row asks for the worked solution too."""
    items = []
    for i in range(studio.rows):
        goods = sample(rng, GOODS, int(rng.integers(4, 7)))
        cents = [int(value) for value in rng.integers(60, 990, len(goods))]
        rows = tuple(
            (name, f"${value / 100:.2f}") for name, value in zip(goods, cents, strict=True)
        )
        look = Look(16, lines="rows", stripe=(238, 244, 250) if i % 2 else None)
        image = draw_table(Table("", ("Item", "Price"), rows), look)
        who, (a, b) = person(rng).split()[0], sample(rng, range(len(goods)), 2)
        question = (
            f"How much money does {who} need to buy one {goods[a]} and one {goods[b]}? (Unit: $)"
        )
        total = f"{(cents[a] + cents[b]) / 100:.2f}"
        turns: list[Turn] = [(brief(rng, question), f"{total}.")]
        if i % 2:
            steps = (
                f"Add the price of a {goods[a]} and the price of a {goods[b]}:\n"
                f"${cents[a] / 100:.2f} + ${cents[b] / 100:.2f} = ${total}\n"
                f"{who} needs ${total}.\nThe answer is {total}."
            )
            turns.append((f"{question}\nShow the steps.", steps))
        items.append(Item([png(image)], turns))
    return items


def _statement(rng: Rng) -> tuple[Table, list[list[int]], str]:
    firm = pick(rng, FIRMS)
    year = int(rng.integers(2009, 2019))
    lines = sample(
        rng,
        ("Product sales", "Services", "Licences", "Maintenance", "Rental income"),
        int(rng.integers(2, 6)),
    )
    values = [[int(v) for v in rng.integers(800, 9900, 2)] for _ in lines]
    total = [sum(column) for column in zip(*values, strict=True)]
    rows = [(name, *(f"{v:,}" for v in pair)) for name, pair in zip(lines, values, strict=True)]
    rows.append(("Total revenue", *(f"{v:,}" for v in total)))
    header = (f"{firm}, in thousands", str(year), str(year - 1))
    return Table("", header, tuple(rows)), [*values, total], firm


def tat_qa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        table, values, firm = _statement(rng)
        change = values[-1][0] - values[-1][1]
        notes = (
            f"Total revenue of {firm} {'rose' if change > 0 else 'fell'} by {abs(change):,} "
            f"thousand dollars. The change is due to {table.rows[0][0].lower()}. "
            "Figures are audited."
        )
        image = draw_table(table, Look(15, lines="none", total=True, notes=notes))
        turns: list[Turn] = [
            (
                brief(rng, f"What was the total revenue in {table.header[1]}?"),
                f"{table.rows[-1][1]}.",
            ),
            (
                brief(rng, "What was the change in total revenue between the two years?"),
                f"{change:,}.",
            ),
            (brief(rng, "What is the change in revenue due to?"), f"{table.rows[0][0]}."),
        ]
        items.append(Item([png(image)], turns))
    return items


def finqa(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for _ in range(studio.rows):
        table, values, firm = _statement(rng)
        image = draw_table(table, Look(14, head=(228, 228, 228), lines="rows", total=True))
        now, before = values[-1]
        growth = f"{(now - before) / before * 100:.1f}"
        first, last = table.header[2], table.header[1]
        question = f"By what percentage did the revenue of {firm} grow from {first} to {last}?"
        items.append(Item([png(image)], [(brief(rng, question), f"{growth}.")]))
    return items


def _grouped(rng: Rng) -> Table:
    groups = (("Urban", 2), ("Rural", 2))
    years = tuple(str(y) for y in (2011, 2016))
    rows = tuple(
        (town, *(f"{float(v):.1f}" for v in rng.uniform(2, 60, 4)))
        for town in sample(rng, TOWNS, 5)
    )
    title = f"Share of {pick(rng, WHO)} by town (percent)"
    return Table(title, ("Town", *years, *years), rows, groups)


def _as_dict(table: Table) -> str:
    """The table as the published sets have it: a Python dictionary, printed."""
    return str({"header": list(table.header), "rows": [list(row) for row in table.rows]})


PARSE = (
    "Turn this table into structured data.",
    "Write out the table as a dictionary.",
    "Parse the whole table.",
)


def hitab(studio: Studio, rng: Rng) -> list[Item]:
    items = []
    for i in range(studio.rows):
        table = _grouped(rng)
        row, column = int(rng.integers(5)), int(rng.integers(1, 5))
        group = "urban" if column < 3 else "rural"
        question = f"What was the {group} share in {table.rows[row][0]} in {table.header[column]}?"
        turns: list[Turn] = [(brief(rng, question), f"{table.rows[row][column]}.")]
        if i % 3 == 0:
            turns.append((pick(rng, PARSE), _as_dict(table)))
        items.append(Item([png(draw_table(table, Look(15, head=BLUE)))], turns))
    return items


def multihiertt(studio: Studio, rng: Rng) -> list[Item]:
    """One to three pictures a row."""
    items = []
    for i in range(studio.rows):
        made = [_statement(rng) for _ in range(1 + i % 3)]
        pictures = [
            png(
                draw_table(
                    table,
                    Look(14, lines="rows", total=True, notes=f"Table {n + 1} of {len(made)}."),
                )
            )
            for n, (table, _, _) in enumerate(made)
        ]
        total = sum(values[-1][0] for _, values, _ in made)
        question = f"What is the latest total revenue of all {len(made)} tables together?"
        items.append(Item(pictures, [(brief(rng, question), f"{total:,}.")]))
    return items


def _league(rng: Rng) -> Table:
    kind = int(rng.integers(3))
    if kind == 0:
        rows = tuple(
            (str(i + 1), name, str(int(rng.integers(8, 30))), str(int(rng.integers(20, 90))))
            for i, name in enumerate(sample(rng, TOWNS, 6))
        )
        return Table("League table", ("Rank", "Team", "Wins", "Points"), rows)
    if kind == 1:
        years = sorted(int(y) for y in rng.choice(range(1961, 2015), 6, replace=False))
        rows = tuple(
            (str(y), pick(rng, LAST), pick(rng, TOWNS), f"{int(rng.integers(90, 240))}")
            for y in years
        )
        return Table("Marathon winners", ("Year", "Winner", "City", "Time (min)"), rows)
    rows = tuple(
        (name, pick(rng, TOWNS), amount(rng, 1200, 99000), str(int(rng.integers(1850, 1990))))
        for name in sample(rng, FIRMS, 6)
    )
    return Table("Companies", ("Company", "Seat", "Employees", "Founded"), rows)


def _wiki(studio: Studio, rng: Rng, look: Look, turns_of: int, dump_every: int) -> list[Item]:
    items = []
    for i in range(studio.rows):
        table = _league(rng)
        turns: list[Turn] = []
        for row in sample(rng, table.rows, turns_of):
            column = 3 if table.header[0] != "Rank" else int(rng.integers(2, 4))
            key = 1 if table.header[0] == "Rank" else 0
            what, which = table.header[column].lower(), f"{table.header[key].lower()} {row[key]}"
            turns.append(
                (brief(rng, f"Which value stands under {what} for {which}?"), f"{row[column]}.")
            )
        if i % dump_every == 0:
            turns.append((pick(rng, PARSE), _as_dict(table)))
        items.append(Item([png(draw_table(table, look))], turns))
    return items


def robut_sqa(studio: Studio, rng: Rng) -> list[Item]:
    return _wiki(studio, rng, Look(15, head=(236, 236, 236)), 3, 4)


def robut_wikisql(studio: Studio, rng: Rng) -> list[Item]:
    return _wiki(studio, rng, Look(14, head=(214, 230, 214), stripe=(245, 250, 245)), 1, 3)


def robut_wtq(studio: Studio, rng: Rng) -> list[Item]:
    return _wiki(studio, rng, Look(16, head=(70, 90, 120), head_text=(255, 255, 255)), 1, 5)
