"""The store: what was answered, on a disk and on an object store."""

from __future__ import annotations

import hashlib
import io
import tarfile
import uuid
from pathlib import Path

import pytest
from cauldron.transforms.fetching import store as module
from cauldron.transforms.fetching.entries import Entry, read_images, read_index, url_key
from cauldron.transforms.fetching.fetcher import Failed
from cauldron.transforms.fetching.store import StoreWriter

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from tests.doubles.images import photo


@pytest.fixture(params=["local", "remote"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path) if request.param == "local" else f"memory://{uuid.uuid4().hex}"


def put(writer: StoreWriter, partition: int, url: str, answer: bytes | Failed, **same) -> Entry:
    digest = b"" if isinstance(answer, Failed) else hashlib.sha256(answer).digest()
    return writer.add(partition, url_key(url), answer, digest, **same)


def test_answers_are_found_again_by_url(folder):
    writer = StoreWriter(folder, 7)
    put(writer, 3, "http://a/1", photo(1))
    put(writer, 3, "http://a/2", Failed("http_not_found", "a answers 404"))
    put(writer, 200, "http://b/1", photo(2))
    writer.close_partition(3)
    found = {bytes(entry["key"]): entry for entry in read_index(folder, 3)}
    entries = [found[url_key(url).rstrip(b"\0")] for url in ("http://a/1", "http://a/2")]
    assert read_images(folder, entries) == [photo(1), b"a answers 404"]
    assert [bytes(entry["reason"]) for entry in entries] == [b"", b"http_not_found"]
    assert [int(entry["run"]) for entry in entries] == [7, 7]
    writer.close()
    assert read_images(folder, read_index(folder, 200)) == [photo(2)]
    assert len(read_index(folder, 4)) == 0


def test_an_upload_that_fails_is_not_forgotten_by_the_next_partition(monkeypatch):
    folder = f"memory://{uuid.uuid4().hex}"
    writer = StoreWriter(folder, 1)
    put(writer, 3, "http://a/1", photo(1))
    put(writer, 4, "http://b/1", photo(2))
    with monkeypatch.context() as broken:

        def fail(path: str, data: bytes) -> None:
            raise OSError("503")

        broken.setattr(storage, "write_bytes", fail)
        for partition in (3, 4):
            with pytest.raises(OSError, match="503"):
                writer.close_partition(partition)
    writer.close_partition(4)
    assert read_images(folder, read_index(folder, 3)) == [photo(1)]
    assert read_images(folder, read_index(folder, 4)) == [photo(2)]


def test_a_record_file_is_a_tar_of_images_by_their_digest(folder):
    writer = StoreWriter(folder, 1)
    for number in range(3):
        put(writer, number, f"http://a/{number}", photo(number))
    put(writer, 9, "http://a/9", Failed("noai", "no"))
    writer.close()
    (path,) = storage.list_files(storage.join(folder, "images"), ".tar")
    with tarfile.open(fileobj=io.BytesIO(storage.read_bytes(path))) as tar:
        names = [f"{hashlib.sha256(photo(n)).hexdigest()}.jpg" for n in range(3)]
        assert tar.getnames() == [*names, f"{url_key('http://a/9').hex()}.txt"]
        member = tar.extractfile(names[1])
        assert member is not None
        assert member.read() == photo(1)


def test_an_image_that_is_there_is_not_stored_again(folder):
    writer = StoreWriter(folder, 1)
    first = put(writer, 3, "http://a/1", photo(1))
    put(writer, 3, "http://a/2", photo(1), same=first)
    writer.close()
    entries = read_index(folder, 3)
    assert len(entries) == 2
    assert len(set(entries["offset"].tolist())) == 1
    assert read_images(folder, entries) == [photo(1)] * 2


def test_the_last_answer_counts(folder):
    for run, answer in ((1, Failed("dns_failure", "no")), (2, photo(5)), (3, photo(6))):
        writer = StoreWriter(folder, run)
        put(writer, 3, "http://a/1", answer)
        writer.close()
    assert read_images(folder, read_index(folder, 3)) == [photo(6)]


def test_a_torn_entry_is_left_out_and_the_others_stay(tmp_path):
    writer = StoreWriter(str(tmp_path), 1)
    for number in range(3):
        put(writer, 3, f"http://a/{number}", photo(number))
    writer.close()
    (path,) = (tmp_path / "index" / "03").iterdir()
    path.write_bytes(path.read_bytes()[:-40])
    assert len(read_index(str(tmp_path), 3)) == 2


def test_record_files_have_a_largest_size(folder, monkeypatch):
    monkeypatch.setattr(module, "_LOCAL_BYTES", 3000)
    monkeypatch.setattr(module, "_REMOTE_BYTES", 3000)
    writer = StoreWriter(folder, 1)
    for number in range(9):
        put(writer, 3, f"http://a/{number}", photo(number))
        if writer.is_due:
            writer.flush()
    writer.close()
    assert len(storage.list_files(storage.join(folder, "images"), ".tar")) > 2
    entries = read_index(folder, 3)
    assert sorted(read_images(folder, entries)) == sorted(map(photo, range(9)))


def test_what_is_added_during_an_upload_is_kept(monkeypatch):
    """The upload of an object store takes seconds, in a thread of its own."""
    folder = f"memory://{uuid.uuid4().hex}"
    monkeypatch.setattr(module, "_REMOTE_BYTES", 3000)
    writer = StoreWriter(folder, 1)
    real = storage.write_bytes

    def slow(path: str, data: bytes) -> None:
        if path.endswith(".tar") and len(read_index(folder, 3)) == 0:
            assert not writer.is_full
            for number in range(2, 9):
                put(writer, 3, f"http://a/{number}", photo(number))
            put(writer, 3, "http://a/9", Failed("noai", "no"))
            assert writer.is_full
        real(path, data)

    monkeypatch.setattr(storage, "write_bytes", slow)
    put(writer, 3, "http://a/1", photo(1))
    writer.flush()
    assert len(read_index(folder, 3)) == 1
    writer.close_partition(3)
    assert len(read_index(folder, 3)) == 9


def test_a_full_disk_stops_the_run_and_keeps_what_is_there(tmp_path, monkeypatch):
    writer = StoreWriter(str(tmp_path), 1)
    put(writer, 3, "http://a/1", photo(1))
    monkeypatch.setattr(module, "_CHECK_BYTES", 1)
    monkeypatch.setattr(module, "free_bytes", lambda folder: 1000)
    with pytest.raises(CauldronError, match="free some space"):
        put(writer, 3, "http://a/2", photo(2))
    assert read_images(str(tmp_path), read_index(str(tmp_path), 3)) == [photo(1)]


def test_a_record_file_that_is_gone_is_said_and_its_images_count_as_not_asked(tmp_path):
    writer = StoreWriter(str(tmp_path), 1)
    put(writer, 3, "http://a/1", photo(1))
    writer.close()
    entries = read_index(str(tmp_path), 3)
    (path,) = (tmp_path / "images").iterdir()
    path.unlink()
    with pytest.raises(CauldronError, match="--refetch all"):
        read_images(str(tmp_path), entries)
    assert len(read_index(str(tmp_path), 3)) == 0
