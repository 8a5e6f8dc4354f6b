"""The store of answers: what is kept, and what is left after a kill."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from cauldron.transforms.models import packs
from cauldron.transforms.models.packs import ENTRY, PackWriter
from cauldron.transforms.models.questions import Answer
from cauldron.transforms.models.store import AnswerStore

KEYS = [f"{number:032x}" for number in (0, 255, 256, 1 << 64, (1 << 128) - 1)]


def fill(folder: Path, keys: list[str] = KEYS, text: str = "answer to") -> AnswerStore:
    store = AnswerStore(str(folder))
    for key in keys:
        store.put(key, Answer(f"{text} {key} é\n", "stop", 3, None))
    return store


def only(folder: Path, suffix: str) -> Path:
    (path,) = folder.glob(f"*{suffix}")
    return path


def test_another_process_finds_what_was_stored(tmp_path):
    fill(tmp_path)
    store = AnswerStore(str(tmp_path))
    assert len(store) == len(KEYS)
    for key in KEYS:
        assert store.get(key) == Answer(f"answer to {key} é\n", "stop", 3, None)
    assert store.get("ab" * 16) is None


def test_a_store_that_does_not_exist_is_empty_and_makes_no_folder(tmp_path):
    assert AnswerStore(str(tmp_path / "none")).get(KEYS[0]) is None
    assert not (tmp_path / "none").exists()


def test_what_others_store_is_seen_after_a_refresh(tmp_path):
    first = fill(tmp_path, KEYS[:1])
    fill(tmp_path, KEYS[1:2])
    assert first.get(KEYS[1]) is None
    first.refresh()
    assert first.get(KEYS[1])
    assert len(first) == 2


@pytest.mark.parametrize("suffix", [".pack", ".index"])
def test_every_torn_end_costs_one_answer_at_most(tmp_path, suffix):
    fill(tmp_path)
    whole = only(tmp_path, suffix).read_bytes()
    last = len(packs.to_line(KEYS[-1], Answer(f"answer to {KEYS[-1]} é\n", "stop", 3, None)))
    for cut in range(1, last if suffix == ".pack" else ENTRY.itemsize + 1):
        only(tmp_path, suffix).write_bytes(whole[:-cut])
        store = AnswerStore(str(tmp_path))
        assert all(store.get(key) for key in KEYS[:-1]), cut
        # A line without its record is found by reading the pack.
        assert bool(store.get(KEYS[-1])) == (suffix == ".index"), cut


def test_without_an_index_the_pack_is_read(tmp_path):
    fill(tmp_path)
    only(tmp_path, ".index").unlink()
    assert all(AnswerStore(str(tmp_path)).get(key) for key in KEYS)


def test_a_damaged_answer_is_not_returned(tmp_path):
    fill(tmp_path)
    pack = only(tmp_path, ".pack")
    pack.write_bytes(pack.read_bytes().replace(b"answer", b"ANSWER", 1))
    store = AnswerStore(str(tmp_path))
    assert [bool(store.get(key)) for key in KEYS] == [False, True, True, True, True]


def test_of_two_answers_every_reader_takes_the_older(tmp_path):
    fill(tmp_path, KEYS[:1], "first")
    late = PackWriter(str(tmp_path))
    late.add(KEYS[0], Answer("second"))
    for _ in range(2):
        store = AnswerStore(str(tmp_path))
        assert store.get(KEYS[0]).text.startswith("first")
        assert store.put(KEYS[0], Answer("third")).text.startswith("first")


def test_a_full_pack_is_followed_by_another(tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "_LOCAL_BYTES", 150)
    fill(tmp_path)
    assert len(list(tmp_path.glob("*.pack"))) > 1
    assert all(AnswerStore(str(tmp_path)).get(key) for key in KEYS)


def test_after_a_failed_write_the_next_answer_goes_into_another_pack(tmp_path, monkeypatch):
    store = fill(tmp_path, KEYS[:1])
    with monkeypatch.context() as full:
        full.setattr(packs.os, "write", lambda file, data: 1)
        with pytest.raises(OSError, match="no space left"):
            store.put(KEYS[1], Answer("lost"))
    store.put(KEYS[2], Answer("kept"))
    fresh = AnswerStore(str(tmp_path))
    assert [bool(fresh.get(key)) for key in KEYS[:3]] == [True, False, True]


def test_many_threads_write_one_store(tmp_path):
    store = AnswerStore(str(tmp_path))

    def write(thread: int) -> None:
        for number in range(50):
            store.put(f"{thread:016x}{number:016x}", Answer(f"{thread} {number}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fresh = AnswerStore(str(tmp_path))
    assert len(fresh) == 400
    assert fresh.get(f"{7:016x}{49:016x}") == Answer("7 49")


def test_an_object_store_keeps_answers_in_one_growing_object(monkeypatch):
    import fsspec

    memory = fsspec.filesystem("memory")
    store = AnswerStore("memory://answers-test")
    try:
        for key in KEYS:
            store.put(key, Answer(key))
        store.flush()
        store.put("ab" * 16, Answer("later"))
        store.flush()
        fresh = AnswerStore("memory://answers-test")
        assert [fresh.get(key) for key in KEYS] == [Answer(key) for key in KEYS]
        assert fresh.get("ab" * 16) == Answer("later")
        assert len(memory.ls("/answers-test")) == 2
    finally:
        memory.rm("/answers-test", recursive=True)
