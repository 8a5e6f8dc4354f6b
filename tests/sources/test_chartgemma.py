"""ChartGemma: plain bytes of images, tags that become questions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from cauldron.sources.chartgemma import (
    CAPTION_PROMPTS,
    PROGRAM,
    STATEMENT_PROMPTS,
    STEPS,
    TABLE_PROMPTS,
    VERDICT,
    question_for,
)
from cauldron.sources.values.prompts import draw

from tests.sources.reader_base import (
    IMAGE,
    Outcome,
    ReaderTests,
    bad,
    kept,
    outcome_of,
    picture,
    write_parquet,
)

SCHEMA = pa.schema([("image", pa.binary()), ("input", pa.string()), ("output", pa.string())])
TABLE = "| Year | Sales |\n|---|---|\n| 2020 | 7 |"


def row(name: str | None, asked: str | None, answer: str | None) -> dict[str, Any]:
    return {"image": picture(name) if name else None, "input": asked, "output": answer}


class TestChartGemma(ReaderTests):
    name = "chartgemma"
    published: ClassVar = [f"data/train-0000{i}-of-00002.parquet" for i in range(2)]

    def publish(self, folder: Path, root: Path) -> None:
        shards = [
            [
                row("a", "program of thought: What is the mean?", "print(7)"),
                row("b", "Chart to Markdown", TABLE),
                row("c", "What rose fastest?", "Sales."),
            ],
            [
                row(None, "What rose fastest?", "Sales."),
                row("e", None, "Sales."),
                row("f", "What fell?", None),
                row("g", "What fell?", "Costs.") | {"image": b""},
            ],
        ]
        for path, rows in zip(self.published, shards, strict=True):
            write_parquet(folder / path, rows, SCHEMA)

    def expected(self) -> list[Outcome]:
        return [
            kept([picture("a")], [(f"What is the mean?\n{PROGRAM}", "print(7)")]),
            kept([picture("b")], [(draw(TABLE_PROMPTS, TABLE), TABLE)]),
            kept([picture("c")], [("What rose fastest?", "Sales.")]),
            bad("missing_image"),
            kept([picture("e")], [(None, "Sales.")]),
            kept([picture("f")], [("What fell?", None)]),
            bad("missing_image"),
        ]

    def test_a_column_of_structs_is_read_too(self, root: Path) -> None:
        schema = SCHEMA.set(0, pa.field("image", IMAGE))
        rows = [row("a", "What fell?", "Costs.")]
        rows[0]["image"] = {"bytes": picture("a"), "path": None}
        write_parquet(root / self.source.repo / self.published[0], rows, schema)
        assert outcome_of(self.read(root)[0]) == kept([picture("a")], [("What fell?", "Costs.")])

    def test_values_of_another_type_are_bad_rows_or_numbers(self, root: Path) -> None:
        schema = SCHEMA.set(2, pa.field("output", pa.int64()))
        rows = [{"image": picture("a"), "input": "How many?", "output": 7}]
        path = root / self.source.repo / self.published[0]
        write_parquet(path, rows, schema)
        assert outcome_of(self.read(root)[0]) == kept([picture("a")], [("How many?", "7")])
        schema = SCHEMA.set(2, pa.field("output", pa.bool_()))
        write_parquet(path, [rows[0] | {"output": True}], schema)
        assert outcome_of(self.read(root)[0]) == bad("bad_row")


@pytest.mark.parametrize(
    ("asked", "question"),
    [
        ("Program of Thought:What is 1 + 1?", f"What is 1 + 1?\n{PROGRAM}"),
        ("What is the sum? Let's think step by step", f"What is the sum?\n{STEPS}"),
        ("What is the sum?\nLets think step by step. ", f"What is the sum?\n{STEPS}"),
        ("Let\u2019s think step by step", STEPS),
        ("What did the program of thought: say?", "What did the program of thought: say?"),
        ("Chart to Markdown or not?", "Chart to Markdown or not?"),
        ("", ""),
    ],
)
def test_tags_become_questions(asked: str, question: str) -> None:
    assert question_for(asked, "7") == question


def test_a_statement_is_to_be_judged() -> None:
    first, statement, last = question_for("Fact Checking: Sales rose.", "Supports").split("\n")
    assert first in STATEMENT_PROMPTS
    assert (statement, last) == ("Sales rose.", VERDICT)


@pytest.mark.parametrize(
    ("tag", "prompts"),
    [
        ("Chart to Markdown", TABLE_PROMPTS),
        ("Generate a caption for the chart", CAPTION_PROMPTS),
        ("generate a caption for this chart. ", CAPTION_PROMPTS),
    ],
)
def test_a_tag_without_a_question_draws_all_wordings(tag: str, prompts: tuple[str, ...]) -> None:
    drawn = {question_for(tag, f"answer {number}") for number in range(200)}
    assert drawn == set(prompts)
