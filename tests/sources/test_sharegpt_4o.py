"""ShareGPT-4o: rows in one file, images in a zip under the annotators' own path."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cauldron.errors import SourceUnavailable, UsageError
from sources import base, sharegpt_4o
from sources.base import BadRow, Row, registry
from sources.files import Root
from sources.sharegpt_4o import IMAGES, MEMBER_PREFIX, ROWS

REPO = "OpenGVLab/ShareGPT-4o"


def row_of(image: Any, **more: Any) -> dict[str, Any]:
    talk = [
        {"from": "human", "value": "<image>\nDescribe this image in detail."},
        {"from": "gpt", "value": f"It shows {image}."},
    ]
    return {"image": image, "width": 640, "height": 480, "conversations": talk, **more}


def write(root: Path, rows: list[Any], images: dict[str, bytes] | bytes) -> None:
    file = root / REPO / ROWS
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    if isinstance(images, bytes):
        (root / REPO / IMAGES).write_bytes(images)
        return
    with zipfile.ZipFile(root / REPO / IMAGES, "w") as archive:
        for name, data in images.items():
            archive.writestr(name, data)


def read(root: Path, limit: int = -1, **options: Any) -> list[Row | BadRow]:
    source = registry()["sharegpt_4o"]
    there = Root.open(str(root))
    repo = there.repo(source.repo)
    pieces = source.pieces(there, repo, options, limit)
    return [row for piece in pieces for row in source.read(there, repo, piece, options)]


def outcomes(rows: list[Row | BadRow]) -> list[str]:
    return [row.images[0].data.decode() if isinstance(row, Row) else row.reason for row in rows]


def test_rows_get_their_images_from_the_zip(tmp_path: Path) -> None:
    write(
        tmp_path,
        [row_of("a.jpg"), row_of("b.jpg")],
        {
            MEMBER_PREFIX + "b.jpg": b"B",
            MEMBER_PREFIX + "a.jpg": b"A",
        },
    )
    rows = read(tmp_path)
    assert outcomes(rows) == ["A", "B"]
    first = rows[0]
    assert isinstance(first, Row)
    assert first.images[0].path == "a.jpg"
    assert first.turns[0].user == "<image>\nDescribe this image in detail."
    assert first.turns[0].assistant == "It shows a.jpg."
    assert (first.origin.file, first.origin.row, first.origin.key) == (ROWS, 0, "a.jpg")
    assert len(read(tmp_path, limit=1)) == 1


@pytest.mark.parametrize("prefix", ["", "images/", "other/4o/image/"])
def test_repacked_zips_are_read_too(tmp_path: Path, prefix: str) -> None:
    write(
        tmp_path,
        [row_of("a.jpg"), row_of("sub/a.jpg"), row_of("c.jpg")],
        {
            prefix + "a.jpg": b"A",
            prefix + "sub/a.jpg": b"SUB",
        },
    )
    # In a folder of another name it cannot be told which of two members of that name is meant.
    first = "image_not_shipped" if prefix.startswith("other") else "A"
    assert outcomes(read(tmp_path)) == [first, "SUB", "image_not_shipped"]


def test_rows_whose_image_cannot_be_had_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharegpt_4o, "MAX_IMAGE_BYTES", 10)
    rows = [row_of(name) for name in ["a.jpg", "../../x", "/etc/passwd", "gone.jpg", "big.jpg"]]
    rows += [row_of(None), row_of("a.jpg", conversations=[]), row_of("a.jpg", conversations="x")]
    rows += [row_of("a.jpg", conversations=[{"from": "tool", "value": "x"}])]
    write(
        tmp_path,
        rows,
        {
            MEMBER_PREFIX + "a.jpg": b"A",
            MEMBER_PREFIX + "big.jpg": b"x" * 11,
            "../../x": b"never",
        },
    )
    assert outcomes(read(tmp_path)) == [
        "A",
        "unsafe_member",
        "unsafe_member",
        "image_not_shipped",
        "member_too_large",
        "bad_row",
        "bad_row",
        "bad_row",
        "bad_row",
    ]


def test_a_broken_zip_costs_every_row_and_nothing_else(tmp_path: Path) -> None:
    write(tmp_path, [row_of("a.jpg"), row_of("b.jpg")], b"PK\x03\x04 and no more")
    assert outcomes(read(tmp_path)) == ["unreadable_file"] * 2


def test_pieces_are_cut_by_the_images_behind_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "PIECE_BYTES", 20_000)
    names = [f"{number}.jpg" for number in range(40)]
    write(tmp_path, [row_of(name) for name in names], dict.fromkeys(names, b"x" * 2000))
    source = registry()["sharegpt_4o"]
    root = Root.open(str(tmp_path))
    repo = root.repo(REPO)
    pieces = source.pieces(root, repo, {})
    assert 4 <= len(pieces) <= 6
    assert all(15_000 < piece.size < 25_000 for piece in pieces)
    rows = [row for piece in pieces for row in source.read(root, repo, piece, {})]
    assert [row.origin.key for row in rows] == names


def test_a_repository_that_lacks_a_part_is_unavailable(tmp_path: Path) -> None:
    write(tmp_path, [], {})
    (tmp_path / REPO / IMAGES).unlink()
    with pytest.raises(SourceUnavailable, match="images"):
        read(tmp_path)


def test_an_unknown_option_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, [], {})
    with pytest.raises(UsageError, match="image_zip"):
        read(tmp_path, image_zip="x")
