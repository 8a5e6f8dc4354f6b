"""Files on ``gs://``, against the double: whole or not at all, by range, and patient."""

from __future__ import annotations

import random
import types
from collections.abc import Iterator

import fsspec
import gcsfs.retry
import google.auth.exceptions
import pytest
from cauldron.sources.repos.folders import info_at, open_at
from cauldron.sources.repos.roots import open_root
from google.cloud import storage as google_storage

from cauldron.core import storage
from cauldron.core.errors import CauldronError, SourceUnavailable
from cauldron.core.stores import gcs
from cauldron.core.stores.ranges import Range, read_ranges
from tests.doubles.gcs import FakeGcs

MIB = 1024 * 1024
NOISE = random.Random(0).randbytes(12 * MIB)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    with FakeGcs(["bucket"], page_size=3) as double:
        double.use(monkeypatch)
        yield double


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waiting takes no time; the seconds are kept."""
    seconds: list[float] = []

    async def sleep(delay: float) -> None:
        seconds.append(delay)

    monkeypatch.setattr(gcsfs.retry, "asyncio", types.SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


# The sizes of one request, and of an upload in several parts.
@pytest.mark.parametrize("size", [0, 1, 300_000, 12 * MIB])
def test_what_is_written_is_what_is_read(store: FakeGcs, size: int) -> None:
    with storage.atomic_write("gs://bucket/out/a.bin") as file:
        for start in range(0, size, MIB):
            file.write(NOISE[start : min(start + MIB, size)])
    assert store.objects("bucket") == {"out/a.bin": NOISE[:size]}
    assert storage.read_bytes("gs://bucket/out/a.bin") == NOISE[:size]
    assert file.size == size


@pytest.mark.parametrize("size", [0, 300_000, 12 * MIB])
def test_a_write_that_fails_leaves_nothing(store: FakeGcs, size: int) -> None:
    def write() -> None:
        with storage.atomic_write("gs://bucket/out/a.bin") as file:
            for start in range(0, size, MIB):
                file.write(NOISE[start : start + MIB])
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()
    assert store.objects("bucket") == {}
    assert store.unfinished == 0


def test_a_file_under_way_is_not_visible(store: FakeGcs) -> None:
    with storage.atomic_write("gs://bucket/a.bin") as file:
        file.write(NOISE)
        assert store.objects("bucket") == {}
    assert store.objects("bucket") == {"a.bin": NOISE}


def test_a_second_writer_replaces_the_first(store: FakeGcs) -> None:
    for content in (b"first", b"second"):
        storage.write_bytes("gs://bucket/a", content)
        assert storage.read_bytes("gs://bucket/a") == content


def test_a_write_survives_a_store_that_stumbles(store: FakeGcs, slept: list[float]) -> None:
    store.fail(503, "/upload/", times=3)
    storage.write_bytes("gs://bucket/a.bin", NOISE)
    assert store.objects("bucket") == {"a.bin": NOISE}
    assert len(slept) == 3


def test_a_write_that_the_store_refuses_is_an_error(store: FakeGcs) -> None:
    store.fail(403, "/upload/", times=9)
    with pytest.raises(OSError, match="Forbidden"):
        storage.write_bytes("gs://bucket/a.bin", b"x")
    assert store.objects("bucket") == {}


def test_json_is_written_and_read(store: FakeGcs) -> None:
    storage.write_json("gs://bucket/manifest.json", {"b": [1], "a": "ä"})
    assert storage.read_json("gs://bucket/manifest.json") == {"a": "ä", "b": [1]}


def test_ranges_come_in_the_order_asked_and_near_ones_travel_together(store: FakeGcs) -> None:
    store.put("bucket", "a.tar", NOISE)
    store.put("bucket", "b.tar", NOISE[::-1])
    a, b = "gs://bucket/a.tar", "gs://bucket/b.tar"
    wanted = [(b, 5, 10), (a, 9 * MIB, 100), (a, 1000, 100), (a, 1100, 50), (a, 1000, 20)]
    found = read_ranges([Range(*item) for item in wanted])
    content = {a: NOISE, b: NOISE[::-1]}
    assert found == [content[path][at : at + length] for path, at, length in wanted]
    assert {line.range for line in store.asked(method="GET")} == {
        "bytes=1000-1149",
        f"bytes={9 * MIB}-{9 * MIB + 99}",
        "bytes=5-14",
    }


def test_a_range_past_the_end_is_an_error(store: FakeGcs) -> None:
    store.put("bucket", "a.tar", b"short")
    with pytest.raises(EOFError, match=r"a\.tar"):
        read_ranges([Range("gs://bucket/a.tar", 2, 100)])


def test_ranges_of_a_missing_file_are_an_error(store: FakeGcs) -> None:
    with pytest.raises(FileNotFoundError):
        read_ranges([Range("gs://bucket/absent.tar", 0, 10)])


def test_ranges_survive_a_store_that_stumbles(store: FakeGcs, slept: list[float]) -> None:
    store.put("bucket", "a.tar", NOISE)
    store.fail(503, "/a.tar", times=2)
    store.fail(429, "/a.tar", times=1)
    assert read_ranges([Range("gs://bucket/a.tar", 7, 9)]) == [NOISE[7:16]]
    assert len(slept) == 3


def test_files_and_folders_are_listed_over_all_pages(store: FakeGcs) -> None:
    for name in ("a.json", *(f"part-{i}.parquet" for i in range(7)), "sub/x", "tab/y/z"):
        store.put("bucket", f"corpus/{name}", b"1")
    assert storage.list_files("gs://bucket/corpus", ".parquet") == [
        f"gs://bucket/corpus/part-{i}.parquet" for i in range(7)
    ]
    assert len(storage.list_files("gs://bucket/corpus")) == 8
    assert storage.list_folders("gs://bucket/corpus") == ["sub", "tab"]
    assert storage.list_files("gs://bucket/absent") == []
    assert storage.list_folders("gs://bucket/absent") == []


def test_what_another_writer_did_is_seen(store: FakeGcs) -> None:
    store.put("bucket", "corpus/a", b"1")
    assert storage.list_files("gs://bucket/corpus") == ["gs://bucket/corpus/a"]
    assert not storage.exists("gs://bucket/corpus/b")
    store.put("bucket", "corpus/b", b"2")
    assert storage.exists("gs://bucket/corpus/b")
    assert len(storage.list_files("gs://bucket/corpus")) == 2
    store.put("bucket", "corpus/a", b"1234")
    assert storage.read_bytes("gs://bucket/corpus/a") == b"1234"


def test_files_and_folders_are_removed(store: FakeGcs) -> None:
    for name in ("a/1", "a/b/2", "a/b/3", "ab/4", "c"):
        store.put("bucket", name, b"x")
    storage.remove("gs://bucket/a")
    assert list(store.objects("bucket")) == ["ab/4", "c"]
    storage.remove("gs://bucket/c")
    storage.remove("gs://bucket/c")
    storage.remove("gs://bucket/absent")
    assert list(store.objects("bucket")) == ["ab/4"]
    assert not storage.exists("gs://bucket/c")


# --- without credentials, without a network


@pytest.fixture
def stranger(store: FakeGcs, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    """A machine where no credentials are found."""

    def default() -> None:
        raise google.auth.exceptions.DefaultCredentialsError("none")

    for protocol in ("gs", "gcs"):
        monkeypatch.setitem(fsspec.config.conf, protocol, {})
    monkeypatch.setattr("google.auth.default", default)
    gcs._has_credentials.cache_clear()
    gcs.check.cache_clear()
    yield store
    gcs._has_credentials.cache_clear()
    gcs.check.cache_clear()


@pytest.mark.parametrize("status", [401, 403])
def test_a_private_bucket_without_credentials_is_one_line(
    stranger: FakeGcs, slept: list[float], status: int
) -> None:
    stranger.fail(status, times=99)
    with pytest.raises(CauldronError) as caught:
        storage.exists("gs://bucket/out")
    message = str(caught.value)
    assert message.startswith("gs://bucket: no Google credentials were found")
    assert "gcloud auth application-default login" in message
    assert "\n" not in message
    assert not slept


def test_a_public_bucket_is_read_without_credentials(stranger: FakeGcs) -> None:
    stranger.put("bucket", "a", b"1")
    assert storage.read_bytes("gs://bucket/a") == b"1"
    assert not storage.exists("gs://absent/a")


def test_a_store_that_cannot_be_reached_is_one_line(
    stranger: FakeGcs, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    with pytest.raises(CauldronError) as caught:
        storage.exists("gs://bucket/out")
    message = str(caught.value)
    assert message.startswith("gs://bucket: 127.0.0.1 cannot be reached (")
    assert "check the network" in message
    assert not slept


# --- sources.files on gs://


def test_a_root_in_a_bucket_lists_and_reads_like_a_folder(store: FakeGcs) -> None:
    for i in range(7):
        store.put("bucket", f"hub/org/name/data/train-{i}.parquet", NOISE[: i + 1])
    store.put("bucket", "hub/org/name/README.md", b"about")
    store.put("bucket", "hub/org/name-2/README.md", b"other")
    root = open_root("gs://bucket/hub")
    repo = root.repo("org/name")
    files = repo.list()
    assert [file.path for file in files] == [
        "README.md",
        *(f"data/train-{i}.parquet" for i in range(7)),
    ]
    assert [file.size for file in repo.list("data")] == list(range(1, 8))
    assert repo.open("README.md").read() == b"about"
    assert repo.exists("README.md")
    assert not repo.exists("data")


def test_a_version_in_a_bucket_is_of_the_content(store: FakeGcs) -> None:
    store.put("bucket", "a", b"same")
    first = info_at("gs://bucket/a")
    store.put("bucket", "b", b"same")
    assert info_at("gs://bucket/b").version == first.version
    store.put("bucket", "c", b"else")
    assert info_at("gs://bucket/c").version != first.version


def test_a_missing_repository_in_a_bucket_says_which(store: FakeGcs) -> None:
    store.put("bucket", "hub/org/name/README.md", b"about")
    with pytest.raises(SourceUnavailable, match=r"no folder gs://bucket/hub/org/other"):
        open_root("gs://bucket/hub").repo("org/other")


def test_a_bucket_that_may_not_be_read_says_so(store: FakeGcs, slept: list[float]) -> None:
    store.fail(403, times=99)
    with pytest.raises(SourceUnavailable, match="check the credentials"):
        open_root("gs://bucket/hub").repo("org/name")


def test_a_large_object_is_read_by_range(store: FakeGcs) -> None:
    store.put("bucket", "images.zip", NOISE)
    file = open_at("gs://bucket/images.zip")
    file.seek(5 * MIB)
    assert file.read(3 * MIB) == NOISE[5 * MIB : 8 * MIB]
    file.seek(-10, 2)
    assert file.read() == NOISE[-10:]
    assert sum(line.sent for line in store.asked(method="GET")) < 3 * MIB + 100_000


@pytest.mark.parametrize("fault", ["cut", "shorten", "ignore_range"])
def test_an_answer_that_is_not_what_was_asked_is_asked_for_again(
    store: FakeGcs, slept: list[float], fault: str
) -> None:
    store.put("bucket", "images.zip", NOISE)
    file = open_at("gs://bucket/images.zip")
    getattr(store, fault)("/download/")
    file.seek(1000)
    assert file.read(200_000) == NOISE[1000:201_000]
    # Not counted by the waits: a cut connection is sometimes mended below gcsfs, at once.
    ranges = [line.range for line in store.asked("/images.zip") if line.range]
    assert ranges == ["bytes=1000-200999"] * 2


# --- the double itself, against the other client that Beam uses


def test_the_stores_own_client_reads_what_gcsfs_writes_and_the_reverse(store: FakeGcs) -> None:
    bucket = google_storage.Client.create_anonymous_client().bucket("bucket")
    storage.write_bytes("gs://bucket/by-gcsfs", NOISE)
    assert bucket.blob("by-gcsfs").download_as_bytes() == NOISE
    assert bucket.blob("by-gcsfs").download_as_bytes(start=10, end=19) == NOISE[10:20]
    bucket.blob("small").upload_from_string(b"small\r\n")
    with bucket.blob("large").open("wb", chunk_size=256 * 1024) as file:
        file.write(NOISE[:MIB])
    assert storage.read_bytes("gs://bucket/small") == b"small\r\n"
    assert storage.read_bytes("gs://bucket/large") == NOISE[:MIB]
    bucket.rename_blob(bucket.blob("small"), "renamed")
    assert sorted(blob.name for blob in bucket.list_blobs()) == ["by-gcsfs", "large", "renamed"]
    bucket.blob("large").delete()
    assert not bucket.blob("large").exists()
