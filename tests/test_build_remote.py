"""The whole build over the hub's protocol and on an object store, with faults on the way."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output.manifests import MixtureManifest
from cauldron.inspect.query import run_query
from cauldron.inspect.verify import verify
from cauldron.pipeline.build import BuildOptions, build
from cauldron.recipe import load_recipe
from tests import hubs
from tests.doubles.gcs import FakeGcs
from tests.doubles.hub import FakeHub
from tests.doubles.images import ImageServer
from tests.url_hubs import build_urls, corpora, linked, url_recipe, write_pixelprose


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    hubs.write_dolly(str(folder), rows=40)
    hubs.write_sharegpt(str(folder), rows=12)
    return folder


def run(
    tmp_path: Path, root: str | None, output: str, stage: dict[str, Any] | None = None, **options
) -> MixtureManifest:
    """Args: stage: changes to the recipe's stage."""
    recipe = load_recipe(hubs.write_recipe(str(tmp_path / "recipe.yaml"), **(stage or {})))
    asked = BuildOptions(
        recipe=recipe,
        stages=("sft",),
        root=root,
        output=output,
        beam_args=("--direct_num_workers=1",),
        **options,
    )
    return build(asked, lambda line: None)[0]


def local_shards(tmp_path: Path, root: Path) -> list[str]:
    return [s.sha256 for s in run(tmp_path, str(root), str(tmp_path / "local")).shards]


def test_the_hub_gives_the_same_mixture_through_faults(tmp_path, root, monkeypatch):
    expected = local_shards(tmp_path, root)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with FakeHub(root) as hub:
        hub.use(monkeypatch)
        hub.fail(429, "/api/datasets/", times=2, retry_after=1)
        hub.fail(503, "/resolve/", times=3)
        hub.cut("images.zip", times=1)
        manifest = run(tmp_path, None, str(tmp_path / "out"))
        commit = hub.commit("OpenGVLab/ShareGPT-4o")
    assert [shard.sha256 for shard in manifest.shards] == expected
    assert manifest.sources["sharegpt_4o"].commit == commit


def test_a_gated_repository_is_one_line_and_can_be_skipped(tmp_path, root, monkeypatch):
    with FakeHub(root) as hub:
        hub.use(monkeypatch)
        hub.gate("OpenGVLab/ShareGPT-4o", token="hf_accepted")
        with pytest.raises(CauldronError, match=r"sharegpt_4o: .*accept") as caught:
            run(tmp_path, None, str(tmp_path / "out"))
        assert len(str(caught.value).splitlines()) == 2
        # Its epochs cannot be the budget of a build without it.
        stage = {"budget": {"samples": 50}}
        manifest = run(tmp_path, None, str(tmp_path / "out"), stage, skip_unavailable=True)
    assert [item.source for item in manifest.unavailable] == ["sharegpt_4o"]


def test_a_bucket_holds_the_same_mixture_and_answers_queries(tmp_path, root, monkeypatch, capsys):
    expected = local_shards(tmp_path, root)
    with FakeGcs(["bucket"]) as store:
        store.use(monkeypatch)
        for path in root.rglob("*"):
            if path.is_file():
                store.put("bucket", f"hub/{path.relative_to(root)}", path.read_bytes())
        manifest = run(tmp_path, "gs://bucket/hub", "gs://bucket/out")
        assert [shard.sha256 for shard in manifest.shards] == expected
        assert verify("gs://bucket/out") == []
        run_query("gs://bucket/out", "SELECT count(*) AS n FROM sft", "csv")
        assert capsys.readouterr().out.split() == ["n", str(manifest.totals.rows)]
        names = store.objects("bucket")
    assert not [name for name in names if "_done" in name or ".tmp" in name]


def test_images_by_url_are_kept_in_a_bucket_and_asked_for_once(tmp_path, monkeypatch):
    """Record files there are whole objects; the corpus has the bytes of a local one."""
    hub = tmp_path / "hub"
    with ImageServer() as server, FakeGcs(["bucket"]) as store:
        write_pixelprose(hub, [linked(server.port, n) for n in range(12)])
        build_urls(hub, tmp_path / "local", url_recipe())
        store.use(monkeypatch)
        server.log.clear()
        for _ in range(2):
            build_urls(hub, "gs://bucket/out", url_recipe())
        assert sorted(line.path for line in server.log) == sorted(f"/{n}.jpg" for n in range(12))
        assert verify("gs://bucket/out") == []
        names = store.objects("bucket")
        (local,) = corpora(tmp_path / "local")
        for part in local.parts:
            (name,) = (n for n in names if "/pixelprose/" in n and n.endswith(part.parquet.name))
            data = storage.read_bytes(f"gs://bucket/{name}")
            assert hashlib.sha256(data).hexdigest() == part.parquet.sha256
    assert not [name for name in names if "_done" in name or ".tmp" in name]
