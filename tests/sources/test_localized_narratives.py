"""Localized Narratives: captions of photographs whose addresses follow from their ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from cauldron.sources import localized_narratives
from cauldron.sources.base import BadRow, Row
from cauldron.sources.catalog import registry
from cauldron.sources.localized_narratives import PARTS, PROMPTS
from cauldron.sources.repos.roots import open_root
from cauldron.sources.values.prompts import draw

from cauldron.core.errors import SourceUnavailable, UsageError
from tests.sources.reader_base import Outcome, ReaderTests, bad, read_all, told

REPO = "HuggingFaceM4/LocalizedNarratives"
TRAIN = "open_images_train_v6_localized_narratives-{:05d}-of-00002.jsonl"
S3 = "https://open-images-dataset.s3.amazonaws.com"


def image_id(number: int) -> str:
    return f"{number:016x}"


def narrative(image: Any, caption: Any, dataset: str = "open_images", **more: Any) -> dict:
    """A line as published, with its traces."""
    return {
        "dataset_id": dataset,
        "image_id": image,
        "annotator_id": 93,
        "caption": caption,
        "timed_caption": [{"utterance": "In this", "start_time": 0.0, "end_time": 0.4}],
        "traces": [[{"x": 0.2086, "y": -0.0533, "t": 0.022}] * 20],
        "voice_recording": f"{dataset}/{image}_93.ogg",
        **more,
    }


def write(path: Path, lines: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def asked(number: int, caption: str | None, annotator: int = 93) -> tuple[Any, ...]:
    question = draw(PROMPTS, f"{image_id(number)} {annotator}")
    return (f"{S3}/train/{image_id(number)}.jpg",), ((question, caption),)


def seen(row: Row | BadRow) -> Any:
    """Addresses and turns, or the reason."""
    if isinstance(row, BadRow):
        return row.reason
    turns = tuple((turn.user, turn.assistant) for turn in row.turns)
    return tuple(image.url for image in row.images), turns


class TestDocuments(ReaderTests):
    """As documents, in shards with traces, one of them with everything that may be wrong."""

    name = "localized_narratives"
    options: ClassVar = {"document": True}
    published: ClassVar = [TRAIN.format(0), TRAIN.format(1)]

    def publish(self, folder: Path, root: Path) -> None:
        write(
            folder / self.published[0],
            [
                narrative(image_id(1), "In this image there are cows."),
                narrative(image_id(1), "I can see two cows.", annotator_id=7),
                narrative(image_id(2), "There is a gate."),
            ],
        )
        write(
            folder / self.published[1],
            [
                narrative(image_id(3), None),
                narrative(image_id(4), "  "),
                narrative(image_id(5), ["In", "this"]),
                narrative(image_id(6), 7),
                narrative("../../secret", "A path."),
                narrative("1?x=", "A query."),
                narrative("127.0.0.1/x", "An address."),
                narrative(image_id(7).upper().replace("7", "F"), "Not an id of Open Images."),
                narrative(None, "No image."),
                narrative({"id": 1}, "An image that is an object."),
                narrative(True, "An image that is true."),
                "not an object",
                {"image_id": image_id(8)},
                narrative(image_id(9), "The last one."),
            ],
        )
        (folder / "LocalizedNarratives.py").write_text("a loading script")
        write(folder / "coco_val_localized_narratives.jsonl", [narrative("9", "Not asked for.")])

    def expected(self) -> list[Outcome]:
        def document(number: int, caption: str) -> Outcome:
            return told([None, caption], urls=[f"{S3}/train/{image_id(number)}.jpg"])

        return [
            document(1, "In this image there are cows."),
            document(1, "I can see two cows."),
            document(2, "There is a gate."),
            bad("empty_document"),
            bad("empty_document"),
            bad("bad_row"),
            document(6, "7"),
            *[bad("bad_row")] * 9,
            document(9, "The last one."),
        ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / REPO


def read(root: Path, limit: int = -1, **options: Any) -> list[Row | BadRow]:
    return read_all(root, registry()["localized_narratives"], options, limit)


def files(root: Path, **options: Any) -> list[str]:
    repo = open_root(str(root)).repo(REPO)
    return [file.path for file in registry()["localized_narratives"].files(repo, options)]


def test_a_row_is_a_question_and_its_narrative(tmp_path: Path, folder: Path) -> None:
    lines = [narrative(image_id(1), "Cows."), narrative(image_id(1), "A herd.", annotator_id=7)]
    write(folder / "open_images_train_v6_captions.jsonl", [*lines, narrative(image_id(2), None)])
    rows = read(tmp_path)
    assert [seen(row) for row in rows] == [
        asked(1, "Cows."),
        asked(1, "A herd.", 7),
        asked(2, None),
    ]
    assert [row.origin.key for row in rows] == [image_id(1), image_id(1), image_id(2)]


def test_each_split_has_its_addresses(tmp_path: Path, folder: Path) -> None:
    write(folder / "annotations/open_images_test_captions.jsonl", [narrative(image_id(5), "a")])
    write(
        folder / "annotations/coco_train_captions.jsonl", [narrative("42", "b"), narrative(7, "c")]
    )
    write(folder / "annotations/coco_val_captions.jsonl", [narrative("137576", "d")])
    wanted = ["coco_val", "open_images_test", "coco_train"]
    urls = [row.images[0].url for row in read(tmp_path, parts=wanted) if isinstance(row, Row)]
    coco = "http://images.cocodataset.org"
    assert urls == [
        f"{coco}/val2017/000000137576.jpg",
        f"{S3}/test/{image_id(5)}.jpg",
        f"{coco}/train2017/000000000042.jpg",
        f"{coco}/train2017/000000000007.jpg",
    ]


def test_datasets_without_addresses_are_dropped(tmp_path: Path, folder: Path) -> None:
    parts = [part for part, known in PARTS.items() if not known.image]
    for part in parts:
        write(folder / f"{part}_captions.jsonl", [narrative("1000092795", "Two men.")])
    assert [seen(row) for row in read(tmp_path, parts=parts)] == ["image_not_shipped"] * 5


def test_captions_are_read_instead_of_narratives(tmp_path: Path, folder: Path) -> None:
    write(folder / TRAIN.format(0), [narrative(image_id(1), "With traces.")])
    write(folder / "open_images_train_v6_captions.jsonl", [narrative(image_id(1), "Without.")])
    assert files(tmp_path) == ["open_images_train_v6_captions.jsonl"]
    repo = open_root(str(tmp_path)).repo(REPO)
    (note,) = registry()["localized_narratives"].notes(repo, {})
    assert TRAIN.format(0) in note


def test_a_missing_shard_is_told(tmp_path: Path, folder: Path) -> None:
    write(folder / TRAIN.format(1), [narrative(image_id(1), "The second.")])
    assert [seen(row) for row in read(tmp_path)] == ["missing_shard", asked(1, "The second.")]


def test_a_line_that_is_too_long_costs_only_itself(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(localized_narratives, "MAX_LINE", 100_000)
    points = [[{"x": 0.5, "y": 0.5, "t": 0.1}] * 10_000]
    long = narrative(image_id(1), "Long.", traces=points)
    write(folder / TRAIN.format(0), [long, narrative(image_id(2), "Short.")])
    write(folder / TRAIN.format(1), [])
    rows = [seen(row) for row in read(tmp_path)]
    assert rows == ["bad_json", asked(2, "Short."), "unreadable_file"]


def test_a_line_cut_in_the_middle_costs_only_itself(tmp_path: Path, folder: Path) -> None:
    write(
        folder / TRAIN.format(0), [narrative(image_id(1), "Cut."), narrative(image_id(2), "Next.")]
    )
    path = folder / TRAIN.format(0)
    first, second = path.read_bytes().splitlines()
    path.write_bytes(first[:-30] + b"\n" + second + b"\n")
    write(folder / TRAIN.format(1), [narrative(image_id(3), "Last.")])
    assert [seen(row) for row in read(tmp_path)] == [
        "bad_json",
        asked(2, "Next."),
        asked(3, "Last."),
    ]


def test_annotations_may_be_in_another_folder(tmp_path: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    name = "open_images_train_v6_captions.jsonl"
    write(elsewhere / name, [narrative(image_id(1), "Cows."), narrative(image_id(2), "A gate.")])
    assert files(tmp_path, annotations=str(elsewhere)) == [str(elsewhere / name)]
    rows = read(tmp_path, annotations=str(elsewhere))
    assert [seen(row) for row in rows] == [asked(1, "Cows."), asked(2, "A gate.")]
    assert [seen(row) for row in read(tmp_path, 1, annotations=str(elsewhere))] == [
        asked(1, "Cows.")
    ]
    assert {row.origin.file for row in rows} == {name}


def test_without_files_the_remedy_is_told(tmp_path: Path, folder: Path) -> None:
    write(folder / "coco_val_captions.jsonl", [narrative("9", "Another part.")])
    for options in ({}, {"annotations": str(tmp_path / "nothing")}):
        with pytest.raises(SourceUnavailable, match="open_images_train_v6_captions"):
            read(tmp_path, **options)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("parts", []),
        ("parts", "coco_val"),
        ("parts", ["coco"]),
        ("parts", [["coco_val"]]),
        ("annotations", "a/relative/path"),
        ("annotations", 7),
        ("document", "yes"),
    ],
)
def test_wrong_options_are_told(option: str, value: Any) -> None:
    with pytest.raises(UsageError, match=option):
        registry()["localized_narratives"].settled({option: value})
