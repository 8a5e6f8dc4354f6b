"""Rows are filled with what was fetched: captions, and documents of several images."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cauldron.sources.base import BadRow, RawImage, Row
from cauldron.transforms.fetching import images as module
from cauldron.transforms.fetching.answers import Answers
from cauldron.transforms.fetching.engine import FetchJob, shared_engine
from cauldron.transforms.fetching.images import Fetched
from cauldron.transforms.fetching.lists import list_name, urls_of, write_list

from cauldron.core.errors import CauldronError
from cauldron.core.schema import Origin
from cauldron.core.sections.fetching import FetchRules
from tests.doubles.images import ImageServer, photo

ORIGIN = Origin(file="a.parquet")


def document(*parts: str | int, port: int) -> Row:
    """Texts, and numbers of photos; negative ones are not there."""
    urls = [
        f"http://127.0.0.1:{port}/{part if part >= 0 else 'gone'}"
        for part in parts
        if isinstance(part, int)
    ]
    texts = [part if isinstance(part, str) else None for part in parts]
    return Row(ORIGIN, [RawImage(b"", url=url) for url in urls], [], document=texts)


def filled(folder: Path, pieces: list[list[Row | BadRow]]) -> list[list[Row | BadRow]]:
    """The rows of each piece, with what was fetched."""
    source = Answers(str(folder / "lists"), len(pieces))
    for number, rows in enumerate(pieces):
        write_list(f"{source.folder}/{list_name(number, len(pieces))}", urls_of(rows))
    rules = FetchRules(allowed_hosts=("127.0.0.1",), attempts=1)
    store = str(folder / "fetched")
    job = FetchJob(store, 1, rules, {}, (source,), str(folder / "progress"))
    with shared_engine(job) as engine:
        for number in source.wanted():
            engine.fetch(number).result()
    fetched = Fetched(store, source)
    return [list(fetched.fill(rows, number)) for number, rows in enumerate(pieces)]


@pytest.fixture
def server():
    with ImageServer() as server:
        yield server


def test_images_of_a_document_that_are_gone_say_why_and_the_others_have_bytes(server, tmp_path):
    ((row,),) = filled(tmp_path, [[document("a", 1, -1, "b", 2, port=server.port)]])
    assert isinstance(row, Row)
    assert row.document == ["a", None, None, "b", None]
    assert [image.data for image in row.images] == [photo(1), b"", photo(2)]
    first, gone, last = (image.problem for image in row.images)
    assert first is last is None
    assert gone is not None
    assert gone[0] == "http_not_found"
    assert "/gone" in gone[1]


def test_a_question_about_an_image_that_is_gone_is_quarantined(server, tmp_path):
    row = document(1, -1, port=server.port)
    row.document = None
    ((found,),) = filled(tmp_path, [[row]])
    assert isinstance(found, BadRow)


def test_rows_stay_in_order_and_bad_rows_and_other_images_pass(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 2)
    port = server.port
    local = Row(ORIGIN, [RawImage(photo(50))], [], document=[None, "at hand"])
    bad = BadRow(ORIGIN, "bad_url", "no")
    rows = [document(1, port=port), bad, local, document(2, 1, port=port), document(3, port=port)]
    first, second = filled(tmp_path, [rows, [document(4, 1, port=port)]])
    assert first[1] is bad
    data = [[i.data for i in row.images] for row in [*first, *second] if isinstance(row, Row)]
    numbers = [[1], [50], [2, 1], [3], [4, 1]]
    assert data == [[photo(n) for n in row] for row in numbers]
    assert len(server.log) == 4


def test_the_published_digest_is_compared(server, tmp_path):
    good, bad = document(1, port=server.port), document(1, port=server.port)
    good.images[0].sha256 = hashlib.sha256(photo(1)).hexdigest()
    bad.images[0].sha256 = "0" * 64
    ((first, second),) = filled(tmp_path, [[good, bad]])
    assert isinstance(first, Row)
    assert first.images[0].problem is None
    assert isinstance(second, Row)
    assert second.images[0].problem is not None
    assert second.images[0].problem[0] == "sha256_mismatch"


def test_a_source_that_changed_meanwhile_is_said(server, tmp_path):
    filled(tmp_path, [[document(1, port=server.port)]])
    fetched = Fetched(str(tmp_path / "fetched"), Answers(str(tmp_path / "lists"), 1))
    with pytest.raises(CauldronError, match="run again"):
        list(fetched.fill([document(2, port=server.port)], 0))
