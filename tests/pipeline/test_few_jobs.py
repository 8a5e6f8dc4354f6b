"""A build as on a remote runner: few jobs, with the same files as in a job for each step, and with
what is joined in memory instead of files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from cauldron.transforms.matching.cluster import pipeline as clusters
from cauldron.transforms.matching.compare import PictureComparer

from cauldron.core.errors import CauldronError
from cauldron.core.output.markers import Markers
from cauldron.pipeline import decide, ingest, match
from cauldron.pipeline.build import BuildOptions, build
from cauldron.pipeline.runners import runner, watch
from cauldron.pipeline.runners.local import spilled
from cauldron.recipe import Recipe, load_recipe
from tests.clusters.world import recipe_of_all_steps, write_world

Run = Callable[..., list[str]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, rows=24)
    return folder


@pytest.fixture(scope="module")
def recipe(world: Path) -> Recipe:
    """Two stages with the same curation, one with another, and one with another matching."""
    path = world / "recipe.yaml"
    recipe_of_all_steps(path, str(world / "benchmark"))
    values = json.loads(path.read_text())
    first = values["stages"]["sft"]
    values["stages"] |= {
        "again": first | {"budget": {"samples": 20}},
        "drop": first | {"duplicates": "drop"},
        "photos": {
            "mixture": {"sharegpt_4o": 1},
            "budget": {"epochs_of": {"sharegpt_4o": 1}},
        },
    }
    path.write_text(json.dumps(values))
    return load_recipe(str(path))


@pytest.fixture
def run(world: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Builds some stages; returns the names of the jobs."""
    names: list[str] = []
    real = runner.run

    def seen(*args: Any) -> None:
        names.append(args[4])
        real(*args)

    monkeypatch.setattr(runner, "run", seen)

    def build_stages(output: Path, *stages: str, few: bool = True) -> list[str]:
        names.clear()
        root = str(world / "hub")
        asked = BuildOptions(recipe, stages, root, str(output), few_jobs=few)
        with monkeypatch.context() as in_files:
            if not few:
                in_files.setattr(spilled, "LEAST_BYTES", 0)
            build(asked, lambda line: None)
        return list(names)

    return build_stages


def files(output: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file()
    }


def test_a_stage_is_three_jobs_with_the_files_of_many(run: Run, tmp_path: Path) -> None:
    many = run(tmp_path / "many", "sft", few=False)
    few = run(tmp_path / "few", "sft")
    assert len(many) > 6
    digest = few[0].rpartition("-")[2]
    assert re.fullmatch("[0-9a-f]{8}", digest)
    assert few == [f"test-sft-{step}-{digest}" for step in ("ingest", "match-curate", "mix")]
    assert files(tmp_path / "few") == files(tmp_path / "many")
    assert run(tmp_path / "few", "sft") == []


@pytest.mark.slow
def test_every_further_stage_is_one_more_job(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Several files of each kind.
    monkeypatch.setattr(match, "PICTURES_PER_RANGE", 9)
    monkeypatch.setattr(decide, "ROWS_PER_BUCKET", 20)
    many = run(tmp_path / "many", few=False)
    few = run(tmp_path / "few")
    assert len(many) > 12
    assert [name.rpartition("-")[0] for name in few] == [
        "test-sft-again-drop-photos-ingest",
        "test-sft-again-drop-photos-match-curate",
        *(f"test-{stage}-mix" for stage in ("sft", "again", "drop", "photos")),
    ]
    assert len(list((tmp_path / "few").glob("matches/*/verdicts-*"))) > 4
    assert files(tmp_path / "few") == files(tmp_path / "many")


def test_a_failed_job_goes_on_with_what_it_has_not_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(clusters, "write_file", fail)
        with pytest.raises(CauldronError, match="match and curate failed: OSError: no space left"):
            run(tmp_path / "out", "sft")
    (verdicts,) = (tmp_path / "out").glob("matches/*/verdicts-*.parquet")
    before = verdicts.stat().st_mtime_ns
    monkeypatch.setattr(PictureComparer, "compare", fail)
    jobs = run(tmp_path / "out", "sft")
    assert [name.rpartition("-")[0] for name in jobs] == ["test-sft-match-curate", "test-sft-mix"]
    assert verdicts.stat().st_mtime_ns == before
    assert not list((tmp_path / "out").rglob("_*"))


@pytest.mark.slow
def test_a_build_that_began_in_many_jobs_ends_in_few(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sum_up = Markers.sum_up

    def fail(markers: Markers) -> None:
        if markers.stem == "pictures":  # when all of them are there
            raise OSError("killed")
        sum_up(markers)

    with monkeypatch.context() as broken:
        broken.setattr(Markers, "sum_up", fail)
        with pytest.raises(CauldronError, match="match failed: OSError: killed"):
            run(tmp_path / "out", "sft", few=False)
    (pictures,) = (tmp_path / "out").glob("matches/*/pictures-*.parquet")
    before = pictures.stat().st_mtime_ns
    jobs = run(tmp_path / "out", "sft")
    assert [name.rpartition("-")[0] for name in jobs] == ["test-sft-match-curate", "test-sft-mix"]
    assert pictures.stat().st_mtime_ns == before


def test_a_job_of_many_pieces_is_as_small_as_one_of_few(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def submit(step: str, build: Callable[[beam.Pipeline], object], *args: Any) -> None:
        pipeline = beam.Pipeline()
        build(pipeline)
        sizes.append(len(pipeline.to_runner_api().SerializeToString()))
        raise CauldronError("not run")

    monkeypatch.setattr(runner, "run", submit)
    with pytest.raises(CauldronError, match="not run"):
        run(tmp_path / "few", "sft")
    cut = ingest.cut_pieces
    monkeypatch.setattr(ingest, "cut_pieces", lambda *args: [own * 1000 for own in cut(*args)])
    with pytest.raises(CauldronError, match="not run"):
        run(tmp_path / "many", "sft")
    assert sizes[1] < sizes[0] + 500


def test_looks_at_markers_are_few_however_long_a_job_takes() -> None:
    age, looks = 0.0, 0
    while age < 24 * 3600:
        age, looks = age + watch.pause(age), looks + 1
    assert looks < 200
