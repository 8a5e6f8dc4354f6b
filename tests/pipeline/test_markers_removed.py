"""Workers remove the markers that a job has added up, and a build that is killed then goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from cauldron.core import storage
from cauldron.core.output.markers import Markers
from cauldron.pipeline import ingest, mix
from cauldron.pipeline.build import BuildOptions, build
from cauldron.pipeline.runners.runner import Job, Launcher
from cauldron.recipe import load_recipe
from tests import hubs


class KilledError(Exception):
    """Stands for the end of the process."""


def options(folder: Path, out: str) -> BuildOptions:
    recipe = load_recipe(hubs.write_recipe(str(folder / "r.yaml"), shard_bytes=10_000))
    return BuildOptions(
        recipe=recipe, stages=("sft",), root=str(folder / "root"), output=str(folder / out)
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    hubs.write_dolly(str(tmp_path / "root"), rows=20)
    hubs.write_sharegpt(str(tmp_path / "root"), rows=20)
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    every = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in every}


@pytest.mark.parametrize(
    ("module", "after", "jobs", "left"),
    [
        (ingest, "_check_losses", ["curate", "mix sft"], "all.jsonl part.jsonl work.jsonl"),
        (mix, "_manifest", [], "finished.json plan- summary-"),
    ],
)
def test_a_build_killed_after_a_job_repeats_none_of_it(
    module, after, jobs, left, root, monkeypatch
):
    build(options(root, "whole"), lambda line: None)

    def die(*arguments: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(module, after, die)
        with pytest.raises(KilledError):
            build(options(root, "out"), lambda line: None)
    found = [path.name for path in (root / "out").rglob("_done/*")]
    assert found
    assert all(name.startswith(tuple(left.split())) for name in found)
    submitted: list[str] = []
    submit = Launcher.submit

    def noted(launcher: Launcher, job: Job) -> None:
        submitted.append(job.step)
        submit(launcher, job)

    monkeypatch.setattr(Launcher, "submit", noted)
    build(options(root, "out"), lambda line: None)
    assert submitted == jobs
    assert files(root / "out") == files(root / "whole")


def test_a_mix_killed_before_all_its_markers_are_gone_leaves_none(root, monkeypatch):
    build(options(root, "whole"), lambda line: None)
    with monkeypatch.context() as patch:
        patch.setattr(Markers, "remove", lambda markers: None)
        patch.setattr(mix, "_manifest", lambda *arguments: pytest.fail("killed"))
        with pytest.raises(pytest.fail.Exception):
            build(options(root, "out"), lambda line: None)
    done = [p for p in (root / "out").rglob("_done/*.json") if p.name[0].isdigit()]
    assert len(done) > 1
    build(options(root, "out"), lambda line: None)
    assert files(root / "out") == files(root / "whole")


def test_a_step_that_is_repeated_after_its_markers_are_gone_keeps_the_summary(tmp_path):
    markers = Markers(str(tmp_path), "part", 3)
    with pytest.raises(FileNotFoundError):
        markers.sum_up()
    for number in range(3):
        storage.write_json(markers.path(number), number)
    assert markers.missing() == []
    markers.sum_up()
    for _ in range(2):
        markers.remove()
        markers.sum_up()
    assert list(markers.read()) == [0, 1, 2]
    assert markers.missing() == []
    assert [path.name for path in (tmp_path / "_done").iterdir()] == ["part.jsonl"]


def test_a_copy_of_a_step_that_finds_markers_gone_is_content_with_the_summary(
    tmp_path, monkeypatch
):
    markers = Markers(str(tmp_path), "part", 1)
    looks = iter([False, True])  # another copy wrote the summary in between
    monkeypatch.setattr(Markers, "is_summed", lambda own: next(looks))
    markers.sum_up()
