"""CORD v2: the parsed receipt is the answer, whatever its shape."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from cauldron.sources.base import BadRow, Row
from cauldron.sources.catalog import registry
from cauldron.sources.cord_v2 import PROMPTS
from cauldron.sources.repos.roots import open_root
from cauldron.sources.values.prompts import draw

from cauldron.core.errors import UsageError
from tests.real import REAL
from tests.sources.reader_base import (
    HASHES,
    IMAGE,
    Outcome,
    ReaderTests,
    bad,
    kept,
    outcome_of,
    picture,
    read_all,
    write_parquet,
)

SCHEMA = pa.schema([("image", IMAGE), ("ground_truth", pa.string())])

ITEMS = {
    "menu": [
        {"nm": "NASI GORENG", "cnt": "2 x", "price": "40,000"},
        {"nm": ["ES TEH", "MANIS"], "price": "8.000", "sub": {"nm": "Gula"}},
    ],
    "sub_total": {"subtotal_price": "48,000", "tax_price": "2,950"},
    "total": {"total_price": "48,000", "cashprice": "50,000"},
}
ONE_ITEM = {"menu": {"nm": "KOPI", "price": "12.000"}, "total": {"total_price": "12000"}}
NO_MENU = {"total": {"total_price": "9,000"}}
ACCENTS = {"menu": [{"nm": "CAFÉ ☕"}]}


def truth(number: int, **more: Any) -> str:
    meta = {
        "version": "2.0.0",
        "split": "train",
        "image_id": number,
        "image_size": {"width": 24, "height": 16},
    }
    rest = {"valid_line": [], "roi": {}, "repeating_symbol": [], "dontcare": []}
    return json.dumps({**more, "meta": meta, **rest})


def receipt(name: str, ground_truth: str | None) -> dict[str, Any]:
    return {"image": {"bytes": picture(name), "path": None}, "ground_truth": ground_truth}


def answered(name: str, parsed: Any) -> Outcome:
    answer = json.dumps(parsed, indent=4)
    return kept([picture(name)], [(draw(PROMPTS, answer), answer)])


class TestCordV2(ReaderTests):
    name = "cord_v2"
    published: ClassVar = [
        f"data/train-00000-of-00002-{HASHES[0]}.parquet",
        f"data/train-00001-of-00002-{HASHES[1]}.parquet",
    ]

    def publish(self, folder: Path, root: Path) -> None:
        first = [
            receipt("a", truth(0, gt_parse=ITEMS)),
            receipt("b", truth(1, gt_parse=ONE_ITEM)),
            receipt("c", truth(2, gt_parse=NO_MENU)),
            receipt("d", truth(3, gt_parse=ACCENTS)),
            receipt("e", truth(4, gt_parses=[ITEMS, NO_MENU])),
        ]
        second = [
            receipt("f", '{"gt_parse": {'),
            receipt("g", truth(6)),
            receipt("h", None),
            receipt("i", "[1]"),
            {"image": None, "ground_truth": truth(9, gt_parse=NO_MENU)},
            {"image": {"bytes": None, "path": None}, "ground_truth": truth(10, gt_parse=NO_MENU)},
            receipt("j", truth(11, gt_parse="text")),
            receipt("k", "[" * 100_000),
        ]
        write_parquet(folder / self.published[0], first, SCHEMA)
        write_parquet(folder / self.published[1], second, SCHEMA)
        for split in ("validation", "test"):
            held_out = [receipt(split, truth(0, gt_parse=NO_MENU))]
            write_parquet(
                folder / f"data/{split}-00000-of-00001-{HASHES[2]}.parquet", held_out, SCHEMA
            )
        (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
        (folder / "dataset_infos.json").write_text("{}")

    def expected(self) -> list[Outcome]:
        parsed = [ITEMS, ONE_ITEM, NO_MENU, ACCENTS, [ITEMS, NO_MENU]]
        reasons = ["bad_json", "bad_row", "bad_row", "bad_row", "bad_row", "missing_image"]
        return [
            *(answered(name, value) for name, value in zip("abcde", parsed, strict=True)),
            *(bad(reason) for reason in [*reasons, "bad_row", "bad_json"]),
        ]

    def test_answers_are_json_with_an_indent_of_four(self, root: Path) -> None:
        rows = [row for row in self.read(root) if isinstance(row, Row)]
        assert json.loads(rows[0].turns[0].assistant or "") == ITEMS
        assert (rows[3].turns[0].assistant or "").splitlines()[3] == (
            '            "nm": "CAF\\u00c9 \\u2615"'
        )
        assert [row.origin.key for row in rows] == [f"train/{i}" for i in range(5)]

    def test_other_splits_are_read_when_asked_for(self, root: Path) -> None:
        both = {"splits": ["validation", "test"]}
        found = [outcome_of(row) for row in read_all(root, self.source, both)]
        assert found == [answered("validation", NO_MENU), answered("test", NO_MENU)]

    def test_a_split_that_is_not_there_is_told(self, root: Path) -> None:
        found = read_all(root, self.source, {"splits": ["test", "evaluation"]})
        assert [outcome_of(row).reason for row in found] == ["", "missing_shard"]

    @pytest.mark.parametrize("splits", [[], 3, ["../x"], [1]])
    def test_splits_must_be_names(self, root: Path, splits: Any) -> None:
        repo = open_root(str(root)).repo(self.source.repo)
        with pytest.raises(UsageError, match="split"):
            self.source.files(repo, {"splits": splits})


def test_prompts_are_drawn_evenly_and_always_the_same() -> None:
    assert len(set(PROMPTS)) == 19
    drawn = Counter(draw(PROMPTS, f"key {i}") for i in range(1900))
    assert set(drawn) == set(PROMPTS)
    assert max(drawn.values()) < 150
    assert draw(PROMPTS, "key 0") == draw(PROMPTS, "key 0")


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL}")
def test_real_receipts() -> None:
    found = read_all(REAL / "hub", registry()["cord_v2"], {})
    assert len(found) == 80
    assert not any(isinstance(row, BadRow) for row in found)
    assert all(json.loads(row.turns[0].assistant or "") for row in found if isinstance(row, Row))
