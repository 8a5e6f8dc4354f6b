"""IIW-400: captions from one place, images from another, and no row lost between them."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cauldron.sources.base import BadRow, Row
from cauldron.sources.catalog import registry
from cauldron.sources.iiw_400 import DEFAULT_IMAGES, PATHS, PROMPTS
from cauldron.sources.repos.roots import open_root
from cauldron.sources.values.prompts import draw

from cauldron.core.errors import SourceUnavailable, UsageError
from tests.real import REAL
from tests.sources.reader_base import Outcome, ReaderTests, bad, kept, picture, read_all

KEYS = [f"aar_test_0460{number}" for number in range(4)]


def caption(key: str) -> dict[str, Any]:
    box = {"label": "bee", "description": "on it", "normalized_coords": ["1", "2", "3", "4"]}
    return {"image/key": key, "IIW": f"All about {key}.", "objects": [box]}


def write_rows(root: Path, rows: list[dict[str, Any]], path: str = PATHS[0]) -> None:
    file = root / "google/imageinwords" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w:gz") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def read(root: Path, limit: int = -1, **options: Any) -> list[Row | BadRow]:
    return read_all(root, registry()["iiw_400"], options, limit)


def with_image(rows: list[Row | BadRow]) -> dict[str, Row]:
    return {row.origin.key: row for row in rows if isinstance(row, Row)}


def without_image(rows: list[Row | BadRow]) -> dict[str, str]:
    return {row.origin.key: row.reason for row in rows if isinstance(row, BadRow)}


class TestIiw400(ReaderTests):
    name = "iiw_400"
    published: ClassVar = [PATHS[0]]
    unordered = True

    def publish(self, folder: Path, root: Path) -> None:
        write_rows(root, [caption(key) for key in KEYS[:3]])
        members = {f"images_aar/{key}.jpg": picture(key) for key in [KEYS[2], "other", KEYS[0]]}
        write_tar(root / DEFAULT_IMAGES, members)
        (folder / "imageinwords.py").write_text("a loading script")

    def expected(self) -> list[Outcome]:
        def row(key: str) -> Outcome:
            return kept([picture(key)], [(draw(PROMPTS, key), f"All about {key}.")])

        shipped = {KEYS[0], KEYS[2]}
        return [row(key) if key in shipped else bad("image_not_shipped") for key in KEYS[:3]]


def test_without_images_every_row_is_accounted_for(tmp_path: Path) -> None:
    write_rows(tmp_path, [caption(key) for key in KEYS])
    assert without_image(read(tmp_path)) == dict.fromkeys(KEYS, "image_not_shipped")
    assert without_image(read(tmp_path, docci_images=None)) == dict.fromkeys(
        KEYS, "image_not_shipped"
    )
    assert len(read(tmp_path, limit=2)) == 2


@pytest.mark.parametrize("path", PATHS)
def test_the_captions_may_lie_as_in_the_project_or_alone(tmp_path: Path, path: str) -> None:
    write_rows(tmp_path, [caption(KEYS[0])], path)
    assert [row.origin.file for row in read(tmp_path)] == [path]


def test_a_tar_gives_rows_in_its_order_and_then_those_without(tmp_path: Path) -> None:
    write_rows(tmp_path, [caption(key) for key in KEYS])
    members = {f"images_aar/{key}.jpg": picture(key) for key in [KEYS[3], "aar_train_1", KEYS[0]]}
    write_tar(tmp_path / DEFAULT_IMAGES, members)
    rows = read(tmp_path)
    assert [row.origin.key for row in rows] == [KEYS[3], KEYS[0], KEYS[1], KEYS[2]]
    row = with_image(rows)[KEYS[0]]
    assert row.images[0].data == picture(KEYS[0])
    assert row.images[0].path == f"images_aar/{KEYS[0]}.jpg"
    turn = row.turns[0]
    assert (turn.user, turn.assistant) == (draw(PROMPTS, KEYS[0]), f"All about {KEYS[0]}.")
    assert without_image(rows) == dict.fromkeys(KEYS[1:3], "image_not_shipped")


@pytest.mark.parametrize("holder", ["tar", "zip", "folder", "flat folder"])
def test_images_may_be_held_in_other_ways(tmp_path: Path, holder: str) -> None:
    write_rows(tmp_path, [caption(key) for key in KEYS])
    folder = "" if holder == "flat folder" else "images_aar/"
    members = {f"{folder}{key}.jpg": picture(key) for key in KEYS}
    place = tmp_path / "pictures"
    if holder == "tar":
        write_tar(place, members, "w")
    elif holder == "zip":
        with zipfile.ZipFile(place, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    else:
        for name, data in members.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
    for option in (str(place), "pictures"):
        rows = with_image(read(tmp_path, docci_images=option))
        assert {key: row.images[0].data for key, row in rows.items()} == {
            key: picture(key) for key in KEYS
        }


def test_a_damaged_tar_says_so_for_every_row_behind_the_damage(tmp_path: Path) -> None:
    write_rows(tmp_path, [caption(key) for key in KEYS])
    write_tar(tmp_path / "a.tar", {f"{key}.jpg": os.urandom(4096) for key in KEYS}, "w")
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[:7000])
    rows = read(tmp_path, docci_images="a.tar")
    assert list(with_image(rows)) == KEYS[:1]
    assert without_image(rows) == dict.fromkeys(KEYS[1:], "unreadable_file")


def test_rows_of_another_structure_say_so(tmp_path: Path) -> None:
    strange = [{"IIW": "x"}, {"image/key": "k"}, {"image/key": "k", "IIW": ["x"]}]
    write_rows(tmp_path, [*strange, caption("../../x"), caption("a/b"), caption(KEYS[0])])
    reasons = [row.reason for row in read(tmp_path) if isinstance(row, BadRow)]
    assert reasons == ["bad_row"] * 3 + ["unsafe_member"] * 2 + ["image_not_shipped"]


def test_the_images_are_part_of_the_fingerprint(tmp_path: Path) -> None:
    source = registry()["iiw_400"]
    root = open_root(str(tmp_path))
    assert source.extra_files(root, {}) == []
    write_tar(tmp_path / DEFAULT_IMAGES, {"a.jpg": b"x"})
    assert [info.path for info in source.extra_files(root, {})] == [str(tmp_path / DEFAULT_IMAGES)]


def test_user_errors_are_told(tmp_path: Path) -> None:
    (tmp_path / "google/imageinwords").mkdir(parents=True)
    with pytest.raises(SourceUnavailable, match=r"data\.jsonl"):
        read(tmp_path)
    write_rows(tmp_path, [caption(KEYS[0])])
    for options in [{"docci_images": "gone.tar"}, {"docci_images": 3}, {"docci": "x"}]:
        with pytest.raises(UsageError):
            read(tmp_path, **options)


def test_prompts_are_twenty_and_drawn_evenly_by_key() -> None:
    assert len(set(PROMPTS)) == 20
    drawn = {draw(PROMPTS, f"aar_test_{number:05}") for number in range(4600, 5000)}
    assert drawn == set(PROMPTS)


@pytest.mark.skipif(not (REAL / "hub/google").is_dir(), reason="no real data here")
def test_the_real_annotations_lose_no_row() -> None:
    rows = read(REAL / "hub")
    assert len(rows) == 400
    assert {row.reason for row in rows if isinstance(row, BadRow)} == {"image_not_shipped"}
    assert len({row.origin.key for row in rows}) == 400


@pytest.mark.skipif(not (REAL / "hub/google").is_dir(), reason="no real data here")
def test_the_real_annotations_join_images(tmp_path: Path) -> None:
    keys = [f"aar_test_{number:05}" for number in range(4600, 5000)]
    write_tar(tmp_path / "i.tar", {f"images_aar/{key}.jpg": picture(key) for key in keys}, "w")
    rows = with_image(read(REAL / "hub", docci_images=str(tmp_path / "i.tar")))
    assert sorted(rows) == keys
    lengths = [len(row.turns[0].assistant or "") for row in rows.values()]
    assert (min(lengths), max(lengths)) == (238, 2489)
