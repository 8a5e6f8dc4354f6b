"""Commands that ask a model, on clusters: the local runner's bytes, no question asked twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cauldron.sources import pdfs as pdf_places
from cauldron.transforms.docmatix.write import FILES
from click.testing import CliRunner

from cauldron.cli import main
from cauldron.sample.model_server import Behaviour, ModelServer
from cauldron.sample.pdfs import made_pdfs, write_pdfs
from tests import hubs
from tests.clusters.dask_cluster import Cluster, cluster
from tests.doubles.dataflow import FakeDataflow, clean_python
from tests.doubles.gcs import FakeGcs
from tests.doubles.secrets import FakeSecrets

__all__ = ["cluster"]

PYTHON = clean_python()
PRISM = os.environ.get("CAULDRON_PRISM")
SECRET = "projects/p/secrets/model/versions/latest"
KEY = "sk-VerySecretKeyOfTheModel"
# 16 documents in three parts.
COUNT, PART = 16, 6
STAGE = {"budget": {"epochs_of": {"sharegpt_4o": 1}}, "mixture": {"sharegpt_4o": 1, "dolly": 1}}
RECIPE = {
    "name": "test",
    "stages": {"sft": STAGE},
    "ratings": {
        "text": {"name": "reader", "max_tokens": 4},
        "vision": {"name": "viewer", "max_tokens": 4},
    },
}


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_places, "DOCUMENTS", PART)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    # Slow enough that two workers ask at the same time.
    with ModelServer(Behaviour(delay=0.05)) as running:
        yield running


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``pdfs``, a ``hub``, its build ``out``, and what a local run makes of them, ``local``."""
    folder = tmp_path_factory.mktemp("world")
    write_pdfs(folder / "pdfs", made_pdfs(COUNT, shrink=4))
    hubs.write_dolly(str(folder / "hub"), 24)
    hubs.write_sharegpt(str(folder / "hub"), 24, turns=2)
    (folder / "recipe.yaml").write_text(json.dumps(RECIPE))
    places = ["--root", str(folder / "hub"), "--output", str(folder / "out")]
    run("build", str(folder / "recipe.yaml"), *places)
    with pytest.MonkeyPatch.context() as patch, ModelServer() as running:
        patch.setattr(pdf_places, "DOCUMENTS", PART)
        shutil.copytree(folder / "out", folder / "local" / "rated")
        ask_all(folder, str(folder), str(folder / "local"), running)
    return folder


def run(*arguments: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output


def ask_all(world: Path, inputs: str, outputs: str, server: ModelServer, *options: str) -> None:
    """Both commands: ``outputs/docmatix`` is made, ``outputs/rated`` has its corpora rated."""
    endpoint = ("--endpoint", server.url)
    made = ("--output", f"{outputs}/docmatix")
    run("docmatix", f"{inputs}/pdfs", *made, *endpoint, "--model", "rules", *options)
    rated = ("--root", f"{inputs}/hub", "--output", f"{outputs}/rated")
    run("rate", str(world / "recipe.yaml"), *rated, *endpoint, *options)


def on_disk(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Of the dataset's shards and tables and of the ratings.

    Ratings lie in a folder with the fingerprint of the corpus, which depends on where its source
    was read. It is left out of their names.
    """
    found = {}
    for name, data in files.items():
        parts = name.split("/")
        if parts[:2] == ["rated", "ratings"]:
            del parts[-2]
        elif parts[0] != "docmatix" or parts[1] not in FILES:
            continue
        if name.endswith(".parquet"):
            found["/".join(parts)] = hashlib.sha256(data).hexdigest()
    return found


def check(files: Mapping[str, bytes], world: Path, server: ModelServer) -> None:
    expected = digests(on_disk(world / "local"))
    # Three parts of four tables; tables of two sources.
    assert len([name for name in expected if name.startswith("docmatix")]) == 12
    assert len([name for name in expected if name.startswith("rated")]) >= 2
    assert digests(files) == expected
    asked = Counter(line.question for line in server.asked)
    assert set(asked.values()) == {1}
    # Each of 48 turns with an image on four scales, each of 24 without on two.
    assert len(asked) > 24 * 2 * 4 + 24 * 2
    manifest = json.loads(files["docmatix/manifest.json"])
    assert sum(manifest["documents"].values()) == COUNT


@pytest.mark.thorough
def test_two_worker_processes_of_dask_give_the_bytes_of_the_local_runner(
    world: Path, tmp_path: Path, server: ModelServer, cluster: Cluster
) -> None:
    shutil.copytree(world / "out", tmp_path / "rated")
    ask_all(world, str(world), str(tmp_path), server, "--shared-folders", *cluster.options)
    check(on_disk(tmp_path), world, server)


@pytest.mark.thorough
@pytest.mark.skipif(not PRISM, reason="CAULDRON_PRISM unset")
def test_prism_gives_the_bytes_of_the_local_runner(
    world: Path, tmp_path: Path, server: ModelServer
) -> None:
    shutil.copytree(world / "out", tmp_path / "rated")
    prism = ("--runner=PrismRunner", f"--prism_location={PRISM}")
    ask_all(world, str(world), str(tmp_path), server, *prism)
    check(on_disk(tmp_path), world, server)


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON, reason="CAULDRON_WORKER_PYTHON unset")
def test_jobs_on_dataflow_give_the_bytes_of_the_local_runner_and_read_the_key_themselves(
    world: Path, tmp_path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PYTHON is not None
    with (
        FakeGcs(["bucket"]) as store,
        FakeSecrets({SECRET: KEY}) as secrets,
        FakeDataflow(store, PYTHON, tmp_path) as service,
    ):
        store.use(monkeypatch)
        secrets.use(monkeypatch)
        for name, data in on_disk(world).items():
            if name.startswith(("pdfs/", "hub/")):
                store.put("bucket", name, data)
        # What is rated is built on this machine.
        places = ("--root", "gs://bucket/hub", "--output", "gs://bucket/made/rated")
        run("build", str(world / "recipe.yaml"), *places)
        options = (*service.use(monkeypatch), f"--key-from={SECRET}")
        ask_all(world, "gs://bucket", "gs://bucket/made", server, *options)
        objects = store.objects("bucket")
        assert {job.state for job in service.jobs} == {"JOB_STATE_DONE"}
        requests = json.dumps([job.request for job in service.jobs])
    made = {
        name.removeprefix("made/"): data
        for name, data in objects.items()
        if name.startswith("made/")
    }
    check(made, world, server)
    assert {line.key for line in server.asked} == {KEY}
    assert KEY not in requests
    assert not [name for name, data in objects.items() if KEY.encode() in data]
