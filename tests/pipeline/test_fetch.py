"""Builds of sources by URL: what is asked, what is kept, what becomes of a row."""

from __future__ import annotations

import json
import shutil
import socket
from collections import Counter
from pathlib import Path

import pytest
from cauldron.transforms.fetching import tally

from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.output.manifests import CorpusManifest
from cauldron.core.sections.stage import StageRecipe
from cauldron.inspect.verify import verify
from cauldron.pipeline import fetch
from cauldron.recipe import load_recipe
from tests.doubles.images import ImageServer, answer, photo
from tests.hubs import write_dolly
from tests.url_hubs import (
    Linked,
    build_urls,
    corpora,
    corpus_files,
    fetch_manifests,
    linked,
    url_recipe,
    write_laion,
    write_pixelprose,
)

real_getaddrinfo = socket.getaddrinfo


def asked(server: ImageServer) -> Counter[str]:
    return Counter(line.path for line in server.log)


def fates(corpus: CorpusManifest) -> dict[str, int]:
    counts = corpus.counts
    return {"kept": counts.kept, **counts.quarantined}


@pytest.fixture
def server():
    gone = {f"/gone/{n}.jpg": answer("404 Not Found") for n in range(3)}
    page = {"/page/1.jpg": answer("200 OK", b"<!doctype html><p>Sign in first.")}
    with ImageServer(gone | page) as server:
        yield server


@pytest.fixture
def hub(tmp_path: Path, server: ImageServer) -> Path:
    """20 good rows, 4 with a dead link (one URL twice), one with a page, one with another image."""
    base = f"http://127.0.0.1:{server.port}"
    rows = [linked(server.port, n, checked=n % 2 == 0) for n in range(20)]
    rows += [Linked(f"{base}/gone/{n}.jpg") for n in (0, 1, 2, 2)]
    rows += [Linked(f"{base}/page/1.jpg"), Linked(f"{base}/77.jpg", "0" * 64)]
    write_pixelprose(tmp_path / "hub", rows)
    return tmp_path / "hub"


FATES = {"kept": 20, "http_not_found": 4, "not_an_image": 1, "sha256_mismatch": 1}


def test_every_row_has_its_image_or_a_reason(hub, server, tmp_path):
    build_urls(hub, tmp_path / "out", url_recipe())
    (corpus,) = corpora(tmp_path / "out")
    assert fates(corpus) == FATES
    assert verify(str(tmp_path / "out")) == []
    assert set(asked(server).values()) == {1}
    manifest = fetch_manifests(tmp_path / "out")["pixelprose"]
    # A row without an image does not count against max_bad_fraction (5 %).
    # The one that two pieces want counts for each.
    assert (manifest.urls, manifest.fetched) == (26, 21)
    assert manifest.failed == {"http_not_found": 4, "not_an_image": 1}


def test_a_second_build_and_one_with_other_rules_for_texts_ask_nothing(hub, server, tmp_path):
    build_urls(hub, tmp_path / "out", url_recipe())
    server.log.clear()
    build_urls(hub, tmp_path / "out", url_recipe())
    assert len(corpora(tmp_path / "out")) == 1
    other = url_recipe().model_copy(update={"tokenizer": "mistral-7b"})
    build_urls(hub, tmp_path / "out", other)
    assert [fates(corpus) for corpus in corpora(tmp_path / "out")] == [FATES, FATES]
    assert not server.log


def test_a_rebuild_from_the_fetched_images_has_the_same_bytes_without_the_server(
    hub, server, tmp_path
):
    build_urls(hub, tmp_path / "out", url_recipe())
    shutil.copytree(tmp_path / "out" / "fetched", tmp_path / "again" / "fetched")
    shutil.rmtree(tmp_path / "out" / "fetched" / "lists")
    shutil.rmtree(tmp_path / "out" / "corpus")
    server.log.clear()
    build_urls(hub, tmp_path / "again", url_recipe())
    # Without the lists they are made again, and the store answers.
    build_urls(hub, tmp_path / "out", url_recipe())
    assert corpus_files(tmp_path / "out") == corpus_files(tmp_path / "again")
    assert not server.log


@pytest.mark.slow
def test_two_workers_and_repeated_bundles_give_the_same_bytes(hub, server, tmp_path):
    build_urls(hub, tmp_path / "one", url_recipe())
    two = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    build_urls(hub, tmp_path / "two", url_recipe(), *two)
    build_urls(hub, tmp_path / "again", url_recipe(), "--direct_runner_bundle_repeat=2")
    one = corpus_files(tmp_path / "one")
    assert corpus_files(tmp_path / "two") == one == corpus_files(tmp_path / "again")
    # Each build has a store of its own, and asked once.
    assert set(asked(server).values()) == {3}


@pytest.mark.slow
def test_dask_gives_the_same_bytes_and_asks_once(hub, server, tmp_path):
    build_urls(hub, tmp_path / "local", url_recipe())
    build_urls(hub, tmp_path / "dask", url_recipe(), "--runner=DaskRunner")
    assert corpus_files(tmp_path / "dask") == corpus_files(tmp_path / "local")
    assert set(asked(server).values()) == {2}


def test_failures_are_asked_for_again_on_demand(hub, server, tmp_path):
    build_urls(hub, tmp_path / "out", url_recipe())
    first = asked(server)
    server.pages["/gone/0.jpg"] = answer("200 OK", photo(200))
    server.log.clear()
    build_urls(hub, tmp_path / "out", url_recipe(), refetch="failed")
    assert asked(server).keys() == {f"/gone/{n}.jpg" for n in range(3)} | {"/page/1.jpg"}
    assert fates(corpora(tmp_path / "out")[-1]) == FATES | {"kept": 21, "http_not_found": 3}
    server.log.clear()
    build_urls(hub, tmp_path / "out", url_recipe())
    assert not server.log
    assert len(corpora(tmp_path / "out")) == 2
    build_urls(hub, tmp_path / "out", url_recipe(), refetch="all")
    assert asked(server) == first


def test_a_refetch_that_was_killed_goes_on_where_it_was(hub, server, tmp_path, monkeypatch):
    build_urls(hub, tmp_path / "out", url_recipe())
    server.log.clear()
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "_manifest", lambda *args: 1 / 0)  # all is asked, nothing finished
        with pytest.raises(ZeroDivisionError):
            build_urls(hub, tmp_path / "out", url_recipe(), refetch="all")
    first = asked(server)
    assert set(first.values()) == {1}
    # Without the option too: what was begun is finished.
    build_urls(hub, tmp_path / "out", url_recipe())
    assert asked(server) == first
    (folder,) = (path.parent for path in (tmp_path / "out").glob("fetched/lists/*/*/manifest.json"))
    assert len(list(folder.glob("answers-*"))) == 1
    assert not (folder / "again.json").exists()


def test_fetched_images_may_be_deleted_until_a_corpus_needs_them(hub, server, tmp_path):
    build_urls(hub, tmp_path / "out", url_recipe())
    shutil.rmtree(tmp_path / "out" / "fetched" / "images")
    server.log.clear()
    build_urls(hub, tmp_path / "out", url_recipe())
    other = url_recipe().model_copy(update={"tokenizer": "mistral-7b"})
    with pytest.raises(CauldronError, match="--refetch all"):
        build_urls(hub, tmp_path / "out", other)
    assert not server.log
    build_urls(hub, tmp_path / "out", other, refetch="all")
    assert fates(corpora(tmp_path / "out")[-1]) == FATES
    assert set(asked(server).values()) == {1}


def test_asking_again_for_the_same_answers_changes_no_corpus(hub, server, tmp_path):
    build_urls(hub, tmp_path / "out", url_recipe())
    build_urls(hub, tmp_path / "out", url_recipe(), refetch="all")
    assert len(corpora(tmp_path / "out")) == 1


def test_an_image_of_two_sources_is_asked_for_once(server, tmp_path):
    hub = tmp_path / "hub"
    write_pixelprose(hub, [linked(server.port, n) for n in range(6)])
    write_laion(hub, [linked(server.port, n) for n in range(3, 9)])
    build_urls(hub, tmp_path / "out", url_recipe("pixelprose", "laion_coco"))
    assert asked(server) == {f"/{n}.jpg": 1 for n in range(9)}
    assert fates(corpora(tmp_path / "out", "laion_coco")[0]) == {"kept": 6}
    # A further source later asks for its own images only.
    server.log.clear()
    write_laion(hub, [linked(server.port, n) for n in range(3, 12)])
    build_urls(hub, tmp_path / "out", url_recipe("pixelprose", "laion_coco"))
    assert asked(server) == {f"/{n}.jpg": 1 for n in range(9, 12)}


def test_a_source_that_loses_too_many_images_stops_the_build_until_they_are_there(server, tmp_path):
    hub, strict = tmp_path / "hub", url_recipe(max_failed=0.25)
    rows = [Linked(f"http://127.0.0.1:{server.port}/gone/{n}.jpg") for n in range(2)]
    write_pixelprose(hub, [*rows, linked(server.port, 1), linked(server.port, 2)])
    with pytest.raises(CauldronError, match=r"2 of 4 images of pixelprose .*http_not_found 2"):
        build_urls(hub, tmp_path / "out", strict)
    for mended in (0, 1):
        server.pages[f"/gone/{mended}.jpg"] = answer("200 OK", photo(300 + mended))
    server.log.clear()
    with pytest.raises(CauldronError, match="--refetch failed"):
        build_urls(hub, tmp_path / "out", strict)
    assert not server.log
    build_urls(hub, tmp_path / "out", strict, refetch="failed")
    assert asked(server) == {"/gone/0.jpg": 1, "/gone/1.jpg": 1}
    assert fates(corpora(tmp_path / "out")[0]) == {"kept": 4}


def test_a_host_is_given_up_for_the_whole_run(tmp_path):
    bad = {f"/bad/{n}.jpg": answer("503 Service Unavailable") for n in range(60)}
    with ImageServer(bad) as server:
        rows = [Linked(f"http://localhost:{server.port}/bad/{n}.jpg") for n in range(60)]
        rows += [linked(server.port, n) for n in range(10)]
        write_pixelprose(tmp_path / "hub", rows)
        build_urls(tmp_path / "hub", tmp_path / "out", url_recipe(give_up_after=5, per_host=2))
        tried = sum(count for path, count in asked(server).items() if path.startswith("/bad"))
    assert 5 <= tried <= 6
    failed = {"http_server_error": tried, "host_given_up": 60 - tried}
    assert fates(corpora(tmp_path / "out")[0]) == {"kept": 10, **failed}


def test_a_build_without_a_network_stops_early_and_goes_on_later(tmp_path, monkeypatch):
    monkeypatch.setattr(tally, "CUT_OFF", 10)
    with ImageServer() as server:
        port = server.port
    # Nobody listens there any more.
    hosts = [f"127.0.0.{n}" for n in range(1, 60)]
    rows = [linked(port, n, host) for n, host in enumerate(hosts)]
    write_pixelprose(tmp_path / "hub", rows)
    recipe = url_recipe(allowed_hosts=hosts, concurrency=1)
    with pytest.raises(CauldronError, match="is there a network") as caught:
        build_urls(tmp_path / "hub", tmp_path / "out", recipe)
    assert "\n" not in str(caught.value)
    assert not fetch_manifests(tmp_path / "out")
    monkeypatch.setattr(tally, "CUT_OFF", 1000)
    build_urls(tmp_path / "hub", tmp_path / "out", recipe, refetch="failed")
    assert fates(corpora(tmp_path / "out")[0]) == {"kept": 0, "connect_failure": 59}


def test_the_samples_images_are_served_by_its_build(sample, truth, tmp_path, monkeypatch):
    """Through a server that the build starts; nothing outside is asked, not even for a name."""
    recipe = load_recipe("sample")
    mixture = {"laion_coco": 1, "pixelprose": 1}
    stage = StageRecipe.model_validate({"mixture": mixture, "budget": {"samples": 24}})
    recipe = recipe.model_copy(update={"stages": {"urls": stage}})
    monkeypatch.setattr("socket.getaddrinfo", no_names)
    build_urls(sample, tmp_path / "out", recipe)
    assert verify(str(tmp_path / "out")) == []
    for name, made in fetch_manifests(tmp_path / "out").items():
        (corpus,) = corpora(tmp_path / "out", name)
        expected = truth["sources"][name]
        assert made.failed == {}
        assert corpus.counts.kept + corpus.counts.merged.get("exact_copy", 0) >= expected["kept"]
        assert corpus.counts.quarantined == expected["quarantined"]
        assert corpus.counts.dropped == expected["dropped"]


def no_names(host: str | bytes | None, *rest: object, **options: object) -> list[object]:
    address = host.decode() if isinstance(host, bytes) else host
    assert address in (None, "localhost", "127.0.0.1", "::"), f"{address} was looked up"
    return real_getaddrinfo(host, *rest, **options)  # type: ignore[arg-type, return-value]


def test_refetching_what_has_no_urls_is_refused(tmp_path):
    write_pixelprose(tmp_path / "hub", [])
    with pytest.raises(UsageError, match="--refetch"):
        build_urls(tmp_path / "hub", tmp_path / "out", url_recipe("dolly"), refetch="all")


def test_images_of_a_host_may_lie_in_a_folder(tmp_path):
    hub = tmp_path / "hub"
    (hub / "_images" / "deep").mkdir(parents=True)
    (hub / "_images" / "deep" / "1.jpg").write_bytes(photo(1))
    (tmp_path / "secret.jpg").write_bytes(photo(2))
    base = "http://images.sample.invalid"
    rows = [Linked(f"{base}/{path}") for path in ("deep/1.jpg", "2.jpg", "%2e%2e/../secret.jpg")]
    rows.append(Linked("https://images.sample.invalid/deep/1.jpg"))
    write_pixelprose(hub, rows)
    recipe = url_recipe(mirrors={"images.sample.invalid": "_images"}, allowed_hosts=[])
    build_urls(hub, tmp_path / "out", recipe)
    assert fates(corpora(tmp_path / "out")[0]) == {"kept": 2, "http_not_found": 2}


def test_a_question_on_an_image_by_url_becomes_a_conversation(tmp_path):
    """Localized Narratives in SFT: no document, so a row without its image is in quarantine."""
    known, unknown = "0000000000000001", "0000000000000002"
    hub = tmp_path / "hub"
    folder = hub / "HuggingFaceM4" / "LocalizedNarratives"
    folder.mkdir(parents=True)
    lines = [{"image_id": name, "caption": "There are cows."} for name in (known, unknown)]
    lines.append({"image_id": known, "caption": None})
    (folder / "open_images_train_v6_captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (hub / "_images" / "train").mkdir(parents=True)
    (hub / "_images" / "train" / f"{known}.jpg").write_bytes(photo(1))
    write_dolly(str(hub), rows=4)
    recipe = url_recipe(
        "localized_narratives",
        mirrors={"open-images-dataset.s3.amazonaws.com": "_images"},
        allowed_hosts=[],
    )
    build_urls(hub, tmp_path / "out", recipe)
    (corpus,) = corpora(tmp_path / "out", "localized_narratives")
    assert fates(corpus) == {"kept": 1, "http_not_found": 1}
    assert corpus.counts.dropped == {"no_turns": 1}
    assert verify(str(tmp_path / "out")) == []
