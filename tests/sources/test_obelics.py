"""OBELICS: documents of texts and images by URL; several of them may stand in one row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from cauldron.sources import base
from cauldron.sources.base import BadRow, Row
from cauldron.sources.obelics import END

from cauldron.core.errors import UsageError
from tests.sources.reader_base import (
    Outcome,
    ReaderTests,
    bad,
    outcome_of,
    read_all,
    told,
    write_parquet,
)

SCHEMA = pa.schema(
    [
        ("images", pa.list_(pa.string())),
        ("metadata", pa.string()),
        ("general_metadata", pa.string()),
        ("texts", pa.list_(pa.string())),
    ]
)
WEB = "http://images.example/"
PAGE = "http://pages.example/"
A, B, C = (f"{WEB}{name}.jpg" for name in "abc")


def page(*content: Any, name: str = "page") -> dict[str, Any]:
    """A published row: URLs begin with a scheme, other strings are texts."""
    is_url = [isinstance(item, str) and item.startswith("http") for item in content]
    return {
        "images": [item if url else None for item, url in zip(content, is_url, strict=True)],
        "texts": [None if url else item for item, url in zip(content, is_url, strict=True)],
        "metadata": json.dumps([{"src": item} if url else None for item, url in
                                zip(content, is_url, strict=True)]),
        "general_metadata": json.dumps({"url": f"{PAGE}{name}", "warc_filename": "x"}),
    }  # fmt: skip


class TestObelics(ReaderTests):
    name = "obelics"
    folder = "opt_out_docs_removed_2023_07_12"
    published: ClassVar = [
        f"opt_out_docs_removed_2023_07_12/train-0000{i}-of-00002-2ce340398c113b79.parquet"
        for i in range(2)
    ]

    def publish(self, folder: Path, root: Path) -> None:
        shards = [
            [
                page(A, "One.\n\nTwo.", B, C, "Three."),
                page("One.", A, f"The end.\n\n{END}\n\nAnother begins.", B, f"{END}", "Bare."),
                page("No image.", name="bare"),
            ],
            [
                page(A, name="no text"),
                page(A, "", None, "The rest."),
                {**page(A, "Text."), "texts": [None]},
                {**page(A, "Text."), "images": None},
                {**page(A, "Text."), "images": [A, B]},
                page("ftp is no scheme here", A, "http://[bad", "Still read."),
            ],
        ]
        for path, rows in zip(self.published, shards, strict=True):
            write_parquet(folder / path, rows, SCHEMA)

    def expected(self) -> list[Outcome]:
        mixed = told([*["ftp is no scheme here"], None, None, "Still read."], [b""], [A])
        return [
            told([None, "One.\n\nTwo.", None, None, "Three."], urls=[A, B, C]),
            told(["One.", None, "The end."], urls=[A]),
            told(["Another begins.", None], urls=[B]),
            bad("empty_document"),
            bad("empty_document"),
            bad("empty_document"),
            told([None, "The rest."], urls=[A]),
            *[bad("bad_row")] * 3,
            mixed,
        ]

    def test_origins_are_unique(self, root: Path) -> None:
        origins = [row.origin for row in self.read(root)]
        assert len({origin.model_dump_json() for origin in origins}) == len(origins)
        keys = [origin.key for origin in origins[1:4]]
        assert keys == [f"{PAGE}page", *(f"{PAGE}page#document-{n}" for n in (2, 3))]

    def test_a_small_limit_is_read_in_one_piece(self, root: Path) -> None:
        assert len(self.plan(root, limit=10)) == 1
        assert len(self.plan(root)) == 2

    def test_a_large_limit_on_a_small_source_reads_all_its_documents(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(base, "IN_TURN_ROWS", 2)
        everything = self.read(root)
        assert len(everything) == 11  # of nine published rows
        assert self.read(root, 1_000) == everything
        # Ten are divided 3 to 6: three of the five documents of the first file, six of the second.
        assert sum(piece.limit for piece in self.plan(root, 10)) == 10
        assert len(self.read(root, 10)) == 9

    @pytest.mark.parametrize("limit", [3, 4, 7, 9])
    def test_of_a_large_limit_each_piece_gives_its_first_documents(
        self, root: Path, limit: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(base, "IN_TURN_ROWS", 2)
        pieces = self.plan(root, limit)
        counts = [min(limit, 3), min(max(limit - 3, 0), 6)]
        assert [piece.limit for piece in pieces] == [count for count in counts if count]
        everything = self.read(root)
        shards = [[row for row in everything if row.origin.file == path] for path in self.published]
        expected = [row for rows, count in zip(shards, counts, strict=True) for row in rows[:count]]
        assert self.read(root, limit) == expected

    def test_a_url_that_is_none_costs_its_image_alone(self, root: Path) -> None:
        last = self.read(root)[-1]
        assert isinstance(last, Row)
        assert [image.problem is not None for image in last.images] == [False, True]
        assert last.images[1].problem[0] == "bad_url"  # type: ignore[index]

    def test_the_whole_set_is_another_folder(self, root: Path) -> None:
        path = root / self.source.repo / "data/train-00000-of-00001-2ce340398c113b79.parquet"
        write_parquet(path, [page(A, "All.")], SCHEMA)
        found = read_all(root, self.source, {"config": "default"})
        assert [outcome_of(row) for row in found] == [told([None, "All."], urls=[A])]

    @pytest.mark.parametrize("general", [None, "[]", "{", '{"url": 7}', "null"])
    def test_a_row_whose_page_is_unknown_has_no_key(self, root: Path, general: Any) -> None:
        rows = [{**page(A, "Text."), "general_metadata": general}]
        write_parquet(root / self.source.repo / self.published[0], rows, SCHEMA)
        assert self.read(root)[0].origin.key == ""

    @pytest.mark.parametrize("kind", [pa.null(), pa.list_(pa.null()), pa.list_(pa.int64())])
    def test_columns_of_another_type_are_bad_rows(self, root: Path, kind: pa.DataType) -> None:
        schema = pa.schema([("images", kind), ("texts", pa.list_(pa.string()))])
        images = {pa.null(): None, pa.list_(pa.null()): [None], pa.list_(pa.int64()): [7]}[kind]
        rows = [{"images": images, "texts": ["Text."]}]
        write_parquet(root / self.source.repo / self.published[0], rows, schema)
        first = self.read(root)[0]
        assert isinstance(first, BadRow)
        assert first.reason == ("empty_document" if images == [None] else "bad_row")

    def test_an_unknown_config_is_told(self) -> None:
        with pytest.raises(UsageError, match="opt_out_docs_removed_2023_07_12 or default"):
            self.source.settled({"config": "all"})
