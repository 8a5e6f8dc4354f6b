"""Roots and outputs on stores that are neither disks nor `gs://`: what fsspec opens."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry, known_implementations

from cauldron.core import storage
from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.output.lock import LOCK, locked
from cauldron.inspect.query import run_query
from cauldron.inspect.verify import verify
from cauldron.pipeline.build import BuildOptions, build
from cauldron.recipe import load_recipe
from tests import hubs


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    """fsspec's store in memory: one process sees it, which is enough for small local jobs."""
    MemoryFileSystem.store.clear()
    yield fsspec.filesystem("memory")
    MemoryFileSystem.store.clear()


def test_a_build_from_and_to_another_store_has_the_bytes_of_a_local_one(
    memory: MemoryFileSystem, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hubs.write_dolly(str(tmp_path / "hub"), rows=20)
    hubs.write_sharegpt(str(tmp_path / "hub"), rows=8)
    for path in (tmp_path / "hub").rglob("*"):
        if path.is_file():
            memory.pipe(f"/hub/{path.relative_to(tmp_path / 'hub')}", path.read_bytes())
    recipe = load_recipe(hubs.write_recipe(str(tmp_path / "recipe.yaml")))
    shards = []
    for root, out in (
        (str(tmp_path / "hub"), str(tmp_path / "out")),
        ("memory://hub", "memory://out"),
    ):
        options = BuildOptions(recipe, ("sft",), root, out, beam_args=("--direct_num_workers=1",))
        shards.append([shard.sha256 for shard in build(options, lambda line: None)[0].shards])
        assert verify(out) == []
    assert shards[0] == shards[1]
    assert not [name for name in memory.find("/out") if name.endswith(LOCK) or "_done" in name]
    run_query("memory://out", "SELECT count(*) AS n FROM quarantine", "csv")
    assert capsys.readouterr().out.startswith("n")


def test_one_build_at_a_time_holds_a_lock_there(memory: MemoryFileSystem) -> None:
    with locked(["memory://out"]) as held:
        held.confirm("memory://out")
        with pytest.raises(CauldronError, match="is building here"), locked(["memory://out"]):
            pass
    assert not memory.exists(f"/out/{LOCK}")


def test_a_refusal_to_overwrite_in_the_words_of_s3fs_is_understood(
    memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pipe_file(self: Any, path: str, data: bytes, mode: str = "overwrite") -> None:
        raise OSError(errno.EINVAL, "At least one of the pre-conditions did not hold")

    memory.pipe("/a", b"1")
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", pipe_file)
    assert not storage.create("memory://a", b"2")
    with pytest.raises(CauldronError, match=r"memory:///b: .*pre-conditions"):
        storage.create("memory://b", b"2")


def test_a_store_whose_package_is_missing_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    about = {"class": "no_such_package.S3FileSystem", "err": "Install s3fs to access S3"}
    monkeypatch.setitem(known_implementations, "s3", about)
    monkeypatch.delitem(_registry, "s3", raising=False)
    for call in (storage.exists, storage.read_bytes, lambda path: storage.create(path, b"")):
        with pytest.raises(UsageError, match=r"cannot open s3://b/a: Install s3fs") as caught:
            call("s3://b/a")
        assert "\n" not in str(caught.value)


def test_an_unknown_store_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match="give a folder or a gs:// address"):
        storage.exists("nosuch://b/a")
