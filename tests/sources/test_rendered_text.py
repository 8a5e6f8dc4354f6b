"""RenderedText: tars of images with the lines that are written on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.sources.reader_base import Outcome, ReaderTests, bad, outcome_of, picture, told
from tests.sources.tars import as_json, write_tar


def sample(
    key: str, text: Any, image: bytes | None, suffix: str = "png"
) -> list[tuple[str, bytes]]:
    annotation = {"ocr_annotation": {"text": text, "bb_relative": [[0.1, 0.2]]}, "font": "a.ttf"}
    drawn = [] if image is None else [(f"{key}.{suffix}", image)]
    return [(f"{key}.json", as_json(annotation)), *drawn]


class TestRenderedText(ReaderTests):
    name = "rendered_text_full"
    published: ClassVar = ["000000.tar", "remaining/010048.tar"]

    def publish(self, folder: Path, root: Path) -> None:
        first = [
            *sample("0", ["The quick", None, "brown fox"], picture("a")),
            *sample("1", [], picture("b")),
            ("2.json", b"{"),
            ("2.png", picture("c")),
            ("3.png", picture("d")),
        ]
        second = [
            *sample("4", ["no picture"], None),
            *sample("5", "no list", picture("f")),
            *sample("6", ["A JPEG"], picture("g", "JPEG"), "jpg"),
            *sample("7", ["empty"], b""),
        ]
        write_tar(folder / self.published[0], first)
        write_tar(folder / self.published[1], second)
        (folder / "README.md").write_text("RenderedText")

    def expected(self) -> list[Outcome]:
        return [
            told([None, "The quick\nbrown fox"], [picture("a")]),
            bad("empty_document"),
            bad("bad_json"),
            bad("bad_row"),
            bad("missing_image"),
            bad("bad_row"),
            told([None, "A JPEG"], [picture("g", "JPEG")]),
            bad("missing_image"),
        ]

    def test_rows_are_numbered_and_named(self, root: Path) -> None:
        found = [(row.origin.row, row.origin.key) for row in self.read(root)]
        assert found == [(number % 4, str(number)) for number in range(8)]

    @pytest.mark.parametrize("annotation", [[], {"ocr_annotation": None}, {"text": ["a"]}, "a"])
    def test_another_annotation_is_a_bad_row(self, root: Path, annotation: Any) -> None:
        members = [("0.json", as_json(annotation)), ("0.png", picture("a"))]
        write_tar(root / self.source.repo / self.published[0], members)
        assert outcome_of(self.read(root)[0]) == bad("bad_row")

    @pytest.mark.parametrize("cut", ["in the annotation", "in the picture"])
    def test_a_tar_that_is_cut_off_is_told_once(self, root: Path, cut: str) -> None:
        path = root / self.source.repo / self.published[0]
        write_tar(path, sample("0", ["a"], picture("a")) + sample("1", ["b"], picture("b")))
        data = path.read_bytes()
        member = b"1.json" if cut == "in the annotation" else b"1.png"
        path.write_bytes(data[: data.index(member) + 520])
        assert [outcome_of(row) for row in self.read(root)[:2]] == [
            told([None, "a"], [picture("a")]),
            bad("unreadable_file"),
        ]
