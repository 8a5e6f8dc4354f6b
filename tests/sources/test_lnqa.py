"""LNQA: an image and its pairs; shards without hashes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from tests.sources.reader_base import (
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

PAIR = pa.struct([("question", pa.string()), ("answer", pa.string())])
SCHEMA = pa.schema([("image", IMAGE), ("qa", pa.list_(PAIR))])


def row(name: str, pairs: Any) -> dict[str, Any]:
    return {"image": {"bytes": picture(name, "JPEG"), "path": None}, "qa": pairs}


def pair(question: str | None, answer: str | None) -> dict[str, Any]:
    return {"question": question, "answer": answer}


class TestLnqa(ReaderTests):
    name = "lnqa"
    published: ClassVar = [f"data/train-0000{i}-of-00003.parquet" for i in range(3)]

    def publish(self, folder: Path, root: Path) -> None:
        dog = [
            pair("What is the color of the dog?", "The dog is brown."),
            pair("Is there grass?", "Yes."),
        ]
        shards = [
            [row("a", dog), row("b", []), row("c", None)],
            [row("d", [pair("q", None), None]), {"image": None, "qa": dog}],
            [row("e", dog), {"image": {"bytes": None, "path": "x.jpg"}, "qa": dog}],
        ]
        for path, rows in zip(self.published, shards, strict=True):
            write_parquet(folder / path, rows, SCHEMA)
        held_out = folder / "data/validation-00000-of-00001.parquet"
        write_parquet(held_out, [row("held out", dog[:1])], SCHEMA)
        (folder / "lnqa.jsonl").write_text("{}\n")

    def expected(self) -> list[Outcome]:
        dog = [
            ("What is the color of the dog?", "The dog is brown."),
            ("Is there grass?", "Yes."),
        ]
        return [
            kept([picture("a", "JPEG")], dog),
            kept([picture("b", "JPEG")], []),
            kept([picture("c", "JPEG")], []),
            kept([picture("d", "JPEG")], [("q", None), (None, None)]),
            bad("bad_row"),
            kept([picture("e", "JPEG")], dog),
            bad("image_not_shipped"),
        ]

    def test_validation_is_read_when_asked_for(self, root: Path) -> None:
        found = read_all(root, self.source, {"splits": "validation"})
        assert [outcome_of(row).images for row in found] == [(picture("held out", "JPEG"),)]

    def test_a_column_of_bare_bytes_is_taken_for_images(self, root: Path) -> None:
        schema = pa.schema([("image", pa.binary()), ("qa", pa.list_(PAIR))])
        rows = [{"image": picture("a"), "qa": [pair("q", "a")]}]
        write_parquet(root / self.source.repo / self.published[0], rows, schema)
        assert outcome_of(self.read(root)[0]) == kept([picture("a")], [("q", "a")])

    def test_pairs_of_another_type_are_bad_rows(self, root: Path) -> None:
        schema = pa.schema([("image", IMAGE), ("qa", pa.list_(pa.string()))])
        rows = [{"image": {"bytes": picture("a"), "path": None}, "qa": ["q", "a"]}]
        write_parquet(root / self.source.repo / self.published[0], rows, schema)
        reasons = [outcome_of(row).reason for row in self.read(root)]
        assert reasons == ["bad_row", "", "bad_row", "", "image_not_shipped"]
