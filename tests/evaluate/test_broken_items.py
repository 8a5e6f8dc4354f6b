"""Each of the eight benchmarks with pictures that are missing or broken, empty questions and
answers, and other languages: a reason each, and the rest is scored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cauldron.cli import main
from cauldron.evaluate.benchmarks.catalog import BENCHMARKS
from cauldron.evaluate.items.read import Item, Refused, read_items
from tests.doubles.chat import ChatServer, Reply, text_of
from tests.evaluate.published import MISSING, NO_PICTURE, PUBLISHERS, TRUNCATED

# Where a table's first picture stands, where it is not the column `image`.
PICTURES = {"mmmu": "image_1", "mathvista": "decoded_image"}
LANGUAGES = ("Что на рисунке?", "图中是什么", "ما هذا؟", "¿Qué es?", "\u200bWas ist das? 🐈")
REASONS = ["image_truncated", "image_unreadable", "no_images", "empty_question", "empty_answer"]


def changes(benchmark: str, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A broken row for each reason, then a good one for each language, last the row itself."""
    picture = PICTURES.get(benchmark, "image")
    answers = "answers" if "answers" in row else "answer"
    nothing = [] if isinstance(row[answers], list) else ""
    broken = [
        {picture: TRUNCATED},
        {picture: NO_PICTURE},
        {picture: MISSING} | ({"image": "images/none.jpg"} if benchmark == "mathvista" else {}),
        {"question": " \n"},
        {answers: nothing},
    ]
    return [*broken, *({"question": text} for text in LANGUAGES), {}]


def publish(benchmark: str, root: Path) -> None:
    """The benchmark with changed copies of its last row that can be asked."""
    PUBLISHERS[benchmark](root)
    good = [item for item in read_items(benchmark, str(root)) if isinstance(item, Item)][-1]
    [path] = root.rglob(good.origin.file)
    table = pq.read_table(path)
    row = table.to_pylist()[good.origin.row]
    rows = [row | change for change in changes(benchmark, row)]
    for number, copy in enumerate(rows):
        # Every copy is an item of its own, and asks about one picture.
        for key in ("id", "pid", "questionId"):
            if key in copy:
                copy[key] = f"validation_Math_{number}"
        for key in ("index", "question_id"):
            if key in copy:
                copy[key] = number
    for other in root.rglob("*.parquet"):
        if other != path:
            other.unlink()
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_broken_item_has_its_reason_and_the_others_are_read(
    benchmark: str, tmp_path: Path
) -> None:
    publish(benchmark, tmp_path)
    found = list(read_items(benchmark, str(tmp_path)))
    assert [item.reason for item in found if isinstance(item, Refused)] == REASONS
    assert all(item.message for item in found if isinstance(item, Refused))
    asked = [item.question for item in found if isinstance(item, Item)]
    assert asked[:-1] == [text.strip() for text in LANGUAGES]


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_the_rest_is_scored_and_the_reasons_are_printed(benchmark: str, tmp_path: Path) -> None:
    root, folder = tmp_path / "root", tmp_path / "e"
    publish(benchmark, root)
    texts = iter(["", "Ответ: да", "答案", "😀", "\x00", "Answer: A"])

    def rule(number: int, body: dict[str, Any]) -> Reply:
        assert text_of(body)
        return Reply(next(texts))

    with ChatServer(rule) as server:
        given = ["eval", server.url, "--model-name", "m", "--benchmark", benchmark, "--batch", "1"]
        places = ["--root", str(root), "--output", str(folder)]
        found = CliRunner().invoke(main, [*given, *places])
    assert found.exit_code == 0, found.output
    result = json.loads((folder / "manifest.json").read_text())["results"][benchmark]
    assert result["refused"] == dict.fromkeys(sorted(REASONS), 1)
    assert result["overall"]["size"] == len(LANGUAGES) + 1
    said = ", ".join(f"1 {reason}" for reason in sorted(REASONS))
    assert f"{BENCHMARKS[benchmark].title}: items not scored: {said}." in found.output
