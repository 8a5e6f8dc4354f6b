"""`cauldron verify` on merged rows, clusters and contamination: every kind of damage is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cauldron.inspect.verify import verify
from tests.curated import LNQA, OKVQA, VQA, World, cluster_name, row
from tests.damage import edit, only, some, trust
from tests.fixtures_out import change_manifest

ONE = row(VQA, [("What?", "a cat"), ("Color?", "red")], 1, 11, size=(16, 12))
TWO = row(LNQA, [("Why?", "because")], 2, 12)
THREE = row(OKVQA, [("Where?", "here")], 3, 13)
PART = row(OKVQA, [("Who?", "nobody")], 4, 14)
BAD = row(LNQA, [("How?", "so")], 5)
CLUSTERS = {
    0: [(ONE, 0), (TWO, 0), (THREE, 0), (PART, 0)],
    1: [(ONE, 1), (TWO, 1), (THREE, 1)],
}
BUCKET, MERGED = "decisions-00000-of-00001.parquet", "merged-00000-of-00001.jsonl"
CLUSTER_FILE, CONTAMINATION_FILE = (
    f"{stem}-00000-of-00001.parquet" for stem in ("clusters", "contamination")
)

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """An output folder and its curation's, relative to it."""
    world = World(str(tmp_path_factory.mktemp("verify") / "out"))
    world.add(VQA, [ONE])
    world.add(LNQA, [TWO, BAD, TWO])
    world.add(OKVQA, [THREE, PART])
    curation = world.curate(CLUSTERS, contaminated=[(BAD, 0)])
    world.mix(curation)
    return world.out, f"curation/{curation.fingerprint}"


@pytest.fixture
def out(built: tuple[str, str], tmp_path: Path) -> str:
    copy = str(tmp_path / "out")
    shutil.copytree(built[0], copy)
    return copy


@pytest.fixture
def curation(built: tuple[str, str]) -> str:
    return built[1]


def one_of(rows: Rows, **wanted: Any) -> dict[str, Any]:
    return next(r for r in rows if all(r[name] == value for name, value in wanted.items()))


def text_of(out: str, curation: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the merged text, and let decisions and manifest agree about where it is."""
    path = Path(out) / curation / MERGED
    (line,) = path.read_text().splitlines()
    sample = json.loads(line)
    change(sample)
    path.write_text(json.dumps(sample, ensure_ascii=False) + "\n")
    trust(out, f"{curation}/{MERGED}", curation)
    length = path.stat().st_size - 1
    edit(
        out,
        f"{curation}/{BUCKET}",
        curation,
        lambda rows: one_of(rows, source=VQA).update(merged_length=length),
    )


def test_a_good_output_has_no_problem(out, curation):
    assert verify(out) == []
    rows = pq.read_table(f"{out}/{curation}/{BUCKET}").to_pylist()
    assert sum(r["reason"] == "near_duplicate" for r in rows) == 2
    assert sum(r["merged_length"] is not None for r in rows) == 1


@pytest.mark.parametrize("file", [MERGED, CLUSTER_FILE, CONTAMINATION_FILE])
def test_every_file_of_a_curation_is_hashed(out, curation, file):
    path = Path(out) / curation / file
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    some(verify(out), f"{curation}/{file}", "SHA-256")
    path.unlink()
    some(verify(out), f"{curation}/{file}", "missing")


def test_files_that_nobody_listed_are_found(out, curation):
    (Path(out) / curation / "merged-00001-of-00002.jsonl").write_bytes(b"")
    only(verify(out), f"{curation}/merged-00001-of-00002.jsonl: no manifest.json lists it")


def test_a_wrong_number_of_merged_texts_is_found(out, curation):
    def change(values: dict[str, Any]) -> None:
        values["merged"][0]["rows"] = 2

    change_manifest(f"{out}/{curation}", change)
    only(verify(out), MERGED, "rows 1, manifest.json says 2")


# Merged texts


@pytest.mark.parametrize(
    "change",
    [
        lambda sample: sample["turns"].pop(),
        lambda sample: sample["turns"].append(sample["turns"][0]),
        lambda sample: sample["turns"].reverse(),
        lambda sample: sample["turns"][2].update(assistant="invented"),
        lambda sample: sample["turns"][2].update(source="cord_v2"),
        lambda sample: sample["turns"][0].update(user_tokens=9),
        lambda sample: sample.update(license="mit"),
        lambda sample: sample.update(id="0" * 32),
        lambda sample: sample["images"].reverse(),
    ],
    ids=["lost", "twice", "order", "answer", "source", "tokens", "licence", "id", "images"],
)
def test_a_merged_text_that_its_rows_do_not_make_is_found(out, curation, change):
    text_of(out, curation, change)
    some(verify(out), f"{curation}/{MERGED}", "is not what its 3 rows make")


def test_a_merged_text_that_is_no_sample_is_found(out, curation):
    text_of(out, curation, lambda sample: sample.pop("turns"))
    some(verify(out), f"{curation}/{MERGED}", "cannot be read")


@pytest.mark.parametrize("name", ["answer_tokens", "turns"])
def test_other_figures_than_those_of_the_merged_text_are_found(out, curation, name):
    edit(
        out,
        f"{curation}/{BUCKET}",
        curation,
        lambda rows: one_of(rows, source=VQA).update({name: 1}),
    )
    some(verify(out), MERGED, "has other figures than its merged text")


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row["contributions"].pop(),
        lambda row: row["contributions"].reverse(),
        lambda row: row["contributions"][0].update(turns=1),
        lambda row: row.update(contributions=None),
    ],
)
def test_other_contributions_than_those_of_the_merged_text_are_found(out, curation, change):
    edit(out, f"{curation}/{BUCKET}", curation, lambda rows: change(one_of(rows, source=VQA)))
    some(verify(out), MERGED, "has other figures than its merged text")


def test_contributions_to_a_row_that_nothing_was_merged_into_are_found(out, curation):
    part = {"source": VQA, "turns": 1, "answer_tokens": 1}
    kept = {"source": OKVQA, "decision": "keep"}
    file = f"{curation}/{BUCKET}"
    edit(out, file, curation, lambda rows: one_of(rows, **kept).update(contributions=[part]))
    some(verify(out), curation, "1 decisions that point to no merged text")


def test_a_text_that_no_row_points_to_is_found(out, curation):
    path = Path(out) / curation / MERGED
    path.write_bytes(path.read_bytes() * 2)
    trust(out, f"{curation}/{MERGED}", curation)
    some(verify(out), MERGED, "no row points to what follows")


def test_a_text_at_another_place_is_found(out, curation):
    edit(
        out,
        f"{curation}/{BUCKET}",
        curation,
        lambda rows: one_of(rows, source=VQA).update(merged_offset=3),
    )
    some(verify(out), MERGED, "is at 3, the one before ends at 0")


@pytest.mark.parametrize(
    "change",
    [{"merged_file": 1}, {"merged_file": -1}, {"merged_length": None}, {"merged_length": 0}],
)
def test_a_row_that_points_to_no_text_is_found(out, curation, change):
    file = f"{curation}/{BUCKET}"
    edit(out, file, curation, lambda rows: one_of(rows, source=VQA).update(change))
    some(verify(out), curation, "1 decisions that point to no merged text")


def test_a_text_that_ends_after_its_file_is_found(out, curation):
    def change(rows: Rows) -> None:
        one_of(rows, source=VQA)["merged_length"] += 100

    edit(out, f"{curation}/{BUCKET}", curation, change)
    some(verify(out), curation, MERGED, "cannot be read")


# Decisions


def undo_merge(rows: Rows) -> None:
    one_of(rows, source=OKVQA, reason="near_duplicate").update(
        decision="keep", reason=None, into_source=None, into_part=None, into_row=None
    )


def test_a_row_that_no_longer_merges_is_missed_in_the_text(out, curation):
    edit(out, f"{curation}/{BUCKET}", curation, undo_merge)
    problems = verify(out)
    some(problems, MERGED, "is not what its 2 rows make")
    some(problems, curation, OKVQA, "rows kept 2, manifest.json says 1")


def test_a_merge_into_a_row_that_merges_itself_is_found(out, curation):
    def change(rows: Rows) -> None:
        target = one_of(rows, source=LNQA, reason="near_duplicate")
        one_of(rows, source=OKVQA, reason="near_duplicate").update(
            into_source=LNQA, into_part=target["part"], into_row=target["row"]
        )

    edit(out, f"{curation}/{BUCKET}", curation, change)
    some(verify(out), curation, OKVQA, "1 merges into a row that is not kept")


def test_a_merge_with_a_row_of_which_only_some_pictures_match_is_found(out, curation):
    def change(rows: Rows) -> None:
        target = one_of(rows, source=VQA)
        one_of(rows, source=OKVQA, decision="keep").update(
            decision="merge",
            reason="near_duplicate",
            into_source=VQA,
            into_part=target["part"],
            into_row=target["row"],
        )

    edit(out, f"{curation}/{BUCKET}", curation, change)
    some(verify(out), curation, "1 near-duplicates with other pictures than the row that stays")


def test_a_copy_that_goes_elsewhere_than_its_original_is_found(out, curation):
    def change(rows: Rows) -> None:
        stays = one_of(rows, source=OKVQA, decision="keep")
        one_of(rows, reason="exact_copy").update(into_source=OKVQA, into_row=stays["row"])

    edit(out, f"{curation}/{BUCKET}", curation, change)
    only(verify(out), curation, LNQA, "1 exact copies that go elsewhere than their original")


def test_decisions_that_the_action_does_not_make_are_found(out, curation):
    change_manifest(f"{out}/{curation}", lambda values: values.update(action="keep"))
    problems = verify(out)
    some(problems, curation, "2 decisions merge with near_duplicate")
    some(problems, curation, "1 decisions keep with merged text")


def test_a_wrong_cluster_is_found(out, curation):
    edit(
        out,
        f"{curation}/{BUCKET}",
        curation,
        lambda rows: one_of(rows, source=VQA).update(cluster=cluster_name(1)),
    )
    problems = verify(out)
    some(problems, curation, "1 decisions with another cluster than their first image in one")
    some(problems, "mixtures/test/sft", VQA, "1 copies with another cluster than their decision")


# Evidence


def test_a_cluster_of_one_image_is_found(out, curation):
    file = f"{curation}/{CLUSTER_FILE}"
    edit(out, file, curation, lambda rows: rows.append(rows[0] | {"cluster": "f" * 32, "image": 0}))
    problems = verify(out)
    some(problems, curation, "1 clusters of a single image")
    some(problems, curation, "1 images that are in several clusters, or twice in one")


@pytest.mark.parametrize("value", [True, False])
def test_a_cluster_without_exactly_one_representative_is_found(out, curation, value):
    file = f"{curation}/{CLUSTER_FILE}"
    place = 1 if value else 0
    edit(out, file, curation, lambda rows: rows[place].update(representative=value))
    only(verify(out), curation, "1 clusters without exactly one representative")


@pytest.mark.parametrize("change", [{"image": 2}, {"id": "0" * 32}, {"source": "dolly"}])
def test_images_in_clusters_that_no_corpus_has_are_found(out, curation, change):
    edit(out, f"{curation}/{CLUSTER_FILE}", curation, lambda rows: rows[-1].update(change))
    some(verify(out), curation, "1 images in clusters that no corpus has")


def test_contaminated_rows_that_stay_are_found(out, curation):
    def change(rows: Rows) -> None:
        one_of(rows, reason="contaminated").update(decision="keep", reason=None)

    edit(out, f"{curation}/{BUCKET}", curation, change)
    some(verify(out), curation, "1 contaminated rows that were not dropped")


def test_a_removal_without_evidence_is_found(out, curation):
    file = f"{curation}/{CONTAMINATION_FILE}"
    edit(out, file, curation, lambda rows: rows[0].update(removed=False))
    only(verify(out), curation, "1 rows dropped as contaminated that no evidence names")
    edit(out, file, curation, lambda rows: rows[0].update(image=1))
    some(verify(out), curation, "1 contaminated images that no corpus has")


@pytest.mark.parametrize("change", [{"benchmark": "x"}, {"benchmark_image": 1}])
def test_evidence_that_names_no_image_of_a_benchmark_is_found(out, curation, change):
    file = f"{curation}/{CONTAMINATION_FILE}"
    edit(out, file, curation, lambda rows: rows[0].update(change))
    only(verify(out), curation, "1 contaminated images whose benchmark has no such image")


def test_a_benchmark_that_is_gone_is_found(out, curation):
    shutil.rmtree(f"{out}/benchmarks")
    only(verify(out), curation, "benchmarks/mmmu/b0 is not there or not finished")


@pytest.mark.parametrize("file", ["part-00000-of-00001.parquet", "images-00000-of-00001.tar"])
def test_a_changed_benchmark_is_found(out, file):
    path = Path(out) / "benchmarks/mmmu/b0" / file
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    some(verify(out), f"benchmarks/mmmu/b0/{file}", "SHA-256")


# Mixtures


def shard_of(out: str) -> str:
    """The only shard of the mixture, relative to the output folder."""
    [path] = Path(out).glob("mixtures/test/sft/data/*/train-*.parquet")
    return str(path.relative_to(out))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda r: r["turn_sources"].reverse(), "has turns that its merged text has not"),
        (
            lambda r: r["messages"][1]["content"][0].update(text="invented"),
            "has turns that its merged text has not",
        ),
        (lambda r: r["tokens"].update(answer=99), "has other token counts than its turns"),
        (lambda r: r.update(license="mit"), "has another licence than its merged text"),
    ],
    ids=["sources", "answer", "tokens", "licence"],
)
def test_a_copy_that_differs_from_its_merged_text_is_found(out, change, what):
    edit(out, shard_of(out), "mixtures/test/sft", lambda rows: change(one_of(rows, source=VQA)))
    some(verify(out), f"mixtures/test/sft: a copy of {ONE[0].id}", what)


def test_a_plain_copy_with_turns_of_another_source_is_found(out):
    edit(
        out,
        shard_of(out),
        "mixtures/test/sft",
        lambda rows: one_of(rows, source=OKVQA).update(turn_sources=[LNQA]),
    )
    problems = verify(out)
    some(problems, "mixtures/test/sft", OKVQA, "1 copies with turns of other sources")
    some(problems, "mixtures/test/sft", LNQA, "rows 2, manifest.json says 1")


def test_tokens_that_count_for_another_source_are_found(out):
    def change(values: dict[str, Any]) -> None:
        sources = values["sources"]
        for name, tokens in ((VQA, 1), (LNQA, -1)):
            sources[name]["answer_tokens"] += tokens
            sources[name]["share_reached"] = (
                sources[name]["answer_tokens"] / values["totals"]["answer_tokens"]
            )

    change_manifest(f"{out}/mixtures/test/sft", change)
    problems = verify(out)
    some(problems, VQA, "answer tokens 3, manifest.json says 4")
    some(problems, LNQA, "answer tokens 1, manifest.json says 0")


def test_a_wrong_number_of_rows_of_a_pass_is_found(out):
    def change(values: dict[str, Any]) -> None:
        values["sources"][LNQA]["pass_rows"] = 2

    change_manifest(f"{out}/mixtures/test/sft", change)
    some(verify(out), LNQA, "rows of a pass 1, manifest.json says 2")


def test_a_contaminated_row_in_a_mixture_is_found(out):
    def change(rows: Rows) -> None:
        one_of(rows, source=OKVQA).update(source=LNQA, id=BAD[0].id)

    edit(out, shard_of(out), "mixtures/test/sft", change)
    some(verify(out), "mixtures/test/sft", LNQA, "1 copies of rows that no decision keeps")
