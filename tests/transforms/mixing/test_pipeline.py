"""The job finds the same rows, shards and order as a plain program that holds all rows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from cauldron.transforms.mixing import pipeline
from cauldron.transforms.mixing.pipeline import MixRows
from cauldron.transforms.mixing.plan import MixPlan, MixRun, MixSummary
from cauldron.transforms.mixing.selection import Terms, select, tallies_of
from cauldron.transforms.mixing.shuffle import MixJob, MixSource, in_order, references

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.sections.stage import StageRecipe
from tests.mixing import decision, merged_decision, takes_in_memory, write_curation

EPOCHS = {"a": 2.7, "b": 0.3, "c": 1, "d": 0, "none": 3}


def stage_of(**more: Any) -> StageRecipe:
    mixture = {name: {"epochs": epochs} for name, epochs in EPOCHS.items()}
    rules = {"promise": "epochs", "mixture": mixture, "shard_bytes": 40_000}
    return StageRecipe.model_validate(rules | more)


def write_rows(folder: Path) -> list[str]:
    rng = np.random.default_rng(4)
    rows = [
        decision("abcd"[number % 4], number, length=int(rng.integers(200, 3000)))
        for number in range(700)
    ]
    rows += [
        merged_decision(700 + n, {"b": (2, 9), "a": (1 + n % 9, 8), "d": (1, 1)}) for n in range(60)
    ]
    return write_curation(folder, [rows[start::3] for start in range(3)])


class Written:
    """What reaches the writer of shards, instead of shards."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shards: dict[int, Any] = {}
        self.job: MixJob | None = None
        monkeypatch.setattr(pipeline, "write_shard", self._write)

    def _write(self, shard: int, pieces: Iterable[bytes], job: MixJob) -> dict[str, Any]:
        assert shard not in self.shards
        copies = in_order(pieces)
        self.shards[shard], self.job = copies, job
        storage.write_bytes(job.shard_path(shard), b"")
        file = {"name": f"{shard}", "bytes": 0, "sha256": "0" * 64, "rows": len(copies)}
        marker = {"shard": shard, "file": file, "sources": {"a": {"rows": len(copies)}}}
        storage.write_json(job.marker_path(shard), marker)
        return marker


def mix(folder: Path, stage: StageRecipe, name: str = "1", room: int | None = None) -> MixRun:
    sources = tuple(MixSource(name, f"corpus/{name}", 1, False) for name in EPOCHS)
    job = MixJob(sources, stage, 5, str(folder / "data"))
    run = MixRun(Terms(stage, [*EPOCHS], {}), job, room, name)
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as p:
        _ = p | beam.Create([str(folder / "c")], reshuffle=False) | MixRows(run)
    return run


def test_rows_shards_and_order_are_those_of_a_program_that_holds_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, written, stage = write_rows(tmp_path / "c"), Written(monkeypatch), stage_of()
    run = mix(tmp_path, stage)
    job, plan = written.job, MixPlan.read(run.plan_path)
    assert job is not None
    tallies = tallies_of(paths, stage)
    assert plan.counts == run.terms.counts(tallies)
    selection = select(tallies, run.terms.solve(plan.counts))
    takes = takes_in_memory(paths, selection.passes, 5)
    assert {s.name: s.take for s in job.sources if s.name in takes} == takes
    assert [s.take.copies(np.zeros((1, 2), np.uint64), 5)[0] for s in job.sources[3:]] == [0, 0]
    assert plan.shards == len(written.shards) == len(job.bounds) + 1 > 10
    found = np.concatenate([written.shards[number] for number in sorted(written.shards)])
    expected = in_order(found.tobytes() for path in paths for found in references(path, job))
    assert found.tobytes() == expected.tobytes()
    assert run.progress() == (plan.shards, plan.shards)
    summary = MixSummary.read(run.summary_path)
    assert [int(shard.name) for shard in summary.shards] == sorted(written.shards)
    assert summary.sources == {"a": {"rows": len(expected)}}


def test_shards_that_are_there_are_not_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(tmp_path / "c")
    first = Written(monkeypatch)
    with monkeypatch.context() as killed:  # after its summary, before it is said to be finished
        killed.setattr(MixRun, "remove_markers", lambda run, shards: None)
        run = mix(tmp_path, stage_of())
    storage.remove(run.finished_path)
    assert first.job is not None
    storage.remove(first.job.marker_path(3))
    storage.remove(first.job.shard_path(7))  # its marker stays
    second = Written(monkeypatch)
    again = mix(tmp_path, stage_of(), "2")
    assert sorted(second.shards) == [3, 7]
    assert all(second.shards[n].tobytes() == first.shards[n].tobytes() for n in (3, 7))
    assert MixSummary.read(again.summary_path) == MixSummary.read(run.summary_path)


def test_a_repeated_step_goes_by_the_shards_that_were_there_when_the_run_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask computes results of a dead worker again, Dataflow repeats what was interrupted."""
    write_rows(tmp_path / "c")
    first = Written(monkeypatch)
    mix(tmp_path, stage_of())
    again = Written(monkeypatch)
    mix(tmp_path, stage_of())  # the same run
    assert sorted(again.shards) == sorted(first.shards)


def test_without_room_no_shard_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path / "c")
    written = Written(monkeypatch)
    run = mix(tmp_path, stage_of(), room=1000)
    assert written.shards == {}
    assert MixPlan.read(run.plan_path).missing_bytes > 1000


def test_shares_without_a_solution_fail_at_the_launcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker would try again and again, and its error would come with a traceback."""
    write_curation(tmp_path / "c", [[], [decision("a", 1, decision="drop")]])
    Written(monkeypatch)
    run = mix(tmp_path, stage_of())
    plan = MixPlan.read(run.plan_path)
    assert (plan.shards, plan.bytes) == (0, 0)
    with pytest.raises(CauldronError, match="no source of the mixture has any answer tokens"):
        run.terms.solve(plan.counts)
