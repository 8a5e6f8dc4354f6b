"""ShareGPT-4o: rows in one file, images in a zip under the annotators' own path."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cauldron.sources import base
from cauldron.sources.base import BadRow, Row
from cauldron.sources.catalog import registry
from cauldron.sources.repos.roots import open_root
from cauldron.sources.sharegpt_4o import IMAGES, MEMBER_PREFIX, ROWS
from cauldron.sources.values import images

from cauldron.core.errors import SourceUnavailable
from tests.sources.reader_base import Outcome, ReaderTests, bad, kept, picture, read_all

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


def read(root: Path, limit: int = -1) -> list[Row | BadRow]:
    return read_all(root, registry()["sharegpt_4o"], {}, limit)


def outcomes(rows: list[Row | BadRow]) -> list[str]:
    return [row.images[0].data.decode() if isinstance(row, Row) else row.reason for row in rows]


class TestShareGpt4o(ReaderTests):
    name = "sharegpt_4o"
    published: ClassVar = [ROWS, IMAGES]

    def publish(self, folder: Path, root: Path) -> None:
        names = ["a.jpg", "gone.jpg", "b.jpg", "../../x", "c.jpg"]
        stored = {MEMBER_PREFIX + name: picture(name, "JPEG") for name in ["c.jpg", "a.jpg"]}
        stored |= {MEMBER_PREFIX + "b.jpg": b"not looked at here", "../../x": b"never"}
        write(root, [row_of(name) for name in names], stored)
        (folder / "video_conversations").mkdir()
        (folder / "video_conversations/gpt4o.jsonl").write_text("{}")

    def expected(self) -> list[Outcome]:
        def turns(name: str) -> list[tuple[str, str]]:
            return [("<image>\nDescribe this image in detail.", f"It shows {name}.")]

        return [
            kept([picture("a.jpg", "JPEG")], turns("a.jpg")),
            bad("image_not_shipped"),
            kept([b"not looked at here"], turns("b.jpg")),
            bad("unsafe_member"),
            kept([picture("c.jpg", "JPEG")], turns("c.jpg")),
        ]

    def survivors(self, rows: list[Row | BadRow], victim: str) -> list[Row | BadRow]:
        return []  # rows and images make sense only together

    def test_rows_know_where_they_stood(self, root: Path) -> None:
        first = self.read(root)[0]
        assert isinstance(first, Row)
        assert first.images[0].path == "a.jpg"
        assert (first.origin.file, first.origin.row, first.origin.key) == (ROWS, 0, "a.jpg")


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
    monkeypatch.setattr(images, "MAX_IMAGE_BYTES", 10)
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
    root = open_root(str(tmp_path))
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
