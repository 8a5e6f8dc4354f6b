"""All four stages of the sample on a double of Dataflow that runs what is staged.

Sources, images by URL, a benchmark and the outputs are in a bucket. Workers serve the images of two
sources to themselves from the bucket, as the sample recipe says, and fetch them over HTTP. They run
in a clean environment; CONTRIBUTING.md says how to make it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from cauldron.core.output.manifests import MixtureManifest
from cauldron.inspect.verify import verify
from cauldron.pipeline.build import BuildOptions, build
from cauldron.recipe import load_recipe
from tests.doubles.dataflow import FakeDataflow, clean_python
from tests.doubles.gcs import FakeGcs

PYTHON = clean_python()
STAGES = ("stage1", "stage2", "stage3", "sft")
OUTPUT = "gs://bucket/out"
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(not PYTHON, reason="CAULDRON_WORKER_PYTHON unset"),
]
Mixtures = Mapping[str, MixtureManifest]


def build_all(folder: Path, root: str, output: str, benchmark: str, *beam_args: str) -> Mixtures:
    """The mixtures of all stages; the build names no stage."""
    path = folder / "staged.yaml"
    against = {"benchmarks": {"ours": benchmark}}
    path.write_text(json.dumps({"extends": "sample", "name": "staged", "against": against}))
    options = BuildOptions(load_recipe(str(path)), (), root, output, beam_args=beam_args)
    return {manifest.stage: manifest for manifest in build(options, lambda line: None)}


@pytest.fixture(scope="module")
def benchmark(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark with three pictures of a source by URL."""
    folder = tmp_path_factory.mktemp("benchmark")
    for number, path in enumerate(sorted((sample / "_images" / "pixelprose").iterdir())[:3]):
        (folder / f"{number}{path.suffix}").write_bytes(path.read_bytes())
    return folder


def test_all_stages_have_the_bytes_of_a_local_build(
    sample: Path, benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PYTHON is not None
    local = build_all(tmp_path, str(sample), str(tmp_path / "local"), str(benchmark))
    with FakeGcs(["bucket"]) as store, FakeDataflow(store, PYTHON, tmp_path) as service:
        store.use(monkeypatch)
        for name, folder in (("hub", sample), ("benchmark", benchmark)):
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    key = f"{name}/{path.relative_to(folder).as_posix()}"
                    store.put("bucket", key, path.read_bytes())
        place = ("gs://bucket/hub", OUTPUT, "gs://bucket/benchmark")
        options = service.use(monkeypatch)
        made = build_all(tmp_path, *place, *options)
        jobs = [job.name for job in service.jobs]
        assert verify(OUTPUT) == []
        # Nothing is left to do.
        again = build_all(tmp_path, *place, *options)
        assert [job.name for job in service.jobs] == jobs
    assert {job.state for job in service.jobs} == {"JOB_STATE_DONE"}
    # Three jobs for a stage and one for each further stage, as without images by URL, and the one
    # that fetches them for all stages.
    digest = hashlib.sha256(OUTPUT.encode()).hexdigest()[:8]
    steps = [*("-".join((*STAGES, step)) for step in ("fetch", "ingest", "match-curate"))]
    steps += [f"{stage}-mix" for stage in STAGES]
    assert jobs == [f"cauldron-staged-{step}-{digest}" for step in steps]
    assert tuple(local) == tuple(made) == tuple(again) == STAGES
    for stage in STAGES:
        assert made[stage].shards == local[stage].shards == again[stage].shards, stage
    assert local["stage3"].sources["pixelprose"].counts.dropped["contaminated"] == 3
