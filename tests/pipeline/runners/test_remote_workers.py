"""Workers on other machines: their versions, and where they find the hub's token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.internal import pickler

from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.secrets import read_secret
from cauldron.pipeline.build import BuildOptions, build
from cauldron.pipeline.runners.options import check_arguments, pipeline_options
from cauldron.pipeline.runners.remote import workers as remote_workers
from cauldron.pipeline.runners.remote.versions import check_same, versions
from cauldron.pipeline.runners.remote.workers import check_token, prepare
from cauldron.recipe import load_recipe
from tests import hubs
from tests.doubles.gcs import FakeGcs
from tests.doubles.hub import FakeHub
from tests.doubles.secrets import FakeSecrets

TOKEN = "hf_VerySecretTokenOfTheLauncher"
SECRET = "projects/p/secrets/hub/versions/latest"
REMOTE = ("--runner=PortableRunner", "--job_endpoint=jobs.example:8099")
GATED = "OpenGVLab/ShareGPT-4o"


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSecrets]:
    with FakeSecrets({SECRET: TOKEN + "\n"}) as double:
        double.use(monkeypatch)
        yield double


def add_one(number: int) -> int:
    return number + 1


def function_of_job(*arguments: str) -> bytes:
    """A pickled function, as a worker of a job gets it."""
    pipeline = beam.Pipeline()
    _ = pipeline | beam.Create([1], reshuffle=False) | "Add" >> beam.Map(add_one)
    prepare(pipeline, arguments)
    found: list[beam.DoFn] = []

    class Find(beam.pipeline.PipelineVisitor):
        def visit_transform(self, node: beam.pipeline.AppliedPTransform) -> None:
            if node.full_label == "Add":
                found.append(node.transform.fn)

    pipeline.visit(Find())
    data = pickler.dumps(found[0])
    return data if isinstance(data, bytes) else data.encode()


WORKER = """
import os, sys
from apache_beam.internal import pickler
fn = pickler.loads(sys.stdin.buffer.read())
print(list(fn.process(41)), os.environ["HF_TOKEN"])
"""


@pytest.fixture
def on_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process loads functions as a worker does that has no token."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    remote_workers._start.cache_clear()


def start(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_workers, "_submitting", set())
    pickler.loads(data)


def test_a_worker_process_works_with_the_token_of_the_secret(
    secrets: FakeSecrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)  # the launcher's own
    data = function_of_job(*REMOTE, f"--hf_token_secret={SECRET}")
    assert TOKEN.encode() not in data
    pickler.loads(data)
    assert not secrets.log
    environment = {name: value for name, value in os.environ.items() if name != "HF_TOKEN"}
    worker = [sys.executable, "-c", WORKER]
    found = subprocess.run(worker, input=data, env=environment, stdout=subprocess.PIPE, check=True)
    assert found.stdout.decode() == f"[42] {TOKEN}\n"
    assert len(secrets.log) == 1


def test_a_workers_own_token_comes_first(
    secrets: FakeSecrets, on_worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = function_of_job(*REMOTE, f"--hf_token_secret={SECRET}")
    monkeypatch.setenv("HF_TOKEN", "its own")
    start(data, monkeypatch)
    assert os.environ["HF_TOKEN"] == "its own"
    assert not secrets.log


def test_a_worker_with_other_versions_stops_and_names_them(
    on_worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = function_of_job(*REMOTE)
    start(data, monkeypatch)
    remote_workers._start.cache_clear()
    other = versions() | {"pyarrow": "1.0", "numba": "(not installed)"}
    monkeypatch.setattr(remote_workers, "versions", lambda: other)
    with pytest.raises(CauldronError) as caught:
        start(data, monkeypatch)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("worker ")
    assert "pyarrow 1.0 instead of " in line
    assert "numba (not installed) instead of " in line
    assert "numpy" not in line


def test_the_third_number_of_python_is_no_difference() -> None:
    assert versions()["python"].count(".") == 1
    check_same({"w1": versions()})


def test_a_worker_without_the_token_that_it_should_have_says_so(
    on_worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = function_of_job(*REMOTE, "--hf_token_on_workers")
    with pytest.raises(CauldronError, match="has no HF_TOKEN in its environment"):
        start(data, monkeypatch)


def test_functions_of_local_jobs_carry_nothing() -> None:
    assert b"remote_workers" not in function_of_job("--runner=FnApiRunner")


def test_a_secret_that_cannot_be_read_is_one_line_without_it(secrets: FakeSecrets) -> None:
    other = "projects/p/secrets/other/versions/1"
    with pytest.raises(CauldronError, match=r"other.*cannot be read.*404") as caught:
        read_secret(other)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError) as refused:
        read_secret(TOKEN)
    assert TOKEN not in str(refused.value)


def test_a_token_in_place_of_its_secrets_name_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="--hf_token_secret: ") as caught:
        check_token([*REMOTE, f"--hf_token_secret={TOKEN}"], [])
    assert TOKEN not in str(caught.value)


def test_both_spellings_are_known() -> None:
    for typed in (f"--hf-token-secret={SECRET}", f"--hf_token_secret={SECRET}"):
        check_arguments(["--runner=DataflowRunner", typed, "--hf_token_on_workers"])


def test_a_gated_source_needs_a_token_on_remote_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hubs.write_dolly(str(tmp_path / "hub"), rows=4)
    hubs.write_sharegpt(str(tmp_path / "hub"), rows=4)
    recipe = load_recipe(hubs.write_recipe(str(tmp_path / "recipe.yaml")))

    def refused(*more: str) -> str:
        options = BuildOptions(recipe, ("sft",), None, "gs://bucket/out", beam_args=REMOTE + more)
        with pytest.raises(CauldronError) as caught:
            build(options, lambda line: None)
        return str(caught.value)

    with FakeHub(tmp_path / "hub") as hub, FakeGcs(["bucket"]) as store:
        hub.use(monkeypatch)
        store.use(monkeypatch)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(
            "cauldron.pipeline.runners.runner.run", lambda *_, **__: _stop("the job was submitted")
        )
        assert "submitted" in refused()
        hub.gate(GATED, token=TOKEN)
        assert refused().startswith(f"{GATED} is gated or private, and workers have no HF_TOKEN")
        assert "submitted" in refused(f"--hf_token_secret={SECRET}")
        assert "submitted" in refused("--hf_token_on_workers")
        assert not [name for name in store.objects("bucket") if name.endswith("manifest.json")]


def _stop(why: str) -> None:
    raise CauldronError(why)


def test_the_token_is_in_nothing_that_is_staged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    arguments = [
        *("--runner=DataflowRunner", "--project=p", "--region=europe-west1", "--no_auth"),
        *("--dataflow_endpoint=http://localhost:1", f"--temp_location={tmp_path}"),
        *(f"--staging_location={tmp_path}", f"--template_location={tmp_path}/template.json"),
        *("--experiments=disable_logging_submission_environment", f"--hf_token_secret={SECRET}"),
    ]
    pipeline = beam.Pipeline(options=pipeline_options(arguments, "ingest", 0))
    _ = pipeline | beam.Create([1], reshuffle=False) | beam.Map(add_one)
    prepare(pipeline, arguments)
    pipeline.run()
    staged = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"pipeline.pb", "template.json"} <= {path.name for path in staged}
    assert not [path for path in staged if TOKEN.encode() in path.read_bytes()]
    options = json.loads((tmp_path / "template.json").read_text())["environment"]
    assert SECRET in json.dumps(options)  # the name, not the token
    assert remote_workers.TOKEN not in json.dumps(options)
