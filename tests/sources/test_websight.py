"""WebSight: two versions, screenshots with their HTML."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from cauldron.core.errors import UsageError
from tests.sources.reader_base import (
    HASHES,
    IMAGE,
    Outcome,
    ReaderTests,
    bad,
    outcome_of,
    picture,
    told,
    write_parquet,
)

V1 = pa.schema([("image", IMAGE), ("text", pa.string())])
V2 = V1.append(pa.field("llm_generated_idea", pa.string()))
HTML = "<html>\n<style>body { color: #333 }</style>\n<body><h1>Bakery</h1></body></html>"


def row(name: str | None, html: str | None = HTML, **values: Any) -> dict[str, Any]:
    image = None if name is None else {"bytes": picture(name, "JPEG"), "path": None}
    return {"image": image, "text": html, **values}


class TestWebSight(ReaderTests):
    name = "websight"
    version: ClassVar = "v0.2"
    published: ClassVar = [
        f"v0.2/train-00000-of-00002-{HASHES[0]}.parquet",
        f"v0.2/train-00001-of-00002-{HASHES[1]}.parquet",
    ]

    def publish(self, folder: Path, root: Path) -> None:
        idea = "A page of a bakery."
        shards = [
            [row("a", llm_generated_idea=idea), row("b", None), row("c", " \n")],
            [row(None), row("e"), row("f") | {"image": {"bytes": b"", "path": None}}],
        ]
        for path, rows in zip(self.published, shards, strict=True):
            write_parquet(folder / path, rows, V2 if self.version == "v0.2" else V1)
        other = "data" if self.version == "v0.2" else "v0.2"
        path = folder / other / f"train-00000-of-00001-{HASHES[2]}.parquet"
        write_parquet(path, [row("other version")], V1)

    def expected(self) -> list[Outcome]:
        return [
            told([None, HTML], [picture("a", "JPEG")]),
            bad("empty_document"),
            bad("empty_document"),
            bad("bad_row"),
            told([None, HTML], [picture("e", "JPEG")]),
            bad("missing_image"),
        ]

    def test_very_tall_screenshots_come_as_published(self, root: Path) -> None:
        tall = picture("tall", "JPEG", size=(16, 4000))
        rows = [row("a") | {"image": {"bytes": tall, "path": None}}]
        write_parquet(root / self.source.repo / self.published[0], rows, V1)
        assert outcome_of(self.read(root)[0]) == told([None, HTML], [tall])

    def test_a_file_without_html_is_told(self, root: Path) -> None:
        bare = pa.schema([("image", IMAGE)])
        path = root / self.source.repo / self.published[0]
        write_parquet(path, [{"image": row("a")["image"]}] * 3, bare)
        assert outcome_of(self.read(root)[0]) == bad("wrong_columns", 3)

    def test_an_unknown_version_is_told(self) -> None:
        with pytest.raises(UsageError, match=r"v0\.1 or v0\.2"):
            self.source.settled({"version": "v0.3"})


class TestTheFirstVersion(TestWebSight):
    version: ClassVar = "v0.1"
    options: ClassVar[dict[str, Any]] = {"version": "v0.1"}
    published: ClassVar = [
        f"data/train-00000-of-00002-{HASHES[0]}.parquet",
        f"data/train-00001-of-00002-{HASHES[1]}.parquet",
    ]
