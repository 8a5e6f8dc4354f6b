"""Where benchmarks are: folders of images, repositories, the hub, buckets."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cauldron.sources.base import BadRow, Row
from cauldron.sources.benchmarks import find_place
from cauldron.sources.benchmarks.layouts import known_layout
from cauldron.sources.repos.roots import open_root

from cauldron.core import storage
from cauldron.core.errors import SourceUnavailable, UsageError
from tests.doubles.gcs import FakeGcs
from tests.doubles.hub import FakeHub
from tests.sources.benchmark_files import (
    one_turn,
    picture,
    read,
    rows_of,
    source_of,
    struct,
    write_parquet,
)


def image_folder(folder: Path) -> Path:
    for number, name in enumerate(["a.png", "sub/b.jpg", "sub/c.webp", "sub/deep/d.PNG"]):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        form = {"jpg": "JPEG", "webp": "WEBP"}.get(path.suffix[1:], "PNG")
        path.write_bytes(picture(number, form))
    (folder / "README.md").write_text("no picture")
    (folder / "._a.png").write_bytes(b"a shadow of another file system")
    return folder


def test_every_image_of_a_folder_is_a_row(tmp_path: Path) -> None:
    rows = rows_of("ours", image_folder(tmp_path))
    names = ["a.png", "sub/b.jpg", "sub/c.webp", "sub/deep/d.PNG"]
    assert [(row.origin.file, row.origin.row, row.origin.key) for row in rows] == [
        (name, -1, name) for name in names
    ]
    assert one_turn(rows[0]) == ("a.png", "a.png")
    assert rows[1].images[0].data == picture(1, "JPEG")


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_metadata_says_what_is_asked_of_an_image(tmp_path: Path, form: str) -> None:
    image_folder(tmp_path)
    lines = [
        {"file_name": "b.jpg", "id": "q1", "question": "What, then?", "answer": "this"},
        {"file_name": "b.jpg", "id": "q2", "question": "And?", "answer": "that"},
        {"file_name": "deep/d.PNG", "id": "q3", "question": "", "answer": ""},
        {"file_name": "gone.png", "id": "q4", "question": "Where?", "answer": "gone"},
        {"file_name": "../../x.png", "id": "q5", "question": "Out?", "answer": "no"},
    ]
    if form == "jsonl":
        text = "\n".join(json.dumps(line) for line in lines) + "\n{broken\n"
    else:
        quoted = [[f'"{value}"' for value in line.values()] for line in lines]
        text = "\n".join(",".join(line) for line in [list(lines[0]), *quoted]) + "\na,b,c,d,e\n"
    (tmp_path / f"sub/metadata.{form}").write_text(text)
    found = read(source_of("ours", tmp_path))
    rows = {row.origin.file: row for row in found if isinstance(row, Row)}
    assert len(rows) == 4
    asked = rows["sub/b.jpg"]
    assert asked.origin.key == "q1"
    assert [(t.user, t.assistant) for t in asked.turns] == [
        ("What, then?", "this"),
        ("And?", "that"),
    ]
    assert one_turn(rows["sub/deep/d.PNG"]) == ("q3", "q3")
    bad = {row.reason: row.rows for row in found if isinstance(row, BadRow)}
    assert bad == {"missing_image": 1, "bad_row": 2}


def test_a_split_of_images_to_train_on_is_left_out(tmp_path: Path) -> None:
    image_folder(tmp_path / "train")
    image_folder(tmp_path / "val")
    assert {row.origin.file.split("/")[0] for row in rows_of("ours", tmp_path)} == {"val"}


def test_many_images_make_several_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cauldron.sources.benchmarks.folder._FILES_IN_A_PIECE", 3)
    source = source_of("ours", image_folder(tmp_path))
    assert len(source.pieces(open_root("/nonexistent"), source.place.repo, {})) == 2
    assert len(read(source)) == 4


def test_nothing_is_read_through_a_link_that_leads_out(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "ours")
    (tmp_path / "secret.png").write_bytes(picture(9))
    (folder / "inside.png").symlink_to(folder / "a.png")
    assert len(rows_of("ours", folder)) == 5
    (folder / "outside.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(UsageError, match=r"outside\.png is a link that leads out"):
        source_of("ours", folder).selection()
    with pytest.raises(FileNotFoundError):
        find_place(str(folder), open_root("/nonexistent")).repo.open("outside.png")


def test_the_cache_of_the_hub_is_made_of_links_and_is_read(tmp_path: Path) -> None:
    repo = tmp_path / "datasets--Lin-Chen--MMStar"
    blob = write_parquet(repo / "blobs/0a1b", {"image": [struct(1)]})
    snapshot = repo / "snapshots/bc98d668301da7b14f648724866e57302778ab27"
    snapshot.mkdir(parents=True)
    link = snapshot / "mmstar.parquet"
    link.symlink_to(os.path.relpath(blob, snapshot))
    assert len(rows_of("mmstar", snapshot)) == 1
    assert len(rows_of("mmstar", link)) == 1


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/nowhere/at/all", "there is nothing at"),
        ("nowhere", "no repository"),
        ("a/b/c", "no repository"),
        ("https://example.org/x.parquet", "https:// is not read"),
        ("zip://x::https://example.org/x.zip", "zip:// is not read"),
        ("gs::x", "no repository"),
    ],
)
def test_what_is_neither_there_nor_a_repository_is_told(path: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_place(path, open_root("/nonexistent"))


def test_a_picture_in_a_format_that_is_not_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    for name in ("a.png", "sub/b.HEIC", "c.jxl", "README.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture(1))
    with pytest.raises(SourceUnavailable, match=r"2 pictures in formats .*\(c.jxl, sub/b.HEIC\)"):
        rows_of("private", tmp_path)


def test_an_avif_file_of_a_folder_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "leak.avif").write_bytes(b"what ingest decodes")
    (row,) = rows_of("private", tmp_path)
    assert [image.path for image in row.images] == ["leak.avif"]


def test_a_folder_with_nothing_to_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(b"PK")
    with pytest.raises(SourceUnavailable, match=r"no parquet, TSV or image file there \(images"):
        source_of("ours", tmp_path).selection()


def test_a_missing_shard_is_an_error_before_anything_is_read(tmp_path: Path) -> None:
    write_parquet(tmp_path / "data/test-00000-of-00002.parquet", {"image": [struct(1)]})
    with pytest.raises(SourceUnavailable, match="1 shards are missing"):
        source_of("ai2d", tmp_path).selection()


def test_a_repository_is_looked_for_under_the_root(tmp_path: Path) -> None:
    folder = tmp_path / "MMMU/MMMU"
    for subject in ("Math", "Art"):
        path = folder / subject / "dev-00000-of-00001.parquet"
        write_parquet(path, {"id": [subject], "image_1": [struct(1)]})
    assert len(rows_of("mmmu", "MMMU/MMMU", str(tmp_path))) == 2
    (row,) = rows_of("mmmu", "MMMU/MMMU:Art", str(tmp_path))
    assert row.origin.key == "Art"
    with pytest.raises(UsageError, match="no configuration 'Music'; there are: Art, Math"):
        source_of("mmmu", "MMMU/MMMU:Music", str(tmp_path)).selection()
    with pytest.raises(SourceUnavailable, match=r"there is no folder .*hf://datasets/MMMU/Other"):
        source_of("mmmu", "MMMU/Other", str(tmp_path))


def test_a_repository_is_read_from_the_hub_and_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    folder = tmp_path / "AI4Math/MathVista"
    write_parquet(folder / "data/test-00000-of-00001.parquet", {"decoded_image": [struct(1)]})
    with FakeHub(tmp_path) as hub:
        hub.use(monkeypatch)
        for status, path in ((429, "/api/"), (503, "/tree/"), (503, "/resolve/"), (429, "/cdn/")):
            hub.fail(status, path, times=2)
        source = source_of("mathvista", "AI4Math/MathVista", None)
        (row,) = read(source)
        assert isinstance(row, Row)
        assert row.images[0].data == picture(1)
        assert source.place.repo.commit == hub.commit("AI4Math/MathVista")
        # The hub whatever the root is.
        place = find_place("hf://datasets/AI4Math/MathVista", open_root(str(tmp_path)))
        assert place.repo.commit == source.place.repo.commit


def test_a_bucket_is_a_folder_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path / "test.parquet", {"image": [struct(1)]})
    with FakeGcs(["bucket"], page_size=3) as double:
        double.use(monkeypatch)
        storage.write_bytes("gs://bucket/mmstar/test.parquet", path.read_bytes())
        storage.write_bytes("gs://bucket/images/a.png", picture(2))
        places = ("mmstar", "mmstar/test.parquet", "images", "images/a.png")
        found = [rows_of("mmstar", f"gs://bucket/{place}") for place in places]
        with pytest.raises(UsageError, match="there is nothing at"):
            source_of("mmstar", "gs://bucket/other")
    data = [row.images[0].data for rows in found for row in rows]
    assert data == [picture(1), picture(1), picture(2), picture(2)]


def test_a_revision_and_a_gate_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "hub/org/name/test.parquet", {"image": [struct(1)]})
    write_parquet(tmp_path / "old/test.parquet", {"image": [struct(2)]})
    with FakeHub(tmp_path / "hub") as hub:
        hub.use(monkeypatch)
        old = hub.add_revision("org/name", "refs/convert/parquet", tmp_path / "old")
        source = source_of("ours", "org/name@refs/convert/parquet", None)
        assert (source.place.revision, source.place.repo.commit) == ("refs/convert/parquet", old)
        (row,) = read(source)
        assert isinstance(row, Row)
        assert row.images[0].data == picture(2)
        hub.gate("org/name", token="hf_other")
        with pytest.raises(SourceUnavailable, match="gated"):
            source_of("ours", "org/name", None)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("MMMU", "mmmu"),
        ("mmmu_val", "mmmu"),
        ("ai2d-no-mask", "ai2d"),
        ("MMBench.v11", "mmbench"),
        ("mmmupro", ""),
        ("our_mmmu", ""),
    ],
)
def test_a_known_name_may_have_a_suffix(name: str, layout: str) -> None:
    assert known_layout(name) == layout
