"""Pre-training documents from curation to the mixture and its check: what is left out, and why."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cauldron.core.output.manifests import CurationManifest
from cauldron.core.schema import is_document
from cauldron.inspect.explain import explain
from cauldron.inspect.verify import verify
from tests.curated import IN_MEMORY, LNQA, VQA, World, document, picture, row
from tests.damage import edit, some
from tests.fixtures_out import change_manifest

WEB, LAION = "obelics", "laion_coco"
LOGO, PHOTO, TWIN = 1, 2, 3
THREE_WORKERS = ["--direct_num_workers=3", "--direct_running_mode=multi_threading"]

# A logo in four documents, one of which shows it twice, and another that has no other picture.
FIRST = document(WEB, LOGO, "The first.", PHOTO, "It ends.", number=0)
SECOND = document(WEB, "Before.", LOGO, "Between.", LOGO, "After.", 12, number=1)
BARE = document(WEB, LOGO, "Nothing but a logo.", number=2)
THIRD = document(WEB, 13, LOGO, "The third.", number=3)
PLAIN = document(WEB, "Two pictures.", 14, 15, number=4)
# Same picture; the same caption but for case, and another one.
CAPTION = document(LAION, PHOTO, "A red boat.", number=0)
ECHO = document(LAION, TWIN, "a red  boat", number=1)
OTHER = document(LAION, TWIN, "A boat at sea.", number=2)
# A question about the logo, which is no document.
ASKED = row(VQA, [("Whose logo?", "Acme's.")], LOGO)
CLUSTERS = {
    0: [(FIRST, 0), (SECOND, 0), (SECOND, 1), (BARE, 0), (THIRD, 1), (ASKED, 0)],
    1: [(CAPTION, 0), (ECHO, 0), (OTHER, 0)],
}


def made(folder: Path, beam_args: Any = tuple(IN_MEMORY), **rules: Any) -> tuple[World, Any]:
    world = World(str(folder / "out"))
    world.add(WEB, [FIRST, SECOND, BARE], [THIRD, PLAIN, FIRST])
    world.add(LAION, [CAPTION, ECHO, OTHER])
    world.add(VQA, [ASKED])
    curation = world.curate(CLUSTERS, beam_args=beam_args, **{"max_documents": 3} | rules)
    world.mix(curation, beam_args)
    return world, curation


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, CurationManifest]:
    return made(tmp_path_factory.mktemp("documents"))


@pytest.fixture
def out(built: tuple[World, CurationManifest], tmp_path: Path) -> str:
    copy = str(tmp_path / "out")
    shutil.copytree(built[0].out, copy)
    return copy


def content(message: dict[str, Any]) -> list[str | None]:
    return [part["text"] for part in message["content"]]


def copies(world: World) -> dict[str, list[str | None]]:
    rows = [row for row in world.mixture() if is_document(row["messages"])]
    assert all(len(row["messages"]) == 1 for row in rows)
    return {row["id"]: content(row["messages"][0]) for row in rows}


def test_a_picture_in_too_many_documents_is_left_out_of_all_of_them(built):
    found = copies(built[0])
    assert found[FIRST[0].id] == ["The first.", None, "It ends."]
    assert found[SECOND[0].id] == ["Before.\n\nBetween.\n\nAfter.", None]
    assert found[THIRD[0].id] == [None, "The third."]
    assert found[PLAIN[0].id] == ["Two pictures.", None, None]


def test_images_and_their_facts_follow(built):
    rows = {row["id"]: row for row in built[0].mixture()}
    assert [image["bytes"] for image in rows[FIRST[0].id]["images"]] == [picture(PHOTO)]
    for one in rows.values():
        placed = sum(p["type"] == "image" for m in one["messages"] for p in m["content"])
        assert len(one["images"]) == len(one["image_info"]) == placed
        assert one["turn_sources"] == [one["source"]]
    assert rows[THIRD[0].id]["tokens"] == {"answer": 2, "text": 2, "image": 169}


def test_a_document_of_nothing_but_such_pictures_is_dropped(built):
    world, curation = built
    assert BARE[0].id not in copies(world)
    decided = world.decisions(curation)[WEB, 0, 2]
    assert (decided["decision"], decided["reason"]) == ("drop", "repeated_images")
    assert curation.counts[WEB].dropped == {"repeated_images": 1}
    assert curation.counts[WEB].repeated_images == 4


def test_a_document_that_shows_a_picture_twice_counts_once(tmp_path):
    world, curation = made(tmp_path, max_documents=4)
    assert curation.counts[WEB].repeated_images == 0
    assert copies(world)[SECOND[0].id] == list(SECOND[0].document.parts)


def test_questions_about_the_picture_stay(built):
    rows = [row for row in built[0].mixture() if row["source"] == VQA]
    assert [len(row["images"]) for row in rows] == [1]
    assert not is_document(rows[0]["messages"])


@pytest.mark.parametrize("action", ["merge", "drop"])
def test_of_documents_with_the_same_pictures_and_text_one_stays(tmp_path, action):
    world, curation = made(tmp_path, action=action)
    found = copies(world)
    assert (CAPTION[0].id in found) != (ECHO[0].id in found)
    assert OTHER[0].id in found
    assert curation.counts[LAION].dropped == {"near_duplicate": 1}
    assert verify(world.out) == []


def test_without_a_limit_pictures_stay(tmp_path):
    world, curation = made(tmp_path, max_documents=None, action="keep")
    assert BARE[0].id in copies(world)
    assert curation.counts[WEB].repeated_images == 0
    assert verify(world.out) == []


def test_nothing_is_merged_into_documents_of_another_kind(tmp_path):
    """A question and a document on one picture are two rows."""
    world = World(str(tmp_path / "out"))
    told, asked = document(LNQA, PHOTO, "A boat."), row(VQA, [("What?", "A boat.")], PHOTO)
    world.add(LNQA, [told])
    world.add(VQA, [asked])
    world.mix(world.curate({0: [(told, 0), (asked, 0)]}, max_documents=1))
    assert {row["source"] for row in world.mixture()} == {LNQA, VQA}


def test_a_contaminated_document_is_dropped_and_counts_for_nothing(tmp_path):
    world = World(str(tmp_path / "out"))
    world.add(WEB, [FIRST, SECOND, THIRD])
    clusters = {0: [(FIRST, 0), (SECOND, 0), (THIRD, 1)]}
    curation = world.curate(clusters, contaminated=[(SECOND, 2)], max_documents=2)
    assert curation.counts[WEB].dropped == {"contaminated": 1}
    assert curation.counts[WEB].repeated_images == 0


def test_more_workers_give_the_same_bytes(built, tmp_path):
    other, curation = made(tmp_path, THREE_WORKERS)
    assert curation == built[1]
    assert other.mixture() == built[0].mixture()


def test_verify_finds_nothing_wrong(built):
    assert verify(built[0].out) == []


def test_explain_says_what_was_left_out(built):
    lines = explain(built[0].out, SECOND[0].id)
    told = [line for line in lines if "is left out" in line]
    assert [line.split()[1] for line in told] == ["0", "1"]
    assert any("a document" in line for line in lines)
    assert any("repeated_images" in line for line in explain(built[0].out, BARE[0].id))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"dropped_images": None}, "kept documents without other pictures"),
        ({"dropped_images": [1]}, "copies with other images than their corpus row"),
        ({"dropped_images": [0, 1]}, "documents that are kept without any picture"),
    ],
)
def test_verify_names_wrong_pictures(built, out, changes, problem):
    curation = f"curation/{built[1].fingerprint}"
    bucket = f"{curation}/decisions-00000-of-00001.parquet"

    def change(rows: list[dict[str, Any]]) -> None:
        next(r for r in rows if r["id"] == FIRST[0].id and not r["reason"]).update(changes)

    edit(out, bucket, curation, change)
    some(verify(out), problem)


def test_verify_counts_what_was_left_out(built, out):
    def change(values: dict[str, Any]) -> None:
        values["counts"][WEB]["repeated_images"] = 7

    change_manifest(f"{out}/curation/{built[1].fingerprint}", change)
    some(verify(out), "repeated images")
