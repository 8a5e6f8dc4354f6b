"""PDFs in folders and tars: each document once, with its text, or why there is none."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from cauldron.sources import pdfs
from cauldron.sources.benchmarks import find_place
from cauldron.sources.pdfs import PdfDocument, cut_pdfs, pdf_files, read_pdfs
from cauldron.sources.repos.roots import open_root

from cauldron.core.errors import UsageError


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def annotation(*pages: Any) -> bytes:
    return json.dumps({"pages": pages}).encode()


def read(folder: Path, limit: int = -1) -> list[PdfDocument]:
    place = find_place(str(folder), open_root(str(folder)))
    pieces = cut_pdfs(place.repo, pdf_files(place.files(), "here"), limit)
    return [document for piece in pieces for document in read_pdfs(place.repo, piece)]


def test_files_of_a_folder_are_documents_by_their_path(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("b.pdf", "a/x.PDF", "notes.txt"):
        (tmp_path / name).write_bytes(name.encode())
    assert [(item.key, item.data) for item in read(tmp_path)] == [
        ("a/x.PDF", b"a/x.PDF"),
        ("b.pdf", b"b.pdf"),
    ]


def test_a_file_name_that_is_no_text_can_be_written_to_tables(tmp_path: Path) -> None:
    for name in (b"caf\xe9.pdf", b"caf\xe8.pdf"):
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).write_bytes(name)
    found = {item.key: item.data for item in read(tmp_path)}
    assert found == {r"caf\xe8.pdf": b"caf\xe8.pdf", r"caf\xe9.pdf": b"caf\xe9.pdf"}
    for name in found:
        name.encode()


def test_members_of_a_tar_are_documents_with_their_annotation(tmp_path: Path) -> None:
    lines = {"lines": {"text": ["One", "two", None]}, "words": {}}
    members = {
        "0000042.json": annotation(lines, {"lines": {"text": []}}),
        "0000042.pdf": b"A",
        "0000042.tif": b"ignored",
        "0000043.pdf": b"B",
        "0000043.json": annotation({"text": ["IDL"]}),
        "sub/my.file.pdf": b"C",
        "0000044.json": b"{",
        "0000044.pdf": b"D",
        "0000045.json": annotation(),
    }
    write_tar(tmp_path / "t-0000.tar", members)
    found = read(tmp_path)
    assert [(item.key, item.data, item.texts) for item in found] == [
        ("0000042", b"A", ["One \n two", ""]),
        ("0000043", b"B", ["IDL"]),
        ("t-0000.tar/sub/my", b"C", None),
        ("0000044", b"D", None),
        ("0000045", b"", None),
    ]
    assert [item.reason for item in found] == ["", "", "", "", "pdf_missing"]
    assert {item.file for item in found} == {"t-0000.tar"}


def test_a_damaged_tar_gives_what_stands_before_the_damage(tmp_path: Path) -> None:
    write_tar(tmp_path / "t.tar", {"0000001.pdf": b"A" * 600, "0000002.pdf": b"B" * 6_000})
    whole = (tmp_path / "t.tar").read_bytes()
    (tmp_path / "t.tar").write_bytes(whole[:3_000])
    found = [(item.key, len(item.data), item.reason) for item in read(tmp_path)]
    assert found == [("0000001", 600, ""), ("t.tar", 0, "unreadable_file")]


def test_a_pdf_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdfs, "MAX_PDF_BYTES", 10)
    (tmp_path / "a.pdf").write_bytes(b"A" * 11)
    write_tar(tmp_path / "t.tar", {"0000001.pdf": b"B" * 11, "0000002.pdf": b"C"})
    found = [(item.key, item.data, item.reason) for item in read(tmp_path)]
    assert found == [
        ("a.pdf", b"", "pdf_too_large"),
        ("0000001", b"", "member_too_large"),
        ("0000002", b"C", ""),
    ]


@pytest.mark.parametrize("limit", range(8))
def test_a_limit_reads_so_many_documents(
    tmp_path: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdfs, "DOCUMENTS", 2)
    for number in range(3):
        (tmp_path / f"{number}.pdf").write_bytes(b"x")
    for tar in "ab":
        write_tar(tmp_path / f"{tar}.tar", {f"{tar}{n}.pdf": b"x" for n in range(2)})
    every = [item.key for item in read(tmp_path)]
    assert len(every) == 7
    assert [item.key for item in read(tmp_path, limit)] == every[:limit]


def test_a_folder_without_pdfs_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UsageError, match="no \\.pdf"):
        read(tmp_path)
