"""Every command on a bucket, as typed, through a store that stumbles."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from pathlib import Path

import gcsfs.retry
import pytest
from click.testing import CliRunner

from cauldron.cli import main
from tests import hubs
from tests.doubles.chat import ChatServer, Reply
from tests.doubles.gcs import FakeGcs
from tests.evaluate.published import publish

HUB, OUT = "gs://bucket/hub", "gs://bucket/out"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    hubs.write_dolly(str(tmp_path / "hub"), rows=20)
    hubs.write_sharegpt(str(tmp_path / "hub"), rows=8)

    async def at_once(seconds: float) -> None:
        """Waiting for the store takes no time."""

    monkeypatch.setattr(gcsfs.retry, "asyncio", types.SimpleNamespace(sleep=at_once))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with FakeGcs(["bucket"]) as double:
        double.use(monkeypatch)
        upload(double, tmp_path / "hub", "hub")
        yield double


def upload(store: FakeGcs, folder: Path, prefix: str) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            store.put("bucket", f"{prefix}/{path.relative_to(folder)}", path.read_bytes())


def cauldron(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result.output


def build(recipe: str, code: int = 0) -> str:
    places = ("--root", HUB, "--output", OUT)
    return cauldron("build", recipe, *places, "--direct_num_workers=1", code=code)


def test_a_build_is_looked_at_where_it_is(store: FakeGcs, tmp_path: Path) -> None:
    recipe = hubs.write_recipe(str(tmp_path / "recipe.yaml"))
    for status in (429, 503):
        store.fail(status, "/hub%2F", times=2)
        store.fail(status, "/upload/", times=2)
        store.fail(status, "/out%2F", times=2)
    store.cut("images.zip")
    store.shorten("manifest.json")
    store.spoil("part-00000")  # a shard of a corpus, when it is written
    assert "received other bytes" in build(recipe, code=1)
    build(recipe)
    assert "done already" in build(recipe)

    for status in (429, 503):
        store.fail(status, "/out%2F", times=1)
    assert cauldron("verify", OUT)
    found = cauldron("query", OUT, "SELECT id FROM sft LIMIT 1", "--json")
    row = json.loads(found)[0]["id"]
    assert row in cauldron("curate", OUT, "--explain", row)


@pytest.mark.slow
def test_listings_that_lag_behind_lose_no_row(store: FakeGcs, tmp_path: Path) -> None:
    """The build ends right, or with one line that says what is not there; then a rerun does."""
    recipe = hubs.write_recipe(str(tmp_path / "recipe.yaml"))
    store.lag("out/", 3)
    places = ("--root", HUB, "--output", OUT)
    for _ in range(8):
        result = CliRunner().invoke(main, ["build", recipe, *places, "--direct_num_workers=1"])
        if not result.exit_code:
            break
        assert "unforeseen" not in result.output
        assert "Traceback" not in result.output
    assert result.exit_code == 0, result.output
    cauldron("build", recipe, "--root", str(tmp_path / "hub"), "--output", str(tmp_path / "out"))
    store.lag("out/", 0)
    cauldron("verify", OUT)
    here = (tmp_path / "out").rglob("train-*.parquet")
    held = store.objects("bucket")
    there = {data for name, data in held.items() if "/data/" in name and name.endswith(".parquet")}
    assert {path.read_bytes() for path in here} == there


def test_a_store_that_refuses_is_one_line(store: FakeGcs, tmp_path: Path) -> None:
    recipe = hubs.write_recipe(str(tmp_path / "recipe.yaml"))
    store.fail(403, "/upload/", times=999)
    lines = build(recipe, code=1).splitlines()
    assert "Forbidden" in lines[-1] or "403" in lines[-1]
    assert not [line for line in lines if "Traceback" in line]


def test_an_evaluation_reads_and_writes_a_bucket_and_goes_on(
    store: FakeGcs, tmp_path: Path
) -> None:
    upload(store, publish(tmp_path / "benchmarks"), "benchmarks")
    folder = "gs://bucket/evaluations/m"
    asked = ("--model-name", "m", "--root", "gs://bucket/benchmarks", "--output", folder)
    with ChatServer(lambda number, body: Reply("Answer: B")) as server:
        for limit, total in (("2", 2), ("3", 3)):
            more = ("--benchmark", "mathvista", "--limit", limit)
            said = cauldron("eval", server.url, *asked, *more)
            assert len(server.asked) == total
            assert said.splitlines()[-1] == f"evaluation: {folder}"
        more = ("--score-only", "--against", folder)
        assert f"Difference to {folder}:" in cauldron("eval", server.url, *asked, *more)
    held = [name for name in store.objects("bucket") if name.startswith("evaluations/m/")]
    answers = [name for name in held if name.startswith("evaluations/m/answers/")]
    assert len(answers) == 4  # a pack and its index for each of the two runs that asked
    held = [name for name in held if name not in answers]
    assert held == [
        "evaluations/m/items-mathvista.parquet",
        "evaluations/m/manifest.json",
        "evaluations/m/predictions/mathvista/rank-00000.jsonl",
    ]
