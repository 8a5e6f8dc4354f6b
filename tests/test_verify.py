"""`cauldron verify`: a good output passes, and every kind of damage is named with its file."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.inspect.verify import verify
from tests.damage import edit, entry_of, only, some, trust
from tests.fixtures_out import LIMA, VQAV2, change_manifest, make_out

CORPUS = f"corpus/{VQAV2}/aaa111"
QUARANTINE = f"quarantine/{VQAV2}/aaa111"
CURATION = "curation/cccaaa111bbb222"
MIXTURE = "mixtures/tiny/sft"
PART = f"{CORPUS}/part-00000-of-00002.parquet"
PACK = f"{CORPUS}/images-00000-of-00002.tar"
BUCKET = f"{CURATION}/decisions-00000-of-00002.parquet"
SHARD = f"{MIXTURE}/data/ddd444/train-00000-of-00002.parquet"


@pytest.fixture
def out(tmp_path: Path) -> str:
    return make_out(str(tmp_path / "out"))


def test_a_good_output_has_no_problem(out: str) -> None:
    assert verify(out) == []


def test_nothing_finished_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CauldronError, match="nothing finished to verify"):
        verify(str(tmp_path))


def test_progress_ends_with_every_byte(out: str) -> None:
    calls: list[tuple[int, int]] = []
    verify(out, lambda done, total: calls.append((done, total)))
    listed = sum(
        path.stat().st_size for path in Path(out).rglob("*") if path.suffix in (".parquet", ".tar")
    )
    assert calls[-1] == (listed, listed)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_it_works_on_other_file_systems() -> None:
    root = make_out(f"memory://{uuid.uuid4().hex}/out")
    assert verify(root) == []
    storage.remove(storage.join(root, SHARD))
    some(verify(root), SHARD, "missing")
    storage.remove(root)


def test_folders_without_a_manifest_are_left_alone(out: str) -> None:
    shutil.copytree(f"{out}/corpus/{LIMA}/bbb222", f"{out}/corpus/{LIMA}/unfinished")
    os.unlink(f"{out}/corpus/{LIMA}/unfinished/manifest.json")
    (Path(out) / f"corpus/{LIMA}/unfinished/.tmp-x").write_text("")
    assert verify(out) == []


# Files

FILES = [PART, PACK, f"{QUARANTINE}/part-00000-of-00002.parquet", BUCKET, SHARD]


@pytest.mark.parametrize("file", FILES)
def test_a_changed_byte_is_found(out: str, file: str) -> None:
    path = Path(out) / file
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    some(verify(out), file, "SHA-256")


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_found(out: str, file: str) -> None:
    os.unlink(f"{out}/{file}")
    some(verify(out), file, "missing")


@pytest.mark.parametrize("file", FILES)
def test_a_truncated_file_is_found(out: str, file: str) -> None:
    path = Path(out) / file
    size = path.stat().st_size
    os.truncate(path, size // 2)
    some(verify(out), file, f"bytes {size // 2:,}", f"{size:,}")


@pytest.mark.parametrize(
    "folder", [CORPUS, QUARANTINE, CURATION, MIXTURE, f"{MIXTURE}/data/ddd444"]
)
def test_files_that_nobody_listed_are_found(out: str, folder: str) -> None:
    (Path(out) / folder / "part-00007-of-00002.parquet").write_bytes(b"x")
    only(verify(out), f"{folder}/part-00007-of-00002.parquet: no manifest.json lists it")
    os.unlink(f"{out}/{folder}/part-00007-of-00002.parquet")
    (Path(out) / folder / ".tmp-abcpart").write_bytes(b"x")
    only(verify(out), f"{folder}/.tmp-abcpart: a temporary file left behind")


def test_a_mixture_without_its_card_is_found(out: str) -> None:
    os.unlink(f"{out}/{MIXTURE}/README.md")
    only(verify(out), f"{MIXTURE}/README.md: missing")


def test_a_wrong_number_of_rows_is_found(out: str) -> None:
    def change(values: dict[str, Any]) -> None:
        entry_of(values, "decisions-00000-of-00002.parquet")["rows"] += 1

    change_manifest(f"{out}/{CURATION}", change)
    only(verify(out), BUCKET, "rows 5, manifest.json says 6")


# Corpora


def set_in(*keys: Any, to: Any) -> Callable[[Any], None]:
    def change(values: Any) -> None:
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("turns", 1, "turns 10, manifest.json says 1"),
        ("images", 8, "images 7, manifest.json says 8"),
        ("answer_tokens", 0, "answer tokens 60, manifest.json says 0"),
        ("text_tokens", 0, "text tokens 100, manifest.json says 0"),
    ],
)
def test_wrong_sums_of_a_corpus_are_found(out: str, key: str, value: int, message: str) -> None:
    change_manifest(f"{out}/{CORPUS}", set_in("counts", key, to=value))
    only(verify(out), CORPUS, message)


def test_vanished_rows_are_found(out: str) -> None:
    change_manifest(f"{out}/{CORPUS}", set_in("counts", "rows_in", to=20))
    some(verify(out), CORPUS, "rows accounted for 12, manifest.json says 20")


@pytest.mark.parametrize("outcome", ["dropped", "quarantined"])
def test_quarantine_and_counts_must_agree(out: str, outcome: str) -> None:
    change_manifest(f"{out}/{CORPUS}", set_in("counts", outcome, to={"bad_json": 9}))
    some(verify(out), CORPUS, f"{outcome} rows", "manifest.json says {'bad_json': 9}")


def test_an_unlisted_reason_is_found(out: str) -> None:
    file = f"{QUARANTINE}/part-00000-of-00002.parquet"
    edit(out, file, CORPUS, lambda rows: rows[0].update(reason="whim"))
    some(verify(out), file, "'whim'")


def test_a_row_of_another_source_is_found(out: str) -> None:
    edit(out, PART, CORPUS, lambda rows: rows[1].update(source="lima"))
    some(verify(out), PART, "row 1 is of source lima")


def test_other_columns_are_found(out: str) -> None:
    table = pq.read_table(f"{out}/{PART}").drop_columns(["language"])
    pq.write_table(table, f"{out}/{PART}")
    trust(out, PART, CORPUS)
    some(verify(out), PART, "not those of a corpus")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("license", "mit"),
        ("turn_sources", ["x"]),
        ("language", None),
        ("messages", []),
        ("origin", {"file": "other", "row_group": 0, "row": 0, "key": ""}),
    ],
)
def test_a_row_that_differs_from_its_record_is_found(out: str, name: str, value: Any) -> None:
    edit(out, PART, CORPUS, lambda rows: rows[1].update({name: value}))
    only(verify(out), PACK, f"row 1: {name} of the record differs from the row")


def test_a_wrong_offset_is_found(out: str) -> None:
    edit(out, PART, CORPUS, lambda rows: rows[1].update(offset=rows[1]["offset"] + 512))
    problems = verify(out)
    some(problems, PACK, "row 1: its record is at")
    some(problems, CURATION, "1 decisions with other figures than their row")


def test_a_wrong_image_offset_is_found(out: str) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[2]["image_info"][0]["offset"] += 1

    edit(out, PART, CORPUS, change)
    only(verify(out), PACK, "row 2: image 0 is", "the row says otherwise")


def test_a_changed_image_is_found_even_where_the_hash_of_the_pack_agrees(out: str) -> None:
    row = pq.read_table(f"{out}/{PART}").to_pylist()[1]
    path = Path(out) / PACK
    data = bytearray(path.read_bytes())
    data[row["image_info"][0]["offset"] + 100] ^= 1
    path.write_bytes(data)
    trust(out, PACK, CORPUS)
    only(verify(out), PACK, "row 1: image 0 has changed")


def test_a_record_that_belongs_to_no_row_is_found(out: str) -> None:
    edit(out, PART, CORPUS, lambda rows: rows.pop())
    some(verify(out), PACK, "a record that belongs to no row")


def test_a_pack_that_is_no_tar_is_found(out: str) -> None:
    (Path(out) / PACK).write_bytes(b"x" * 4096)
    trust(out, PACK, CORPUS)
    some(verify(out), PACK, "no tar header")


# Decisions


def kept_row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in rows if row["source"] == VQAV2 and row["decision"] == "keep")


def test_a_row_without_a_decision_is_found(out: str) -> None:
    edit(out, BUCKET, CURATION, lambda rows: rows.remove(kept_row(rows)))
    some(verify(out), CURATION, VQAV2, "1 rows without a decision")


def test_a_row_with_two_decisions_is_found(out: str) -> None:
    edit(out, BUCKET, CURATION, lambda rows: rows.append(kept_row(rows)))
    some(verify(out), CURATION, VQAV2, "1 rows with several decisions")


def test_a_decision_on_nothing_is_found(out: str) -> None:
    edit(out, BUCKET, CURATION, lambda rows: kept_row(rows).update(row=77))
    some(verify(out), CURATION, "1 decisions on rows that are not there")


def test_a_decision_with_wrong_figures_is_found(out: str) -> None:
    edit(out, BUCKET, CURATION, lambda rows: kept_row(rows).update(answer_tokens=77))
    only(verify(out), CURATION, "1 decisions with other figures than their row")


def test_a_decision_of_no_kind_is_found(out: str) -> None:
    edit(out, BUCKET, CURATION, lambda rows: kept_row(rows).update(decision="maybe"))
    some(verify(out), CURATION, "1 decisions that are none of keep, merge, drop")


def test_a_decision_on_an_unknown_source_is_found(out: str) -> None:
    edit(out, BUCKET, CURATION, lambda rows: kept_row(rows).update(source="goat"))
    some(verify(out), CURATION, "1 decisions on goat")


def merged_bucket(out: str) -> str:
    for number in range(2):
        name = f"{CURATION}/decisions-{number:05d}-of-00002.parquet"
        if "merge" in pq.read_table(f"{out}/{name}")["decision"].to_pylist():
            return name
    raise AssertionError("no merged row")


def test_a_merge_into_a_row_that_is_not_kept_is_found(out: str) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        merged = next(row for row in rows if row["decision"] == "merge")
        merged["into_part"], merged["into_row"] = merged["part"], merged["row"]

    edit(out, merged_bucket(out), CURATION, change)
    some(verify(out), CURATION, VQAV2, "1 merges into a row that is not kept")


def test_an_id_that_is_kept_twice_is_found(out: str) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        merged = next(row for row in rows if row["decision"] == "merge")
        merged.update(decision="keep", reason=None, into_part=None, into_row=None)

    edit(out, merged_bucket(out), CURATION, change)
    problems = verify(out)
    some(problems, CURATION, "1 ids that are kept twice")
    some(problems, CURATION, "rows kept 6, manifest.json says 5")
    some(problems, CURATION, "merged rows {}, manifest.json says {'exact_copy': 1}")


def test_decisions_on_a_corpus_that_is_gone_are_found(out: str) -> None:
    shutil.rmtree(f"{out}/corpus/{LIMA}")
    problems = verify(out)
    some(problems, CURATION, f"corpus/{LIMA}/bbb222 is not there or not finished")
    some(problems, MIXTURE, f"corpus/{LIMA}/bbb222 is not there or not finished")


# Mixtures


def test_an_image_that_differs_from_its_digest_is_found(out: str) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        number = next(i for i, row in enumerate(rows) if row["images"])
        rows[number]["images"][0]["bytes"] += b"x"

    edit(out, SHARD, MIXTURE, change)
    some(verify(out), SHARD, "the SHA-256 of image 0 is", "image_info says")


def test_an_image_without_bytes_is_found(out: str) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        next(row for row in rows if row["images"])["images"][0]["bytes"] = None

    edit(out, SHARD, MIXTURE, change)
    some(verify(out), SHARD, "the SHA-256 of image 0 is none")


def test_images_and_placeholders_must_agree(out: str) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        row = next(row for row in rows if len(row["images"]) == 1)
        row["messages"][0]["content"].pop(0)

    edit(out, SHARD, MIXTURE, change)
    some(verify(out), SHARD, "1 images, 1 in image_info, 0 in messages")


def test_shards_without_features_are_found(out: str) -> None:
    table = pq.read_table(f"{out}/{SHARD}").replace_schema_metadata({})
    pq.write_table(table, f"{out}/{SHARD}")
    trust(out, SHARD, MIXTURE)
    some(verify(out), SHARD, "features for `datasets`")


def test_a_copy_of_a_copy_is_found(out: str) -> None:
    edit(out, SHARD, MIXTURE, lambda rows: rows.append(rows[0]))
    problems = verify(out)
    some(problems, MIXTURE, "1 copies twice in the same epoch")
    some(problems, MIXTURE, "shards: rows 17, manifest.json says 16")


def test_an_epoch_that_was_not_asked_for_is_found(out: str) -> None:
    edit(out, SHARD, MIXTURE, lambda rows: rows[0].update(epoch=2))
    some(verify(out), MIXTURE, "1 copies of an epoch outside 0 to 1")


def test_a_whole_epoch_that_lacks_a_row_is_found(out: str) -> None:
    edit(out, SHARD, MIXTURE, lambda rows: rows.remove(next(r for r in rows if r["epoch"] == 0)))
    some(verify(out), MIXTURE, "1 copies are missing of the first")


def test_epochs_that_do_not_fit_the_rows_are_found(out: str) -> None:
    change_manifest(f"{out}/{MIXTURE}", set_in("sources", LIMA, "epochs", to=1.9))
    only(verify(out), MIXTURE, LIMA, "6 rows, 1.9 epochs of 4 say otherwise")


def test_a_row_that_no_decision_keeps_is_found(out: str) -> None:
    edit(out, SHARD, MIXTURE, lambda rows: rows[0].update(id="0" * 32))
    some(verify(out), MIXTURE, "1 copies of rows that no decision keeps")


def test_a_row_with_the_images_of_another_is_found(out: str) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        one, two = [r for r in rows if len(r["images"]) == 1 and r["source"] == VQAV2][:2]
        one["images"], one["image_info"] = two["images"], two["image_info"]

    edit(out, f"{MIXTURE}/data/ddd444/train-00001-of-00002.parquet", MIXTURE, change)
    some(verify(out), MIXTURE, VQAV2, "copies with other images than their corpus row")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rows", "rows 10, manifest.json says 1"),
        ("answer_tokens", "answer tokens 108, manifest.json says 1"),
        ("text_tokens", "text tokens 180, manifest.json says 1"),
        ("image_tokens", "image tokens 2,028, manifest.json says 1"),
        ("images", "images 12, manifest.json says 1"),
    ],
)
def test_wrong_sums_of_a_mixture_are_found(out: str, name: str, message: str) -> None:
    change_manifest(f"{out}/{MIXTURE}", set_in("sources", VQAV2, name, to=1))
    problems = verify(out)
    some(problems, MIXTURE, VQAV2, message)
    some(problems, MIXTURE, f"sum of {name}")


def test_a_wrong_share_is_found(out: str) -> None:
    change_manifest(f"{out}/{MIXTURE}", set_in("sources", LIMA, "share_reached", to=0.41))
    only(verify(out), MIXTURE, LIMA, "reached a share of 0.400000000")


def test_rows_that_the_mixture_forgot_are_found(out: str) -> None:
    change_manifest(f"{out}/{MIXTURE}", set_in("sources", VQAV2, "counts", "merged", to={}))
    problems = verify(out)
    some(problems, MIXTURE, VQAV2, "12 rows in, 9 accounted for")
    some(problems, MIXTURE, VQAV2, "'exact_copy': 1, 'same_image': 2}, manifest.json says {}")


def test_a_source_that_the_manifest_does_not_name_is_found(out: str) -> None:
    def change(values: dict[str, Any]) -> None:
        del values["sources"][LIMA]

    change_manifest(f"{out}/{MIXTURE}", change)
    some(verify(out), MIXTURE, "6 rows of lima, which manifest.json does not name")


def test_decisions_that_are_gone_are_found(out: str) -> None:
    shutil.rmtree(f"{out}/{CURATION}")
    only(verify(out), MIXTURE, f"{CURATION} is not there or not finished")


def test_many_problems_of_one_file_are_summed_up(out: str) -> None:
    table = pq.read_table(f"{out}/{SHARD}")
    rows = table.to_pylist()
    for row in rows:
        row["image_info"] = []
        row["messages"] = [{"role": "user", "content": [{"type": "image", "text": None}]}]
    more = rows * 4
    pq.write_table(pa.Table.from_pylist(more, schema=table.schema), f"{out}/{SHARD}")
    lines = [line for line in verify(out) if SHARD in line and "in messages" in line]
    assert len(lines) == 5
    some(verify(out), SHARD, "and 27 more of this kind")


def test_an_empty_corpus_and_empty_decisions_are_fine(tmp_path: Path) -> None:
    """A source all of whose rows were dropped."""
    out = make_out(str(tmp_path / "out"), mixture=False)
    shutil.rmtree(f"{out}/curation")
    folder = f"{out}/corpus/{LIMA}/bbb222"
    for path in Path(folder).glob("*-of-*"):
        path.unlink()
    zero = dict.fromkeys(("turns", "images", "answer_tokens", "text_tokens", "kept"), 0)

    def change(values: dict[str, Any]) -> None:
        values["parts"] = []
        values["counts"] |= zero | {"rows_in": 0}

    change_manifest(folder, change)
    assert verify(out) == []
