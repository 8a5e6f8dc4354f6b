"""Roots and outputs on ``s3://``: s3fs against moto, a server that speaks S3's protocol."""

from __future__ import annotations

import logging
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from click.testing import CliRunner

from cauldron.cli import main
from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output.lock import LOCK, locked
from cauldron.core.output.manifests import MixtureManifest
from cauldron.core.stores import versioned
from cauldron.inspect.verify import verify
from cauldron.pipeline.build import BuildOptions, build
from tests.clusters.world import recipe_of_all_steps, write_world

pytest.importorskip("s3fs")
server_of_moto = pytest.importorskip("moto.server")
pytestmark = pytest.mark.thorough


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """s3fs, and what worker processes find it by; the bucket ``bucket`` is there and empty."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # else a line for each request
    server = server_of_moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1,localhost",
    }.items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    # Its objects are this process's, also those of the test before.
    reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
    urllib.request.urlopen(reset).close()
    store = fsspec.filesystem("s3", use_listings_cache=False)
    store.mkdir("bucket")
    try:
        yield store
    finally:
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        server.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    return folder


def build_in(folder: Path, place: str, benchmark: str, *beam_args: str) -> MixtureManifest:
    recipe = recipe_of_all_steps(folder / "recipe.yaml", benchmark)
    options = BuildOptions(recipe, ("sft",), f"{place}/hub", f"{place}/out", beam_args=beam_args)
    return build(options, lambda line: None)[0]


@pytest.fixture(scope="module")
def local(world: Path) -> MixtureManifest:
    return build_in(world, str(world), str(world / "benchmark"))


@pytest.mark.parametrize(
    "beam_args",
    [(), ("--direct_num_workers=2", "--direct_running_mode=multi_processing")],
    ids=["one process", "two workers"],
)
def test_a_build_from_and_to_s3_has_the_bytes_of_a_local_one(
    s3: Any, world: Path, local: MixtureManifest, tmp_path: Path, beam_args: tuple[str, ...]
) -> None:
    for name in ("hub", "benchmark"):
        s3.put(f"{world / name}/", f"bucket/{name}/", recursive=True)
    made = build_in(tmp_path, "s3://bucket", "s3://bucket/benchmark", *beam_args)
    assert made.shards == local.shards
    assert verify("s3://bucket/out") == []
    left = [name for name in s3.find("bucket/out") if name.endswith(LOCK) or "_done" in name]
    assert not left

    sql = "SELECT source, count(*) AS n FROM quarantine GROUP BY 1"
    found = CliRunner().invoke(main, ["query", "s3://bucket/out", sql, "--csv"])
    assert found.exit_code == 0, found.output
    assert "dolly,1" in found.output.splitlines()

    before = {name: entry["ETag"] for name, entry in s3.find("bucket/out", detail=True).items()}
    again = build_in(tmp_path, "s3://bucket", "s3://bucket/benchmark", *beam_args)
    assert again.shards == local.shards
    after = {name: entry["ETag"] for name, entry in s3.find("bucket/out", detail=True).items()}
    assert after == before


def test_what_is_damaged_there_is_found(s3: Any, world: Path, tmp_path: Path) -> None:
    for name in ("hub", "benchmark"):
        s3.put(f"{world / name}/", f"bucket/{name}/", recursive=True)
    made = build_in(tmp_path, "s3://bucket", "s3://bucket/benchmark")
    names = s3.find("bucket/out/mixtures")
    shard = next(name for name in names if name.endswith(made.shards[0].name))
    data = s3.cat_file(shard)
    s3.pipe_file(shard, data[:-100] + bytes(100))
    assert any(made.shards[0].name in problem for problem in verify("s3://bucket/out"))


def test_of_several_that_create_a_file_one_succeeds(s3: Any) -> None:
    assert storage.create("s3://bucket/a", b"1")
    assert not storage.create("s3://bucket/a", b"2")
    assert storage.read_bytes("s3://bucket/a") == b"1"
    with locked(["s3://bucket/out"]) as held:
        held.confirm("s3://bucket/out")
        with pytest.raises(CauldronError, match="is building here"), locked(["s3://bucket/out"]):
            pass
    assert not s3.exists(f"bucket/out/{LOCK}")


def test_a_file_is_replaced_only_from_the_version_that_was_read(s3: Any) -> None:
    known = versioned.create("s3://bucket/m.json", b"1")
    assert known is not None
    storage.write_bytes("s3://bucket/m.json", b"another build")
    with pytest.raises(versioned.Changed):
        versioned.replace("s3://bucket/m.json", b"2", known)


def test_a_writer_that_fails_leaves_nothing(s3: Any) -> None:
    def write() -> None:
        with storage.atomic_write("s3://bucket/big") as file:
            file.write(bytes(12 << 20))  # more than a part of an upload
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write()
    assert not s3.exists("bucket/big")


@pytest.mark.parametrize("missing", ["hub", "out"])
def test_a_bucket_that_is_not_there_is_told(
    s3: Any, world: Path, tmp_path: Path, missing: str
) -> None:
    place = {"hub": str(world / "hub"), "out": str(tmp_path / "out"), missing: "s3://nowhere/x"}
    recipe = recipe_of_all_steps(tmp_path / "recipe.yaml", str(world / "benchmark"))
    options = BuildOptions(recipe, ("sft",), place["hub"], place["out"])
    with pytest.raises(CauldronError, match="s3://nowhere/x"):
        build(options, lambda line: None)
