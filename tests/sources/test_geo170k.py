"""Geo170K: both splits, one conversation per image, figures out of a zip."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from cauldron.sources.base import BadRow, Row
from cauldron.sources.repos.roots import open_root
from cauldron.sources.values import images

from cauldron.core.errors import SourceUnavailable
from tests.sources.reader_base import (
    HASHES,
    Outcome,
    ReaderTests,
    bad,
    kept,
    outcome_of,
    picture,
    write_parquet,
)

MESSAGE = pa.struct([("from", pa.string()), ("value", pa.string())])
SCHEMA = pa.schema([("image", pa.string()), ("conversations", pa.list_(MESSAGE))])
ALIGNMENT = f"data/alignment-00000-of-00001-{HASHES[0]}.parquet"
TUNING = f"data/qa_tuning-00000-of-00001-{HASHES[1]}.parquet"


def row(image: str | None, *said: tuple[str, str | None]) -> dict[str, Any]:
    return {"image": image, "conversations": [{"from": f, "value": v} for f, v in said]}


def asks(image: str | None, question: str, answer: str) -> dict[str, Any]:
    return row(image, ("human", question), ("gpt", answer))


class TestGeo170k(ReaderTests):
    name = "geo170k"
    unordered = True
    published: ClassVar = [ALIGNMENT, TUNING, "images.zip"]

    def publish(self, folder: Path, root: Path) -> None:
        alignment = [
            asks("geo3k/0.png", "Render a summary.\n<image>", "A triangle."),
            asks("geoqa_plus/7.png", "<image>\nDescribe it.", "A circle."),
            asks("geo3k/0.png", "<image>\nWhat is drawn?", "Triangle ABC."),
            asks("geo3k/gone.png", "<image>\nq", "a"),
            asks(None, "q", "a"),
        ]
        tuning = [
            asks("geoqa_plus/7.png", "<image>\nFind x.\nChoices:\nA: 32°\nB: 68°", "Answer:A"),
            row("geo3k/0.png", ("human", "q"), ("human", "q again"), ("gpt", "a")),
            asks("geo3k/0.png", "<image>\nFind y.", "Answer:B"),
            asks("../../x", "<image>\nq", "a"),
            row("geo3k/0.png", ("gpt", "an answer first"), ("human", "q")),
            row("geo3k/0.png"),
            {"image": "geo3k/0.png", "conversations": None},
            row("test/1.png", ("human", "1"), ("gpt", "one"), ("human", "2"), ("gpt", None)),
        ]
        write_parquet(folder / ALIGNMENT, alignment, SCHEMA)
        write_parquet(folder / TUNING, tuning, SCHEMA)
        with zipfile.ZipFile(folder / "images.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("geo3k/0.png", "geoqa_plus/7.png", "test/1.png"):
                archive.writestr(f"images/{name}", picture(name))
            archive.writestr("../../x", b"never")
        for name in ("alignment.json", "qa_tuning.json"):
            (folder / name).write_text("[]")

    def expected(self) -> list[Outcome]:
        triangle = [
            ("Render a summary.\n<image>", "A triangle."),
            ("<image>\nWhat is drawn?", "Triangle ABC."),
            ("<image>\nFind y.", "Answer:B"),
        ]
        circle = [
            ("<image>\nDescribe it.", "A circle."),
            ("<image>\nFind x.\nChoices:\nA: 32°\nB: 68°", "Answer:A"),
        ]
        return [
            kept([picture("geo3k/0.png")], triangle, rows=3),
            kept([picture("geoqa_plus/7.png")], circle, rows=2),
            kept([picture("test/1.png")], [("1", "one"), ("2", None)]),
            bad("image_not_shipped"),
            bad("no_images"),
            bad("unsafe_member"),
            *[bad("bad_row")] * 4,
        ]

    def survivors(self, rows: list[Row | BadRow], victim: str) -> list[Row | BadRow]:
        if victim == "images.zip":
            return [
                r for r in rows if isinstance(r, BadRow) and r.reason in ("no_images", "bad_row")
            ]
        return [r for r in super().survivors(rows, victim) if r.rows == 1]

    def test_every_published_row_is_counted_once(self, root: Path) -> None:
        assert sum(r.rows for r in self.read(root)) == 13

    def test_a_merged_row_says_where_the_first_stood(self, root: Path) -> None:
        found = {r.origin.key: r.origin for r in self.read(root) if isinstance(r, Row)}
        origin = found["geoqa_plus/7.png"]
        assert (origin.file, origin.row_group, origin.row) == (ALIGNMENT, 0, 1)

    def test_an_image_is_whole_however_many_pieces_there_are(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cauldron.sources.base.PIECE_BYTES", 100)
        assert len(self.plan(root)) > 10
        found = sorted((outcome_of(r) for r in self.read(root)), key=repr)
        assert found == sorted(self.expected(), key=repr)

    def test_a_zip_that_breaks_off_is_told_with_each_image(self, root: Path) -> None:
        file = root / self.source.repo / "images.zip"
        file.write_bytes(file.read_bytes()[:100])
        found = self.read(root)
        broken = [r for r in found if isinstance(r, BadRow) and r.reason == "unreadable_file"]
        assert sum(r.rows for r in broken) == 8
        assert sum(r.rows for r in found) == 13

    def test_images_without_the_folder_are_found_too(self, root: Path) -> None:
        with zipfile.ZipFile(root / self.source.repo / "images.zip", "w") as archive:
            archive.writestr("test/1.png", b"figure")
        assert kept([b"figure"], [("1", "one"), ("2", None)]) in map(outcome_of, self.read(root))

    def test_an_image_that_unpacks_too_large_is_refused(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(images, "MAX_IMAGE_BYTES", 10)
        reasons = [outcome_of(r).reason for r in self.read(root)]
        assert reasons.count("member_too_large") == 3

    def test_a_missing_split_is_told(self, root: Path) -> None:
        (root / self.source.repo / ALIGNMENT).unlink()
        found = self.read(root)
        assert [r.reason for r in found if isinstance(r, BadRow)].count("missing_shard") == 1
        assert sum(r.rows for r in found) == 9

    def test_without_the_zip_the_source_is_unavailable(self, root: Path) -> None:
        (root / self.source.repo / "images.zip").unlink()
        with pytest.raises(SourceUnavailable, match=r"images\.zip"):
            self.source.files(open_root(str(root)).repo(self.source.repo), {})
