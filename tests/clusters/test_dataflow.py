"""The whole build on a double of Dataflow that runs what is staged, from bucket to bucket.

Needs a clean environment for workers; CONTRIBUTING.md says how to make it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cauldron.core.errors import CauldronError
from cauldron.core.output.manifests import MixtureManifest
from cauldron.inspect.verify import verify
from cauldron.pipeline.build import BuildOptions, build
from tests.clusters.world import recipe_of_all_steps, write_world
from tests.doubles.dataflow import FakeDataflow, clean_python
from tests.doubles.gcs import FakeGcs
from tests.doubles.secrets import FakeSecrets

PYTHON = clean_python()
SECRET = "projects/p/secrets/hub/versions/latest"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="CAULDRON_WORKER_PYTHON unset"),
]


@dataclass
class World:
    """A bucket with a hub, a benchmark and outputs, and the service."""

    store: FakeGcs
    service: FakeDataflow
    recipe: Any
    args: tuple[str, ...]
    lines: list[str]

    def build(self, output: str = "gs://bucket/out") -> MixtureManifest:
        options = BuildOptions(
            recipe=self.recipe,
            stages=("sft",),
            root="gs://bucket/hub",
            output=output,
            beam_args=self.args,
        )
        return build(options, self.lines.append)[0]

    @property
    def names(self) -> list[str]:
        return [job.name for job in self.service.jobs]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    write_world(folder)
    return folder


@pytest.fixture(scope="module")
def expected(hub: Path) -> list[str]:
    """Digests of the shards of a local build."""
    recipe = recipe_of_all_steps(hub / "local.yaml", str(hub / "benchmark"))
    options = BuildOptions(recipe, ("sft",), str(hub / "hub"), str(hub / "out"))
    return [shard.sha256 for shard in build(options, lambda line: None)[0].shards]


@pytest.fixture
def world(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    assert PYTHON is not None
    with FakeGcs(["bucket"]) as store, FakeDataflow(store, PYTHON, tmp_path) as service:
        store.use(monkeypatch)
        for path in sorted(hub.glob("hub/**/*")) + sorted(hub.glob("benchmark/*")):
            if path.is_file():
                store.put("bucket", path.relative_to(hub).as_posix(), path.read_bytes())
        recipe = recipe_of_all_steps(tmp_path / "recipe.yaml", "gs://bucket/benchmark")
        yield World(store, service, recipe, service.use(monkeypatch), [])


def test_all_jobs_run_to_the_end_and_give_the_bytes_of_a_local_build(
    world: World, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "hf_VerySecretTokenOfTheLauncher"
    monkeypatch.setenv("HF_TOKEN", token)
    with FakeSecrets({SECRET: token}) as secrets:
        secrets.use(monkeypatch)
        world.args = (*world.service.use(monkeypatch), f"--hf_token_secret={SECRET}")
        manifest = world.build()
        assert len(secrets.log) >= len(world.names)  # each job's worker read it
    for name, data in world.store.objects("bucket").items():
        assert token.encode() not in data, name
    assert token not in json.dumps([job.request for job in world.service.jobs])
    assert [shard.sha256 for shard in manifest.shards] == expected
    assert {job.state for job in world.service.jobs} == {"JOB_STATE_DONE"}
    assert verify("gs://bucket/out") == []
    digest = hashlib.sha256(b"gs://bucket/out").hexdigest()[:8]
    names = [f"cauldron-test-sft-{step}-{digest}" for step in ("ingest", "match-curate", "mix")]
    assert world.names == names
    assert world.build().shards == manifest.shards
    assert world.names == names


def test_a_build_goes_on_after_all_that_can_happen_to_its_jobs(
    world: World, expected: list[str]
) -> None:
    service = world.service
    service.fail_job("Workflow failed. Causes: Project p has insufficient quota: CPUS 24.0")
    with pytest.raises(CauldronError, match=r"ingest failed: .*insufficient quota") as told:
        world.build()
    assert "\n" not in str(told.value)

    # A worker of ingest is taken away; then Ctrl-C while curate runs.
    service.kill_worker_of("ingest")
    service.interrupt("curate")
    with pytest.raises(KeyboardInterrupt):
        world.build()
    assert [job.attempts for job in service.jobs if "ingest" in job.name] == [0, 2]
    assert service.jobs[-1].state == "JOB_STATE_CANCELLED"

    service.kill_worker_of("curate")
    service.kill_worker_of("mix")
    assert [shard.sha256 for shard in world.build().shards] == expected
    assert [job.attempts for job in service.jobs[-2:]] == [2, 2]
    assert verify("gs://bucket/out") == []
