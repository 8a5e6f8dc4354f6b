"""Broken bytes are broken in just the way they are meant to be."""

from __future__ import annotations

import io
import struct

import pyarrow.parquet as pq
import pypdfium2
import pytest

from cauldron.sample import planted
from cauldron.sample.draw.ink import canvas
from cauldron.sample.draw.page import Block
from cauldron.sample.model import Item, jpeg, opened, png
from cauldron.sample.publish import layouts
from cauldron.sample.publish.pdf import pdf_of


def test_huge_png_announces_sixty_thousand_pixels_in_a_kilobyte() -> None:
    data = planted.huge_png()
    assert 900 < len(data) < 1200
    assert struct.unpack(">II", data[16:24]) == (60_000, 60_000)


def test_a_ruined_row_group_leaves_the_others_readable() -> None:
    rows = [{"question": f"{i} + 1?", "answer": str(i + 1)} for i in range(9)]
    data = layouts.with_ruined_group(layouts.parquet(rows, layouts.ORCA_MATH, group=3), 1)
    file = pq.ParquetFile(io.BytesIO(data))
    assert file.read_row_group(0).num_rows == file.read_row_group(2).num_rows == 3
    with pytest.raises(OSError):
        file.read_row_group(1)


def test_json_lines_tell_where_each_line_begins() -> None:
    data, offsets = layouts.json_lines([{"a": 1}, b"not json", {"b": "é"}])
    assert [data[at : at + 3] for at in offsets] == [b'{"a', b"not", b'{"b']


def test_archives_hold_no_time_of_making() -> None:
    members = [("a.txt", b"a"), ("b.bin", 1 << 20)]
    assert layouts.zipped(members) == layouts.zipped(members)
    assert len(layouts.zipped(members)) < 4096
    assert layouts.tarred([("a.txt", b"a"), ("link", "/etc/passwd")])[4:8] == b"\0\0\0\0"


def test_pdf_has_its_pages_and_its_text() -> None:
    page = [Block("text", (("Minutes (draft)",), ("A short text.",))), Block("foot", (("", "7"),))]
    document = pypdfium2.PdfDocument(pdf_of([page, page, page]))
    assert len(document) == 3
    text = document[0].get_textpage().get_text_range()
    assert "Minutes (draft)" in text
    assert "A short text." in text
    document.close()


def test_encrypted_pdf_asks_for_a_password() -> None:
    with pytest.raises(pypdfium2.PdfiumError, match="password"):
        pypdfium2.PdfDocument(pdf_of([[Block("text", (("Secret",),))]], encrypted=True))


@pytest.mark.parametrize("what", sorted(planted.ODDITIES))
def test_odd_pictures_still_open(what: str) -> None:
    image, draw = canvas(120, 90)
    draw.rectangle((20, 20, 60, 60), fill=(200, 40, 40))
    item = planted.odd(Item([png(image)], [("What?", "That.")]), what)
    assert item.fate.outcome == "kept"
    opened(item.pictures[0])  # decodes it


@pytest.mark.parametrize("change", sorted(planted.ALTERATIONS))
def test_altered_pictures_remember_their_original(change: str) -> None:
    picture = jpeg(canvas(100, 80)[0])
    changed = planted.altered(picture, change)
    assert changed.origin is picture
    assert changed.change == change
    assert changed.data != picture.data
