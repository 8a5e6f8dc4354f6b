"""PDFA: tars of PDFs with annotations, a row a page."""

from __future__ import annotations

import functools
import gzip
import zlib
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cauldron.sources import base, pdfa
from cauldron.sources.base import BadRow, Row
from cauldron.sources.formats import pdf
from cauldron.sources.formats.pdf import render_pdf
from cauldron.sources.formats.pdf_pages import PdfError

from cauldron.core.errors import UsageError
from cauldron.sample.pdfs import endless_pdf
from cauldron.sample.publish.pdf import pdf_of
from tests.sources.reader_base import Outcome, ReaderTests, bad, outcome_of, read_all, told
from tests.sources.tars import as_json, write_tar
from tests.sources.test_docmatix import make_pdf


def document(*pages: str) -> bytes:
    """A PDF of small pages, with a bar on each whose width depends on the text."""
    widths = (10 + zlib.crc32(text.encode()) % 80 for text in pages)
    return make_pdf(*(b"0 g 5 5 %d 50 re f" % width for width in widths), size=(100, 100))


@functools.cache
def page(number: int, *pages: str) -> bytes:
    """The PNG of one page of a document."""
    return [rendered.png for rendered in render_pdf(document(*pages), 9)][number]


def lines(*texts: Any) -> dict[str, Any]:
    words = {"text": ["these", "words"], "bbox": [[0.1, 0.1, 0.2, 0.01]] * 2, "score": [1.0, 1.0]}
    return {"images_bbox": [], "lines": {"text": list(texts), "score": []}, "words": words}


def sample(key: str, pages: Any, pdf: bytes | None) -> list[tuple[str, bytes]]:
    annotation = [] if pages is None else [(f"{key}.json", as_json({"pages": pages}))]
    return [*annotation, *([] if pdf is None else [(f"{key}.pdf", pdf)])]


class TestPdfa(ReaderTests):
    name = "pdfa"
    published: ClassVar = ["pdfa-eng-train-0000.tar", "pdfa-eng-train-0001.tar"]

    def publish(self, folder: Path, root: Path) -> None:
        two = document("One", "Two")
        first = [
            *sample("0000007", [lines("One", None, "1"), lines("Two")], two),
            *sample("0000008", [lines(), {"text": ["Two"]}], two),
            *sample("0000009", None, two),
            ("0000009.tif", b"never read"),
        ]
        second = [
            *sample("0000010", [{"words": {"text": ["A", "word"]}}], document("A word")),
            *sample("0000011", [lines("x"), lines("y"), lines("z")], b"%PDF-1.4 and no more"),
            *sample("0000012", [lines("x")], pdf_of([[]], encrypted=True)),
            *sample("0000013", [lines("x"), lines("y")], None),
        ]
        write_tar(folder / self.published[0], first)
        write_tar(folder / self.published[1], second)
        (folder / "_info.json").write_text("{}")

    def expected(self) -> list[Outcome]:
        return [
            told([None, "One\n1"], [page(0, "One", "Two")]),
            told([None, "Two"], [page(1, "One", "Two")]),
            # Of the lines there is none, so the words count.
            told([None, "these words"], [page(0, "One", "Two")]),
            told([None, "Two"], [page(1, "One", "Two")]),
            bad("bad_row"),
            told([None, "A word"], [page(0, "A word")]),
            bad("pdf_unreadable", 3),
            bad("pdf_encrypted"),
            bad("pdf_missing", 2),
        ]

    def only(self, root: Path, members: list[tuple[str, bytes]], **options: Any) -> list[Outcome]:
        """What becomes of a tar with these members."""
        write_tar(root / self.source.repo / self.published[0], members)
        (root / self.source.repo / self.published[1]).unlink(missing_ok=True)
        return [outcome_of(row) for row in read_all(root, self.source, options)]

    def test_pages_are_named_by_document_and_number(self, root: Path) -> None:
        found = [(row.origin.row, row.origin.key) for row in self.read(root)[:5]]
        assert found == [
            (0, "0000007/1"),
            (1, "0000007/2"),
            (2, "0000008/1"),
            (3, "0000008/2"),
            (4, "0000009"),
        ]

    def test_a_page_has_the_identity_that_docmatix_gives_it(self, root: Path) -> None:
        rows = [row for row in self.read(root) if isinstance(row, Row)]
        expected = [rendered.digest for rendered in render_pdf(document("One", "Two"), 2)]
        assert [image.digest for row in rows[:2] for image in row.images] == expected

    def test_pages_that_only_one_of_both_has_are_counted(self, root: Path) -> None:
        three = [lines("One"), lines("Two"), lines("Three")]
        found = self.only(root, sample("0000001", three, document("One")))
        assert found == [told([None, "One"], [page(0, "One")]), bad("page_missing", 2)]
        found = self.only(root, sample("0000001", three[:1], document("One", "Two", "Three")))
        pages = [page(0, "One", "Two", "Three")]
        assert found == [told([None, "One"], pages), bad("page_missing", 2)]

    def test_a_large_limit_is_divided_among_as_many_tars_as_hold_it(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(base, "IN_TURN_ROWS", 2)
        monkeypatch.setattr(pdfa.Pdfa, "rows_per_tar", 5)
        assert [(p.file, p.limit) for p in self.plan(root, 4)] == [(self.published[0], 4)]
        # Two tars of five rows hold five, with a tenth to spare.
        assert [p.limit for p in self.plan(root, 5)] == [2, 3]
        everything = self.read(root)
        first, second = ([row for row in everything if row.origin.file == path]
                         for path in self.published)  # fmt: skip
        found = self.read(root, 5)
        assert found[:2] == first[:2]
        # One record of the second tar stands for three pages, of which two are within the limit.
        assert [outcome_of(row) for row in found[2:]] == [
            outcome_of(second[0]),
            bad("pdf_unreadable", 2),
        ]
        monkeypatch.setattr(pdfa.Pdfa, "rows_per_tar", 1)
        # Fewer tars than the average asks for: these are all, and no row comes twice.
        assert self.read(root, 1_000) == everything
        # If nobody has counted the rows of a tar, its size tells how many to expect.
        monkeypatch.setattr(pdfa.Pdfa, "rows_per_tar", None)
        pieces = self.plan(root, 1_000)
        sizes = [(root / self.source.repo / path).stat().st_size for path in self.published]
        assert [p.limit for p in pieces] == pytest.approx(
            [1_000 * size / sum(sizes) for size in sizes], abs=1
        )
        assert sum(p.limit for p in pieces) == 1_000

    def test_pages_over_the_limit_are_counted(self, root: Path) -> None:
        texts = ("One", "Two", "Three")
        members = sample("0000001", [lines(text) for text in texts], document(*texts))
        found = self.only(root, members, max_pages=1)
        assert found == [told([None, "One"], [page(0, *texts)]), bad("too_many_pages", 2)]

    def test_empty_pages_are_told_and_not_rendered(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pdf.OpenPdf, "page", None)
        empty: list[Any] = [
            {},
            None,
            {"lines": None},
            {"lines": {"text": None}},
            {"text": []},
            {"lines": {"text": [" ", ""]}, "words": {"text": ["\t"]}},
            {"lines": {"text": [3, None]}},
        ]
        members = sample("0000001", empty, document(*"abcdefg"))
        assert self.only(root, members) == [bad("empty_document")] * len(empty)

    @pytest.mark.parametrize(
        ("annotation", "reason"),
        [
            (b"", "bad_json"),
            (b'{"pages": [', "bad_json"),
            (b"\xff\xfe", "bad_json"),
            (b"[" * 100_000, "bad_json"),
            (b"[]", "bad_row"),
            (b'{"pages": []}', "bad_row"),
            (b'{"pages": {"0": {}}}', "bad_row"),
        ],
    )
    def test_a_broken_annotation_costs_its_document(
        self, root: Path, annotation: bytes, reason: str
    ) -> None:
        members = [("0000001.json", annotation), ("0000001.pdf", document("One"))]
        good = sample("0000002", [lines("One")], document("One"))
        assert self.only(root, members + good) == [
            bad(reason),
            told([None, "One"], [page(0, "One")]),
        ]

    def test_an_annotation_too_large_to_parse_is_told(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pdfa, "MAX_ANNOTATION_BYTES", 100)
        found = self.only(root, sample("0000001", [lines("x" * 100)], document("x")))
        assert found == [bad("member_too_large")]

    def test_the_pdf_may_come_first(self, root: Path) -> None:
        members = sample("0000001", [lines("One")], document("One"))
        assert self.only(root, members[::-1]) == [told([None, "One"], [page(0, "One")])]

    @pytest.mark.parametrize("name", ["../0000001", "/0000001"])
    def test_members_outside_the_tar_are_told(self, root: Path, name: str) -> None:
        assert self.only(root, sample(name, [lines("x")], document("x"))) == [bad("unsafe_member")]

    def test_half_of_a_surrogate_pair_is_replaced(self, root: Path) -> None:
        found = self.only(root, sample("0000001", [lines("\ud800")], document("x")))
        assert found == [told([None, "�"], [page(0, "x")])]

    @pytest.mark.parametrize("cut", ["in the annotation", "in the PDF", "after a document"])
    def test_a_tar_that_is_cut_off_is_told_once(self, root: Path, cut: str) -> None:
        pages = [lines("One")]
        members = [
            *sample("0000001", pages, document("One")),
            *sample("0000002", pages, document("One")),
        ]
        path = root / self.source.repo / self.published[0]
        self.only(root, members)
        data = path.read_bytes()
        marks = {
            "in the annotation": data.index(b"0000002.json") + 600,
            "in the PDF": data.index(b"0000002.pdf") + 600,
            "after a document": data.index(b"0000002.json"),
        }
        path.write_bytes(data[: marks[cut]])
        rows = self.read(root)
        assert [outcome_of(row) for row in rows] == [
            told([None, "One"], [page(0, "One")]),
            bad("unreadable_file"),
        ]
        assert rows[1].origin.row == -1

    def test_a_compressed_tar_is_read(self, root: Path) -> None:
        path = root / self.source.repo / self.published[0]
        before = [outcome_of(row) for row in self.read(root)]
        path.with_suffix(".tar.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
        assert [outcome_of(row) for row in self.read(root)] == before

    @pytest.mark.slow
    def test_a_page_that_ends_the_renderer_takes_the_pages_after_it(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pdf, "CPU_SECONDS", 1)
        monkeypatch.setattr(pdf, "_POOL", pdf._Pool())
        members = [
            *sample("0000001", [lines("Endless")], endless_pdf()),
            *sample("0000002", [lines("One")], document("One")),
        ]
        assert self.only(root, members) == [
            bad("render_timeout"),
            told([None, "One"], [page(0, "One")]),
        ]

    @pytest.mark.parametrize("alive", [True, False])
    def test_a_page_that_cannot_be_drawn_takes_others_only_with_the_renderer(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, alive: bool
    ) -> None:
        def draw(opened: pdf.OpenPdf, number: int) -> bytes:
            if number == 1:
                raise PdfError("pdf_unreadable", "page 2")
            return b"page %d" % number

        monkeypatch.setattr(pdf.OpenPdf, "page", draw)
        monkeypatch.setattr(pdf.OpenPdf, "is_alive", alive)
        texts = ("One", "Two", "Three")
        members = sample("0000001", [lines(text) for text in texts], document(*texts))
        after = [bad("pdf_unreadable"), told([None, "Three"], [b"page 2"])]
        assert self.only(root, members) == [
            told([None, "One"], [b"page 0"]),
            *(after if alive else [bad("pdf_unreadable", 2)]),
        ]

    def test_a_limit_may_end_within_the_second_tar(self, root: Path) -> None:
        planned = self.plan(root, 6)
        assert [(piece.file, piece.limit) for piece in planned] == [(self.published[0], 6)]
        assert [outcome_of(row) for row in self.read(root, 6)] == self.expected()[:6]

    def test_a_limit_cuts_a_record_of_several_pages(self, root: Path) -> None:
        last = self.read(root, 8)[-1]
        assert isinstance(last, BadRow)
        assert (last.reason, last.rows) == ("pdf_unreadable", 2)

    @pytest.mark.parametrize("most", [0, -1, True, "all", None])
    def test_a_wrong_number_of_pages_is_told(self, most: Any) -> None:
        with pytest.raises(UsageError, match="max_pages"):
            self.source.settled({"max_pages": most})
