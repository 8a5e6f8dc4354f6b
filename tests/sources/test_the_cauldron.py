"""The Cauldron: three image forms, rows of several images, and the two sets without pixels."""

from __future__ import annotations

import csv
import importlib.resources
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from cauldron.sources.base import BadRow, Row
from cauldron.sources.catalog import registry
from cauldron.sources.roots import open_root

from cauldron.core.errors import UsageError
from tests.real import REAL
from tests.sources.reader_base import (
    HASHES,
    IMAGE,
    TURN,
    Outcome,
    ReaderTests,
    bad,
    kept,
    outcome_of,
    picture,
    read_all,
    write_parquet,
)

SCHEMA = pa.schema([("images", pa.list_(IMAGE)), ("texts", pa.list_(TURN))])
REPO = "HuggingFaceM4/the_cauldron"


def shard(config: str, number: int, count: int, mark: int | None = None) -> str:
    chosen = HASHES[number % len(HASHES) if mark is None else mark]
    return f"{config}/train-{number:05d}-of-{count:05d}-{chosen}.parquet"


def image(data: bytes | None, path: str | None = None) -> dict[str, Any]:
    return {"bytes": data, "path": path}


def turn(question: str | None, answer: str | None, source: str = "AI2D") -> dict[str, Any]:
    return {"user": question, "assistant": answer, "source": source}


def row(images: Any, *turns: Any) -> dict[str, Any]:
    return {"images": images, "texts": list(turns) or [turn("What is it?", "A dot.")]}


SAID = ("What is it?", "A dot.")


class TestCauldron(ReaderTests):
    """A set with images of every form."""

    name = "the_cauldron/ai2d"
    published: ClassVar = [shard("ai2d", 0, 2), shard("ai2d", 1, 2)]

    def publish(self, folder: Path, root: Path) -> None:
        first = [
            row([image(picture("a"))]),
            row(
                [image(picture("b", "JPEG"), "b.png")],
                turn("Question: Which?\nChoices:\nA. x\nAnswer with the letter.", "Answer: A"),
                turn("And?", None),
            ),
            row([image(None, "/fsx/m4/a.png")]),
            row([]),
            {"images": None, "texts": [turn("q", "a")]},
        ]
        second = [
            row([image(None, None)]),
            row([image(b"")]),
            row([None]),
            {"images": [image(picture("c"))], "texts": None},
            {"images": [image(picture("d"))], "texts": []},
            row([image(picture("e"))], turn("q", "a"), None),
        ]
        write_parquet(folder / self.published[0], first, SCHEMA)
        write_parquet(folder / self.published[1], second, SCHEMA, rows_per_group=100)
        (folder / "README.md").write_text("---\n")
        (folder / "ai2d_extra").mkdir()

    def expected(self) -> list[Outcome]:
        choices = "Question: Which?\nChoices:\nA. x\nAnswer with the letter."
        return [
            kept([picture("a")], [SAID]),
            kept([picture("b", "JPEG")], [(choices, "Answer: A"), ("And?", None)]),
            bad("image_not_shipped"),
            bad("no_images"),
            bad("bad_row"),
            bad("missing_image"),
            bad("missing_image"),
            bad("bad_row"),
            bad("bad_row"),
            kept([picture("d")], []),
            kept([picture("e")], [("q", "a"), (None, None)]),
        ]

    def test_origins_say_where_a_row_stood(self, root: Path) -> None:
        rows = self.read(root)
        first, last = rows[2].origin, rows[-1].origin
        assert (first.file, first.row_group, first.row) == (self.published[0], 1, 2)
        assert (last.file, last.row_group, last.row) == (self.published[1], 0, 5)
        assert isinstance(rows[1], Row)
        assert rows[1].images[0].path == "b.png"

    def test_of_two_sets_of_shards_one_is_read_and_the_other_told(self, root: Path) -> None:
        whole = self.read(root)
        for i in range(3):  # an older set, with fewer bytes, that a push has not removed yet
            old = root / REPO / shard("ai2d", i, 3, mark=3)
            write_parquet(old, [row([image(b"old")])], SCHEMA)
        assert self.read(root) == whole
        repo = open_root(str(root)).repo(REPO)
        assert [file.path for file in self.source.files(repo, {})] == self.published
        (note,) = self.source.notes(repo, {})
        assert "sets of 2 and 3 shards" in note

    def test_a_missing_shard_is_told_and_the_rest_read(self, root: Path) -> None:
        (root / REPO / self.published[0]).unlink()
        found = [outcome_of(r) for r in self.read(root)]
        assert found == [bad("missing_shard"), *self.expected()[5:]]


class TestSeveralImages(ReaderTests):
    """Pairs of images keep their order."""

    name = "the_cauldron/nlvr2"
    published: ClassVar = [shard("nlvr2", 0, 1)]

    def publish(self, folder: Path, root: Path) -> None:
        pairs = [(f"left {i}", f"right {i}") for i in range(5)]
        rows = [row([image(picture(name)) for name in pair]) for pair in pairs]
        # A lost half would make "the left image" another one, so the row goes as a whole.
        rows.append(row([image(picture("left")), image(None, "right.png")]))
        write_parquet(folder / self.published[0], rows, SCHEMA)

    def expected(self) -> list[Outcome]:
        pairs = [[picture(f"left {i}"), picture(f"right {i}")] for i in range(5)]
        return [*(kept(pair, [SAID]) for pair in pairs), bad("image_not_shipped")]


class TestOkVqa(ReaderTests):
    """Paths into COCO's train2014, given as a zip below the root."""

    name = "the_cauldron/okvqa"
    options: ClassVar = {"coco_train2014": "coco/train2014.zip"}
    published: ClassVar = [shard("okvqa", 0, 2), shard("okvqa", 1, 2)]

    def publish(self, folder: Path, root: Path) -> None:
        def asked(number: int) -> dict[str, Any]:
            path = f"/fsx/m4/datasets/OK-VQA/train2014/{self.coco(number)}"
            return row([image(None, path)])

        write_parquet(folder / self.published[0], [asked(i) for i in range(3)], SCHEMA)
        rest = [
            asked(3),
            row([image(picture("own"), "own.jpg")]),
            asked(99),
            row([image(None, "..")]),
        ]
        write_parquet(folder / self.published[1], rest, SCHEMA)
        (root / "coco").mkdir()
        with zipfile.ZipFile(root / "coco/train2014.zip", "w") as archive:
            for i in range(4):
                archive.writestr(f"train2014/{self.coco(i)}", picture(f"coco {i}", "JPEG"))

    def coco(self, number: int) -> str:
        return f"COCO_train2014_{number:012d}.jpg"

    def expected(self) -> list[Outcome]:
        return [
            *(kept([picture(f"coco {i}", "JPEG")], [SAID]) for i in range(4)),
            kept([picture("own")], [SAID]),
            bad("image_not_shipped"),
            bad("unsafe_member"),
        ]

    @pytest.mark.parametrize("layout", ["train2014", ".", "bare zip"])
    def test_other_layouts_of_coco_give_the_same(self, root: Path, layout: str) -> None:
        there = root.parent / "elsewhere"
        place = there / layout
        if layout == "bare zip":
            there.mkdir()
            with zipfile.ZipFile(place, "w") as archive:
                for i in range(4):
                    archive.writestr(self.coco(i), picture(f"coco {i}", "JPEG"))
        else:
            place.mkdir(parents=True)
            for i in range(4):
                (place / self.coco(i)).write_bytes(picture(f"coco {i}", "JPEG"))
        option = {"coco_train2014": str(place if layout == "bare zip" else there)}
        found = read_all(root, self.source, option)
        assert [outcome_of(r) for r in found] == self.expected()

    def test_a_folder_that_is_the_images_is_found_too(self, root: Path) -> None:
        place = root.parent / "train2014"
        place.mkdir()
        (place / self.coco(0)).write_bytes(b"jpeg")
        found = read_all(root, self.source, {"coco_train2014": str(place)})
        assert outcome_of(found[0]) == kept([b"jpeg"], [SAID])

    def test_without_coco_every_row_is_accounted_for(self, root: Path) -> None:
        (root / "coco/train2014.zip").unlink()
        found = [outcome_of(r).reason for r in self.read(root)]
        assert found == ["image_not_shipped"] * 4 + ["", *["image_not_shipped"] * 2]
        assert self.source.extra_files(open_root(str(root)), self.options) == []

    def test_a_zip_that_is_none_is_told_with_each_row(self, root: Path) -> None:
        (root / "coco/train2014.zip").write_bytes(b"not a zip")
        reasons = [outcome_of(r).reason for r in self.read(root)]
        assert reasons == ["unreadable_file"] * 4 + ["", "unreadable_file", "unreadable_file"]

    def test_an_archive_named_in_vain_is_a_usage_error(self, root: Path) -> None:
        with pytest.raises(UsageError, match="does not exist"):
            self.source.extra_files(open_root(str(root)), {"coco_train2014": "no/such.zip"})

    def test_the_archive_counts_as_a_file(self, root: Path) -> None:
        opened = open_root(str(root))
        before = self.source.extra_files(opened, self.options)
        assert before[0].path.endswith("coco/train2014.zip")
        (root / "coco/train2014.zip").write_bytes(b"other")
        assert self.source.extra_files(opened, self.options) != before


def test_all_fifty_configurations_are_in_the_catalog() -> None:
    table = importlib.resources.files("cauldron.sources") / "data" / "the_cauldron.csv"
    configs = [line["config"] for line in csv.DictReader(table.read_text().splitlines())]
    assert len(configs) == 50
    assert configs == sorted(configs)
    for config in configs:
        source = registry()[f"the_cauldron/{config}"]
        assert source.repo == REPO
        assert source.ships_images == (config not in ("clevr_math", "okvqa"))
    total = sum(registry()[f"the_cauldron/{config}"].published_bytes or 0 for config in configs)
    assert total == pytest.approx(169e9, rel=0.01)


@pytest.mark.parametrize("config", ["vqav2", "robut_wtq", "mimic_cgd", "websight"])
def test_every_configuration_reads_its_own_folder(tmp_path: Path, config: str) -> None:
    file = tmp_path / REPO / shard(config, 0, 1)
    write_parquet(file, [row([image(picture("a"))])], SCHEMA)
    found = read_all(tmp_path, registry()[f"the_cauldron/{config}"], {})
    assert [outcome_of(r) for r in found] == [kept([picture("a")], [SAID])]
    assert isinstance(found[0], Row)
    assert found[0].turns[0].source == f"the_cauldron/{config}"


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL}")
def test_real_tabmwp_rows() -> None:
    found = read_all(REAL / "hub", registry()["the_cauldron/tabmwp"], {})
    assert len(found) == 1000
    assert all(isinstance(r, Row) and len(r.turns) == 2 and r.images[0].data for r in found)
    assert not any(isinstance(r, BadRow) for r in found)
