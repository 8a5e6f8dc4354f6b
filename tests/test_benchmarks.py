"""Benchmarks become corpora beside the training data, and never part of it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from cauldron.transforms.record_files import read_record

from cauldron.core.errors import CauldronError, SourceUnavailable, UsageError
from cauldron.core.output.finished import find_finished
from cauldron.core.output.manifests import CorpusManifest
from cauldron.pipeline.benchmarks import (
    benchmark_folder,
    check_benchmarks,
    check_benchmarks_reach,
    plan_benchmarks,
)
from cauldron.pipeline.build import BuildOptions
from cauldron.pipeline.ingest import ingest
from cauldron.pipeline.runners.runner import Launcher
from cauldron.recipe import Recipe, load_recipe
from tests import hubs
from tests.doubles.hub import FakeHub
from tests.sources.benchmark_files import encoded, picture, struct, write_parquet, write_tsv

IN_MEMORY = ["--direct_num_workers=1"]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return load_recipe(hubs.write_recipe(str(tmp_path / "recipe.yaml")))


def make(
    recipe: Recipe,
    output: Path,
    against: dict[str, str],
    root: str | None = "/nonexistent",
    beam_args: list[str] | None = None,
) -> tuple[dict[str, CorpusManifest], list[str]]:
    said: list[str] = []
    planned = plan_benchmarks(recipe, root, str(output), against)
    launcher = Launcher(beam_args or IN_MEMORY, said.append)
    options = BuildOptions(recipe, (), root, str(output))
    check_benchmarks_reach(planned, launcher.beam_args, shared_folders=False)
    manifests = ingest(planned, options, launcher)
    check_benchmarks(planned, manifests, str(output))
    return {manifest.source: manifest for manifest in manifests}, said


def benchmarks(folder: Path) -> dict[str, str]:
    """Three benchmarks, one for each way of reading."""
    for split, number in (("dev", 1), ("test", 2)):
        columns = {"id": [f"{split}_1"], "question": ["Which?"], "image_1": [struct(number)]}
        write_parquet(folder / f"mmmu/Math/{split}-00000-of-00001.parquet", columns)
    rows = [{"index": str(n), "image": encoded(n), "question": f"{n}?"} for n in range(3)]
    write_tsv(folder / "MMStar.tsv", rows)
    (folder / "ours").mkdir()
    for number in range(2):
        (folder / f"ours/{number}.png").write_bytes(picture(number))
    return {"mmmu": f"{folder}/mmmu", "mmstar": f"{folder}/MMStar.tsv", "ours": f"{folder}/ours"}


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows_of(output: Path, manifest: CorpusManifest) -> list[dict[str, Any]]:
    folder = benchmark_folder(str(output), manifest.source, manifest.fingerprint)
    return [
        row
        for part in manifest.parts
        for row in pq.read_table(os.path.join(folder, part.parquet.name)).to_pylist()
    ]


def test_benchmarks_are_written_like_corpora_beside_them(recipe: Recipe, tmp_path: Path) -> None:
    output = tmp_path / "out"
    manifests, _ = make(recipe, output, benchmarks(tmp_path))
    assert {name: m.counts.kept for name, m in manifests.items()} == {
        "mmmu": 2,
        "mmstar": 3,
        "ours": 2,
    }
    found = find_finished(str(output))
    assert not found.corpora
    assert found.benchmarks == {(m.source, m.fingerprint): m for m in manifests.values()}
    first = rows_of(output, manifests["mmmu"])[0]
    assert first["origin"] == {
        "file": "Math/dev-00000-of-00001.parquet",
        "row_group": 0,
        "row": 0,
        "key": "dev_1",
    }
    assert [m["content"][-1]["text"] for m in first["messages"]] == ["Which?", "dev_1"]
    assert (first["turn_sources"], first["language"]) == (["mmmu"], None)
    assert manifests["mmmu"].notes == ["2 tables read: dev (1), test (1)"]
    assert manifests["mmmu"].repo == str(tmp_path / "mmmu")


def test_pictures_are_in_the_packs_as_they_were_published(recipe: Recipe, tmp_path: Path) -> None:
    output = tmp_path / "out"
    manifests, _ = make(recipe, output, benchmarks(tmp_path))
    manifest = manifests["mmstar"]
    folder = Path(benchmark_folder(str(output), "mmstar", manifest.fingerprint))
    for number, row in enumerate(rows_of(output, manifest)):
        data = (folder / row["pack"]).read_bytes()[row["offset"] :][: row["length"]]
        sample, images = read_record(data)
        assert (sample.source, images) == ("mmstar", [picture(number)])
        assert row["image_info"][0]["phash256"] is not None


def test_what_is_done_is_not_done_again(recipe: Recipe, tmp_path: Path) -> None:
    output, against = tmp_path / "out", benchmarks(tmp_path)
    make(recipe, output, against)
    before = digests(output)
    _, said = make(recipe, output, against)
    assert said == ["ingest: done already"]
    assert digests(output) == before


def test_no_rule_of_the_recipe_changes_a_benchmark(recipe: Recipe, tmp_path: Path) -> None:
    against = benchmarks(tmp_path)
    strict = recipe.model_copy(
        update={
            "tokenizer": "nobody/has-this",
            "text": recipe.text.model_copy(update={"max_turn_chars": 1, "refusals": ("dev",)}),
            "images": recipe.images.model_copy(update={"max_side": 8, "max_aspect": 1.0}),
            "language": recipe.language.model_copy(update={"keep": ("sw",), "min_score": 0.0}),
        }
    )
    make(recipe, tmp_path / "a", against)
    make(strict, tmp_path / "b", against)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_two_workers_write_the_same_bytes(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    against = benchmarks(tmp_path)
    make(recipe, tmp_path / "a", against)
    two = ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]
    make(recipe, tmp_path / "b", against, beam_args=two)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(recipe: Recipe, tmp_path: Path) -> None:
    against = benchmarks(tmp_path)
    make(recipe, tmp_path / "a", against)
    two = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]
    make(recipe, tmp_path / "b", against, beam_args=two)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_the_fingerprint_follows_files_name_and_place(recipe: Recipe, tmp_path: Path) -> None:
    against = benchmarks(tmp_path)

    def prints() -> list[str]:
        return [p.fingerprint for p in plan_benchmarks(recipe, "/nonexistent", "out", against)]

    first = prints()
    assert prints() == first
    (tmp_path / "ours/0.png").write_bytes(picture(77))
    second = prints()
    assert (first[:2], first[2]) == (second[:2], first[2])
    assert first[2] != second[2]
    # A file that only a row may name counts as well.
    (tmp_path / "mmmu/a.png").write_bytes(picture(1))
    assert prints()[0] != first[0]


def test_a_benchmark_from_the_hub_is_pinned_to_its_commit(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    columns = {"pid": ["1"], "question": ["?"], "decoded_image": [struct(1)]}
    path = tmp_path / "hub/AI4Math/MathVista/data/testmini-00000-of-00001.parquet"
    write_parquet(path, columns)
    with FakeHub(tmp_path / "hub") as hub:
        hub.use(monkeypatch)
        hub.fail(503, "/resolve/", times=2)
        hub.fail(429, "/tree/", times=1)
        against = {"mathvista": "AI4Math/MathVista"}
        manifests, _ = make(recipe, tmp_path / "out", against, root=None)
        manifest = manifests["mathvista"]
        assert (manifest.repo, manifest.commit) == (
            "AI4Math/MathVista",
            hub.commit("AI4Math/MathVista"),
        )
        asked = len(hub.log)
        make(recipe, tmp_path / "out", against, root=None)
        assert not [line for line in hub.log[asked:] if "/resolve/" in line.path]


def test_what_cannot_be_read_is_quarantined_with_its_reason(recipe: Recipe, tmp_path: Path) -> None:
    images = [struct(n) for n in range(39)] + [{"bytes": b"no picture", "path": None}]
    path = write_parquet(tmp_path / "test.parquet", {"id": list(range(40)), "image": images})
    manifests, _ = make(recipe, tmp_path / "out", {"mmstar": str(path)})
    manifest = manifests["mmstar"]
    assert (manifest.counts.kept, manifest.counts.quarantined) == (39, {"image_unreadable": 1})
    (file,) = (tmp_path / f"out/quarantine/benchmarks/mmstar/{manifest.fingerprint}").iterdir()
    assert pq.read_table(file)["origin"].to_pylist()[0]["key"] == "39"


def test_an_image_file_that_cannot_be_read_is_an_error_that_names_it(
    recipe: Recipe, tmp_path: Path
) -> None:
    against = {"ours": benchmarks(tmp_path)["ours"]}
    for number in range(2, 60):
        (tmp_path / f"ours/{number}.png").write_bytes(picture(number))
    (tmp_path / "ours/leak.png").write_bytes(picture(2)[:-20])
    for _ in range(2):  # also when nothing is left to do
        with pytest.raises(CauldronError, match=r"ours: cannot read leak\.png \(image_truncated"):
            make(recipe, tmp_path / "out", against)


def test_a_benchmark_that_loses_too_much_is_an_error(recipe: Recipe, tmp_path: Path) -> None:
    images = [struct(1), {"bytes": b"no picture", "path": None}]
    path = write_parquet(tmp_path / "test.parquet", {"image": images})
    with pytest.raises(CauldronError, match=r"mmstar lost 50\.0% .*image_unreadable 1") as caught:
        make(recipe, tmp_path / "out", {"mmstar": str(path)})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["emptied", "cut"])
def test_a_damaged_file_is_an_error(recipe: Recipe, tmp_path: Path, damage: str) -> None:
    path = write_parquet(tmp_path / "test.parquet", {"image": [struct(1)]})
    path.write_bytes(path.read_bytes()[:200] if damage == "cut" else b"")
    with pytest.raises(CauldronError, match=r"lost 100\.0% .*unreadable_file"):
        make(recipe, tmp_path / "out", {"mmstar": str(path)})


def test_rows_without_any_picture_are_an_error_every_time(recipe: Recipe, tmp_path: Path) -> None:
    write_tsv(tmp_path / "x.tsv", [{"index": "0", "image": "", "question": "?"}])
    for _ in range(2):
        with pytest.raises(CauldronError, match="no picture in any of the 1 rows"):
            make(recipe, tmp_path / "out", {"ours": str(tmp_path / "x.tsv")})


def test_a_table_without_pictures_is_an_error_that_names_its_columns(
    recipe: Recipe, tmp_path: Path
) -> None:
    write_parquet(tmp_path / "x.parquet", {"uid": ["1"], "text": ["x"]})
    with pytest.raises(CauldronError, match=r"benchmark ours: .*its columns: uid, text"):
        make(recipe, tmp_path / "out", {"ours": str(tmp_path)})


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a b"])
def test_a_name_that_is_no_name_is_refused(recipe: Recipe, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not a name: use letters"):
        plan_benchmarks(recipe, None, str(tmp_path), {name: "x"})


def test_errors_say_which_benchmark_and_where(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"^--against mmmu=/nowhere: there is nothing"):
        plan_benchmarks(recipe, None, str(tmp_path), {"mmmu": "/nowhere"})
    write_parquet(tmp_path / "hub/MMMU/MMMU/test.parquet", {"image": [struct(1)]})
    with FakeHub(tmp_path / "hub") as hub:
        hub.use(monkeypatch)
        hub.gate("MMMU/MMMU", token="hf_other")
        with pytest.raises(SourceUnavailable, match=r"^--against m=MMMU/MMMU: gated.*HF_TOKEN"):
            plan_benchmarks(recipe, None, str(tmp_path), {"m": "MMMU/MMMU"})


def test_remote_workers_cannot_read_a_folder_of_this_machine(
    recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"--against mmmu .*DataflowRunner cannot reach"):
        make(recipe, tmp_path / "out", benchmarks(tmp_path), beam_args=["--runner=DataflowRunner"])


def test_without_benchmarks_nothing_happens(recipe: Recipe, tmp_path: Path) -> None:
    assert make(recipe, tmp_path / "out", {}) == ({}, [])
    assert not (tmp_path / "out").exists()
