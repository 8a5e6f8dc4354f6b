"""Small files on ``gs://`` by Google's client: preconditions, checksums, batches; and elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output import lock
from cauldron.core.output.lock import LOCK, locked
from cauldron.core.output.manifests import CurationManifest
from cauldron.core.stores import objects, versioned
from cauldron.pipeline.step import Step
from tests.doubles.gcs import FakeGcs

PATH = "gs://bucket/out/manifest.json"
MADE = CurationManifest(fingerprint="f1", corpora={}, buckets=[], counts={})


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    with FakeGcs(["bucket"], page_size=3) as double:
        double.use(monkeypatch)
        yield double


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting takes no time."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture(params=["gs", "disk", "memory"])
def path(
    request: pytest.FixtureRequest, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A small file that is not there yet, on each kind of store."""
    if request.param == "gs":
        with FakeGcs(["bucket"]) as double:
            double.use(monkeypatch)
            yield PATH
        return
    MemoryFileSystem.store.clear()
    yield f"{tmp_path}/out/a" if request.param == "disk" else "memory://out/a"


def test_a_file_is_created_once_and_replaced_from_the_version_that_was_read(path: str) -> None:
    first = versioned.create(path, b"1")
    assert first is not None
    assert versioned.create(path, b"2") is None
    assert versioned.read(path) == (b"1", first)
    second = versioned.replace(path, b"2", first)
    assert versioned.read(path) == (b"2", second)
    with pytest.raises(versioned.Changed):
        versioned.replace(path, b"3", first)
    with pytest.raises(versioned.Changed):
        versioned.replace(path, b"3", None)
    versioned.replace(path, b"4", versioned.ANY)
    with pytest.raises(versioned.Changed):
        versioned.remove(path, second)
    assert storage.read_bytes(path) == b"4"
    versioned.remove(path, versioned.version(path) or "")
    assert versioned.version(path) is None
    versioned.remove(path, first)
    versioned.replace(path, b"5", None)


def test_a_write_whose_answer_was_lost_is_no_conflict(store: FakeGcs) -> None:
    first = versioned.create(PATH, b"1") or ""
    mine = objects.write(PATH, b"2", first)  # done; its answer does not arrive, so again:
    assert versioned.replace(PATH, b"2", first) == mine


def test_of_many_that_create_one_succeeds(store: FakeGcs) -> None:
    start, done = threading.Barrier(4), []

    def attempt(number: int) -> None:
        start.wait()
        done.append(storage.create(PATH, str(number).encode()))

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False, False, False, True]


def test_a_manifest_that_another_build_wrote_is_not_replaced(store: FakeGcs) -> None:
    step = Step(kind=CurationManifest, folder="gs://bucket/out", fingerprint="f1")
    seen = versioned.version(step.manifest_path)
    storage.write_bytes(step.manifest_path, b"theirs")
    with pytest.raises(CauldronError, match="another build has written it") as caught:
        step.finish(MADE, seen)
    assert "\n" not in str(caught.value)
    assert storage.read_bytes(step.manifest_path) == b"theirs"
    step.finish(MADE)
    assert step.finished() == MADE


def test_a_stale_lock_is_taken_over_from_the_generation_that_was_read(
    store: FakeGcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The double's clock stands in 2025, so its locks are stale.
    theirs = json.dumps({"host": "node7", "processes": "", "pid": 1, "since": "then"}).encode()
    storage.write_bytes(f"gs://bucket/out/{LOCK}", theirs)
    check = lock._check_stale

    def taken_meanwhile(path: str, found: bytes) -> None:
        check(path, found)
        monkeypatch.setattr(lock, "STALE_SECONDS", float("inf"))
        storage.write_bytes(path, theirs + b" ")

    monkeypatch.setattr(lock, "_check_stale", taken_meanwhile)
    with pytest.raises(CauldronError, match="node7 is building here"), locked(["gs://bucket/out"]):
        pass
    assert storage.read_bytes(f"gs://bucket/out/{LOCK}") == theirs + b" "


def test_a_heartbeat_never_overwrites_the_lock_of_another(
    store: FakeGcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.005)
    path = f"gs://bucket/out/{LOCK}"
    with locked(["gs://bucket/out"]) as held:
        first = versioned.version(path)
        deadline = time.monotonic() + 10
        while versioned.version(path) == first:
            assert time.monotonic() < deadline
        held.confirm("gs://bucket/out")
        storage.write_bytes(path, b"theirs")
        time.sleep(0.05)
        with pytest.raises(CauldronError, match="took over"):
            held.confirm("gs://bucket/out")
    assert storage.read_bytes(path) == b"theirs"


@pytest.mark.parametrize("status", [429, 503])
def test_a_store_that_stumbles_is_asked_again(store: FakeGcs, impatient: None, status: int) -> None:
    store.fail(status, times=2)
    version = versioned.create(PATH, b"1")
    store.fail(status, times=2)
    assert versioned.read(PATH) == (b"1", version)
    store.fail(status, times=2)
    storage.remove("gs://bucket/out")
    assert store.objects("bucket") == {}


@pytest.mark.parametrize("fault", ["cut", "shorten", "spoil"])
def test_a_damaged_answer_is_asked_for_again(store: FakeGcs, impatient: None, fault: str) -> None:
    storage.write_bytes(PATH, b"content" * 100)
    getattr(store, fault)("manifest.json")
    assert storage.read_bytes(PATH) == b"content" * 100


def test_what_always_arrives_damaged_is_one_line(store: FakeGcs, impatient: None) -> None:
    storage.write_bytes(PATH, b"content")
    store.spoil("manifest.json", times=99)
    with pytest.raises(CauldronError, match="another checksum") as caught:
        storage.read_bytes(PATH)
    assert "\n" not in str(caught.value)


def test_an_upload_that_the_store_received_damaged_is_an_error_and_gone(store: FakeGcs) -> None:
    store.spoil("shard")
    with (
        pytest.raises(CauldronError, match="received other bytes"),
        storage.atomic_write("gs://bucket/shard") as file,
    ):
        file.write(b"rows")
    assert store.objects("bucket") == {}


def test_a_refusal_is_one_line(store: FakeGcs) -> None:
    store.put("bucket", "out/manifest.json", b"1")
    for call in (
        lambda: storage.read_bytes(PATH),
        lambda: storage.create(PATH, b"1"),
        lambda: storage.remove("gs://bucket/out"),
    ):
        store.fail(403, times=1)
        with pytest.raises(CauldronError, match="check the credentials") as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_listing_asks_for_names_alone(store: FakeGcs, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = [f"out/_done/part-{number}.json" for number in range(7)]
    for name in [*inside, "out/_done/deeper/a", "out/_done/deeper/b", "out/_done/", "out/_donei"]:
        objects.write(f"gs://bucket/{name}", b"1", None)
    asked, real = [], store._list
    monkeypatch.setattr(store, "_list", lambda r, b: asked.append(r.query["fields"]) or real(r, b))
    assert storage.list_files("gs://bucket/out/_done") == [f"gs://bucket/{name}" for name in inside]
    assert storage.list_folders("gs://bucket/out/_done/") == ["deeper"]
    assert storage.list_folders("gs://bucket") == ["out"]
    assert storage.list_files("gs://bucket/none") == storage.list_files("gs://none/out") == []
    assert set(asked) == {"items(name),nextPageToken", "prefixes,nextPageToken"}


def test_a_folder_is_deleted_a_hundred_objects_at_a_time(store: FakeGcs) -> None:
    for number in range(250):
        store.put("bucket", f"out/_done/{number:03}.json", b"1")
    store.put("bucket", "out/_done.txt", b"1")
    store.page_size = 1000
    storage.remove("gs://bucket/out/_done")
    assert list(store.objects("bucket")) == ["out/_done.txt"]
    assert len(store.asked("/batch/", "POST")) == 3
    assert not store.asked(method="DELETE")


def test_files_of_known_names_are_deleted_a_hundred_at_a_time_without_a_listing(
    store: FakeGcs,
) -> None:
    paths = [f"gs://bucket/out/_done/{number:03}.json" for number in range(250)]
    for path in [*paths[::2], "gs://bucket/out/_done/all.jsonl"]:
        store.put("bucket", path.removeprefix("gs://bucket/"), b"1")
    storage.remove_files(paths)  # half of them are gone already
    assert list(store.objects("bucket")) == ["out/_done/all.jsonl"]
    assert len(store.asked("/batch/", "POST")) == 3
    assert not store.asked("/b/bucket/o", "GET")
    storage.remove_files([])


def test_an_emulator_needs_no_credentials_and_no_kind_of_bucket(store: FakeGcs) -> None:
    """In a fresh process, with nothing set but the emulator's address."""
    code = (
        "import sys\n"
        "from cauldron.core import storage\n"
        "late = ('google.auth', 'google.cloud.storage', 'gcsfs', 'requests')\n"
        "known = [n for n in sys.modules if n.startswith(late)]\n"
        "assert not known, known\n"
        "storage.write_bytes('gs://bucket/a', b'1')\n"
        "assert storage.read_bytes('gs://bucket/a') == b'1'\n"
        "assert storage.list_files('gs://bucket') == ['gs://bucket/a']\n"
    )
    environment = {"STORAGE_EMULATOR_HOST": store.url, "PATH": "/usr/bin", "HOME": "/nonexistent"}
    # gcsfs alone waits 60 s for a server of credentials.
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=45)
