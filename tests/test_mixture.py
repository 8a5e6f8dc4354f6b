"""Opening a mixture, and the manifests it is opened by."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output.counts import CurationCounts, RowCounts
from cauldron.core.output.finished import find_finished
from cauldron.core.output.manifests import (
    CorpusManifest,
    HashedFile,
    read_manifest,
)
from cauldron.core.output.mixture import load_mixture
from tests.fixtures_out import LIMA, VQAV2, change_manifest, make_out


@pytest.fixture
def out(tmp_path: Path) -> str:
    return make_out(str(tmp_path / "out"))


def test_a_mixture_gives_its_shards_and_rows(out: str) -> None:
    mixture = load_mixture(f"{out}/mixtures/tiny/sft")
    assert mixture.manifest.totals.rows == 16
    assert [Path(shard).name for shard in mixture.shards] == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]
    rows = list(mixture.rows())
    assert len(rows) == 16
    assert sum(len(row["images"]) for row in rows) == mixture.manifest.totals.images


def test_only_the_named_columns_are_read(out: str) -> None:
    mixture = load_mixture(f"{out}/mixtures/tiny/sft")
    assert all(set(row) == {"id", "tokens"} for row in mixture.rows(["id", "tokens"]))
    assert sum(table.num_rows for table in mixture.batches(["id"])) == 16


def test_a_mixture_is_read_from_any_file_system() -> None:
    root = make_out(f"memory://{uuid.uuid4().hex}/out")
    assert len(list(load_mixture(f"{root}/mixtures/tiny/sft").rows(["id"]))) == 16
    storage.remove(root)


@pytest.mark.parametrize(
    "folder", ["mixtures/none", "mixtures", "mixtures/tiny", "mixtures/tiny/sft/data", ""]
)
def test_what_has_no_manifest_is_unfinished_or_missing(out: str, folder: str) -> None:
    with pytest.raises(CauldronError, match="unfinished or missing mixture"):
        load_mixture(f"{out}/{folder}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format=3), "format"),
        (lambda m: m.pop("seed"), "seed"),
        (lambda m: m.update(surprise=1), "surprise"),
        (lambda m: m["shards"][0].update(name="../x"), "plain file name"),
        (lambda m: m["shards"][0].update(name=".x"), "plain file name"),
        (lambda m: m["shards"][0].update(sha256="abc"), "sha256"),
    ],
)
def test_a_manifest_that_is_none_says_where(out: str, change: Any, message: str) -> None:
    change_manifest(f"{out}/mixtures/tiny/sft", change)
    with pytest.raises(CauldronError, match=message) as caught:
        load_mixture(f"{out}/mixtures/tiny/sft")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_a_manifest_that_is_not_json_says_so(out: str, text: str) -> None:
    Path(f"{out}/mixtures/tiny/sft/manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(CauldronError, match="is not a manifest of format 2"):
        load_mixture(f"{out}/mixtures/tiny/sft")


def test_reading_a_mixture_needs_neither_beam_nor_sources() -> None:
    code = (
        "import sys, cauldron.core.output.mixture;"
        "print([m for m in ('apache_beam', 'sources', 'transforms', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Manifests


def test_manifests_survive_being_written_and_read(out: str) -> None:
    folder = f"{out}/corpus/{VQAV2}/aaa111"
    manifest = read_manifest(CorpusManifest, folder)
    assert CorpusManifest.model_validate(storage.read_json(f"{folder}/manifest.json")) == manifest
    assert storage.read_json(f"{folder}/manifest.json") == manifest.model_dump(mode="json")


def test_counts_add_up_over_ingest_and_curation() -> None:
    ingest = RowCounts(
        rows_in=20,
        kept=12,
        merged={"same_image": 3},
        dropped={"no_turns": 1},
        quarantined={"bad_row": 4},
    )
    assert ingest.accounted == 20
    both = ingest.after(CurationCounts(rows_in=12, kept=10, merged={"exact_copy": 2}))
    assert both == RowCounts(
        rows_in=20,
        kept=10,
        merged={"exact_copy": 2, "same_image": 3},
        dropped={"no_turns": 1},
        quarantined={"bad_row": 4},
    )
    assert both.accounted == 20


def test_file_names_in_manifests_are_plain() -> None:
    for name in ("a/b", "../a", "..", "", "a\\b", "/etc/passwd", ".tmp-a"):
        with pytest.raises(ValidationError):
            HashedFile(name=name, bytes=0, sha256="0" * 64)


def test_everything_finished_is_found(out: str) -> None:
    found = find_finished(out)
    assert list(found.mixtures) == [("tiny", "sft")]
    assert set(found.corpora) == {(VQAV2, "aaa111"), (LIMA, "bbb222")}
    assert list(found.curations) == ["cccaaa111bbb222"]
    assert found.current == {
        LIMA: ("bbb222", "cccaaa111bbb222"),
        VQAV2: ("aaa111", "cccaaa111bbb222"),
    }


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    found = find_finished(str(tmp_path / "nothing"))
    assert (found.mixtures, found.corpora, found.curations, found.current) == ({}, {}, {}, {})
