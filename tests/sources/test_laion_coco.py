"""LAION-COCO: images by URL, captions from one of several columns of changing types."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from cauldron.sources.base import BadRow, Row
from cauldron.sources.catalog import registry
from cauldron.sources.values.rows import RowProblem
from cauldron.sources.values.urls import image_at

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
        ("URL", pa.string()),
        ("TEXT", pa.string()),
        ("top_caption", pa.string()),
        ("all_captions", pa.list_(pa.string())),
        ("all_similarities", pa.list_(pa.float64())),
        ("WIDTH", pa.int64()),
        ("HEIGHT", pa.float64()),
        ("similarity", pa.null()),
        ("punsafe", pa.float64()),
    ]
)
WEB = "http://images.example/"


def row(url: str | None, caption: str | None = "a red boat", **values: Any) -> dict[str, Any]:
    return {
        "URL": url,
        "TEXT": "Boat for sale",
        "top_caption": caption,
        "all_captions": [caption, "a boat at sea"],
        "all_similarities": [0.3, None],
        "WIDTH": 640,
        "HEIGHT": None,
        **values,
    }


class TestLaionCoco(ReaderTests):
    name = "laion_coco"
    published: ClassVar = [
        f"part-0000{i}-2256f782-126f-4dc6-b9c6-e6757637749d-c000.snappy.parquet" for i in range(2)
    ]

    def publish(self, folder: Path, root: Path) -> None:
        shards = [
            [row(f"{WEB}a.jpg"), row(None), row(""), row("ftp://images.example/b.jpg")],
            [row(f"{WEB}c.jpg", None), row(f" {WEB}d.jpg\n"), row(f"{WEB}e.jpg", " ")],
        ]
        for path, rows in zip(self.published, shards, strict=True):
            write_parquet(folder / path, rows, SCHEMA)

    def expected(self) -> list[Outcome]:
        return [
            told([None, "a red boat"], urls=[f"{WEB}a.jpg"]),
            *[bad("bad_url")] * 3,
            bad("empty_document"),
            told([None, "a red boat"], urls=[f"{WEB}d.jpg"]),
            bad("empty_document"),
        ]

    @pytest.mark.parametrize(
        ("caption", "texts"),
        [
            ("TEXT", {"Boat for sale"}),
            ("all_captions", {"a red boat", "a boat at sea"}),
        ],
    )
    def test_a_recipe_chooses_the_caption(self, root: Path, caption: str, texts: set[str]) -> None:
        rows = [row(f"{WEB}{number}.jpg") for number in range(40)]
        write_parquet(root / self.source.repo / self.published[0], rows, SCHEMA)
        options = {"caption": caption}
        found = [outcome_of(item).document for item in read_all(root, self.source, options)[:40]]
        assert {text for document in found for text in (document or ())[1:]} == texts
        assert found == [
            outcome_of(item).document for item in read_all(root, self.source, options)[:40]
        ]

    def test_lists_of_captions_without_text_are_told(self, root: Path) -> None:
        lists: list[Any] = [None, [], [None], ["", " "], [None, "a boat"]]
        rows = [row(f"{WEB}a.jpg", all_captions=captions) for captions in lists]
        write_parquet(root / self.source.repo / self.published[0], rows, SCHEMA)
        found = read_all(root, self.source, {"caption": "all_captions"})
        reasons = [outcome_of(item).reason for item in found[:5]]
        assert reasons == ["empty_document"] * 4 + [""]

    @pytest.mark.parametrize("kind", [pa.null(), pa.int64(), pa.float64()])
    def test_captions_of_another_type_are_read_or_told(self, root: Path, kind: pa.DataType) -> None:
        schema = pa.schema([("URL", pa.string()), ("top_caption", kind)])
        value = None if kind == pa.null() else 7
        rows = [{"URL": f"{WEB}a.jpg", "top_caption": value}]
        write_parquet(root / self.source.repo / self.published[0], rows, schema)
        first = outcome_of(self.read(root)[0])
        assert first.reason == ("empty_document" if value is None else "")
        assert first.document in (None, (None, "7"), (None, "7.0"))

    def test_a_file_without_its_columns_costs_its_rows(self, root: Path) -> None:
        schema = pa.schema([("URL", pa.string()), ("WIDTH", pa.null())])
        write_parquet(root / self.source.repo / self.published[0], [{"URL": f"{WEB}a.jpg"}], schema)
        found = [outcome_of(item).reason for item in self.read(root)]
        assert found == ["wrong_columns", "empty_document", "", "empty_document"]

    def test_other_captions_than_lists_are_bad_rows(self, root: Path) -> None:
        schema = pa.schema([("URL", pa.string()), ("all_captions", pa.string())])
        rows = [{"URL": f"{WEB}a.jpg", "all_captions": "a boat"}]
        write_parquet(root / self.source.repo / self.published[0], rows, schema)
        assert outcome_of(read_all(root, self.source, {"caption": "all_captions"})[0]).reason == (
            "bad_row"
        )

    def test_an_unknown_caption_is_told(self) -> None:
        with pytest.raises(UsageError, match="top_caption, all_captions, TEXT"):
            self.source.settled({"caption": "alt"})


class TestItsSuccessor(TestLaionCoco):
    """The columns of Re-LAION-COCO, by the names that its readers use."""

    name = "relaion_coco"

    def test_its_own_spelling_of_the_columns_is_read(self, root: Path) -> None:
        schema = pa.schema([("url", pa.string()), ("caption", pa.string())])
        rows = [{"url": f"{WEB}a.jpg", "caption": "a red boat"}]
        write_parquet(root / self.source.repo / self.published[0], rows, schema)
        expected = told([None, "a red boat"], urls=[f"{WEB}a.jpg"])
        assert outcome_of(self.read(root)[0]) == expected


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "   ",
        17,
        b"http://images.example/a.jpg",
        "images.example/a.jpg",
        "//images.example/a.jpg",
        "file:///etc/passwd",
        "data:image/png;base64,iVBORw0KGgo=",
        "javascript:alert(1)",
        "http://",
        "http:///a.jpg",
        "http://images.example:port/a.jpg",
        "http://[::1/a.jpg",
        "http://images.example/a b.jpg",
        "http://images.example/a\r\nHost: x",
        "http://images.example/\ud800.jpg",
        "http://images.example/" + "a" * 8192,
    ],
)
def test_a_bad_url_is_told(url: Any) -> None:
    with pytest.raises(RowProblem) as caught:
        image_at(url)
    assert caught.value.reason == "bad_url"
    assert len(caught.value.message) < 300
    caught.value.message.encode()


def test_a_url_is_kept_as_published() -> None:
    url = "HTTPS://User@Images.Example:8443/Ä%20b.jpg?w=1&h=2#top"
    image = image_at(url, "AB" * 32)
    assert (image.data, image.url, image.sha256) == (b"", url, "ab" * 32)


@pytest.mark.parametrize("digest", [None, "", "ab", "zz" * 32, 7, b"ab" * 32])
def test_what_is_no_digest_counts_as_none(digest: Any) -> None:
    assert image_at("http://images.example/a.jpg", digest).sha256 is None


def test_both_names_share_everything_but_the_place() -> None:
    first, second = registry()["laion_coco"], registry()["relaion_coco"]
    assert type(first) is type(second)
    assert (first.repo, second.repo) == ("laion/laion-coco", "laion/relaion-coco")


def test_rows_say_where_they_stood(tmp_path: Path) -> None:
    source = registry()["laion_coco"]
    path = tmp_path / source.repo / "data/train-00000-of-00001.parquet"
    write_parquet(path, [row(f"{WEB}a.jpg"), row(None), row(f"{WEB}c.jpg")], SCHEMA)
    found = read_all(tmp_path, source, {})
    assert [type(item) for item in found] == [Row, BadRow, Row]
    places = [(item.origin.file, item.origin.row) for item in found]
    assert places == [("data/train-00000-of-00001.parquet", number) for number in range(3)]
