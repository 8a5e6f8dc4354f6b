"""What a worker holds, and for how long."""

from __future__ import annotations

from pathlib import Path

import pytest
from cauldron.training.data.bad_rows import SkippedRow
from cauldron.training.data.builder import (
    BuilderSettings,
    BuildTask,
    MeasureTask,
    PackBuilder,
    local_memory,
)
from cauldron.training.data.packing import PackRules
from cauldron.training.data.rows import row_groups
from cauldron.training.data.sampler import PackPosition, RowGroup

from cauldron.core.errors import CauldronError
from tests.training.data.conftest import LAYOUT
from tests.training.data.tiny import TILE

EDGE = 4 * TILE


@pytest.fixture
def bench(mixture):
    made = PackBuilder(
        BuilderSettings(tuple(mixture.shards), PackRules(LAYOUT, 512, "never", 0), frozenset())
    )
    yield made
    made.close()


def measure(bench: PackBuilder, number: int, group: RowGroup):
    return bench.measure(MeasureTask((0, number), 0, (group,), EDGE))


def build_task(measured, number: int, rows: list[int], oldest=None) -> BuildTask:
    picked = [measured.rows[row] for row in rows]
    assert not any(isinstance(row, SkippedRow) for row in picked)
    images = frozenset(row.ref[0] for row in picked if row.sizes)
    position = PackPosition(0, number, 0, 0)
    refs = tuple(row.ref for row in picked)
    return BuildTask(position, refs, EDGE, 100, images, oldest)


def build(bench: PackBuilder, task: BuildTask):
    bench.prefetch(task)
    return bench.build(task, local_memory(TILE))


def test_rows_are_held_until_their_step_is_over(bench, mixture):
    groups = row_groups(mixture.shards)
    measured = [measure(bench, number, groups[number]) for number in range(3)]
    build(bench, build_task(measured[1], 1, [0, 1], oldest=(0, 0)))
    assert bench.rounds_in_memory == {(0, 0), (0, 1), (0, 2)}
    build(bench, build_task(measured[0], 0, [0, 1], oldest=(0, 0)))
    build(bench, build_task(measured[1], 1, [2]))
    assert bench.rounds_in_memory == {(0, 1), (0, 2)}


def test_a_worker_builds_what_another_has_measured(bench, mixture):
    groups = row_groups(mixture.shards)
    measured = measure(bench, 0, groups[0])
    task = build_task(measured, 0, [0, 3, 4])
    other = PackBuilder(bench._settings)
    ours, theirs = build(bench, task), build(other, task)
    other.close()
    assert ours.tokens.ids.tolist() == theirs.tokens.ids.tolist()
    assert ours.tiles == theirs.tiles > 0


def test_a_shard_that_goes_while_it_is_read_is_told_in_one_line(bench, mixture, tmp_path):
    groups = row_groups(mixture.shards)
    moved = tuple(str(tmp_path / Path(shard).name) for shard in mixture.shards)
    lost = PackBuilder(BuilderSettings(moved, bench._settings.rules, frozenset()))
    with pytest.raises(CauldronError, match="is not there; run this again"):
        measure(lost, 0, groups[0])
    lost.close()


def test_shared_memory_does_not_grow_with_the_steps(opened):
    def slots() -> int:
        return Path("/proc/self/maps").read_text().count("cauldron-tiles")

    before = slots()
    loader = opened(workers=2, ahead=2)
    for _ in range(25):
        for pack in next(loader):
            del pack
    # All four that are ahead may be one worker's, and each may have one that is being let go.
    assert slots() - before <= 2 * (4 + 2)
