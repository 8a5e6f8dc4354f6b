"""The whole build on a Dask cluster: a scheduler and two worker processes, which may be killed."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

import pytest

from cauldron.core.errors import CauldronError
from cauldron.inspect.verify import verify
from cauldron.pipeline.build import BuildOptions, build
from tests.clusters.dask_cluster import Cluster, cluster
from tests.clusters.world import recipe_of_all_steps, write_world

__all__ = ["cluster"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    return folder


class Build:
    """A build in a folder of its own; a worker is killed after lines that match `killing`."""

    def __init__(self, world: Path, output: Path) -> None:
        self.recipe = recipe_of_all_steps(world / "recipe.yaml", str(world / "benchmark"))
        self.world = world
        self.output = output
        self.killed: list[str] = []

    def run(self, cluster: Cluster | None = None, killing: tuple[str, ...] = ()) -> list[str]:
        """Digests of the shards."""
        options = BuildOptions(
            recipe=self.recipe,
            stages=("sft",),
            root=str(self.world / "hub"),
            output=str(self.output),
            beam_args=() if cluster is None else cluster.options,
            shared_folders=True,
        )

        def say(line: str) -> None:
            for start in killing:
                if re.match(start, line) and start not in self.killed:
                    self.killed.append(start)
                    assert cluster is not None
                    threading.Timer(0.3, cluster.kill_a_worker).start()

        return [shard.sha256 for shard in build(options, say)[0].shards]


@pytest.fixture(scope="module")
def expected(world: Path) -> list[str]:
    return Build(world, world / "local").run()


@pytest.mark.thorough
def test_two_worker_processes_give_the_bytes_of_a_local_build(
    world: Path, expected: list[str], cluster: Cluster, tmp_path: Path
) -> None:
    assert Build(world, tmp_path / "out").run(cluster) == expected
    assert verify(str(tmp_path / "out")) == []


@pytest.mark.slow
def test_a_build_goes_on_by_itself_when_workers_are_killed(
    world: Path, expected: list[str], cluster: Cluster, tmp_path: Path
) -> None:
    # When a job begins, and again when the joint one has written files.
    steps = ("ingest: ", "match and curate: .* rows", r"match and curate: \d+ of", "mix sft: ")
    made = Build(world, tmp_path / "out")
    assert made.run(cluster, killing=steps) == expected
    assert made.killed == list(steps)
    assert verify(str(tmp_path / "out")) == []


@pytest.mark.thorough
def test_a_dead_scheduler_is_one_line_and_the_next_build_goes_on(
    world: Path, expected: list[str], cluster: Cluster, tmp_path: Path
) -> None:
    made = Build(world, tmp_path / "out")
    killer = threading.Timer(8, cluster.scheduler.kill)
    killer.start()
    began = time.monotonic()
    with pytest.raises(CauldronError) as told:
        made.run(cluster)
    assert "\n" not in str(told.value)
    assert time.monotonic() - began < 300
    assert made.run() == expected
