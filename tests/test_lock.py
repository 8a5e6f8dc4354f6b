"""Locks: one owner at a time, who is named to the others, and none after the end."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

import pytest

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output import lock
from cauldron.core.output.lock import LOCK, STALE_SECONDS, locked
from tests.doubles.gcs import FakeGcs

ELSEWHERE = {"host": "node7", "processes": "", "pid": 4242, "since": "2026-01-02 03:04:05 UTC"}
DEAD = 2**22 + 1  # above the largest process id of Linux


def leave_lock(folder: Path, age: float = 0.0, **owner: object) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / LOCK
    path.write_text(json.dumps(ELSEWHERE | owner))
    os.utime(path, (time.time() - age, time.time() - age))


def test_a_lock_is_gone_after_the_block_and_after_an_error_or_interrupt(tmp_path):
    folders = [f"{tmp_path}/b", f"{tmp_path}/a/new"]
    with locked(folders):
        assert all(os.path.exists(f"{folder}/{LOCK}") for folder in folders)
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), locked(folders):
            raise error
    assert not list(tmp_path.rglob(LOCK))


def test_whoever_comes_second_is_told_in_one_line_who_holds_the_lock(tmp_path):
    leave_lock(tmp_path / "b", age=60)
    with pytest.raises(CauldronError) as caught, locked([f"{tmp_path}/a", f"{tmp_path}/b"]):
        pass
    assert str(caught.value).startswith(
        f"{tmp_path}/b: process 4242 on node7 is building here since 2026-01-02 03:04:05 UTC "
        "(last heartbeat 60 s ago); "
    )
    assert "\n" not in str(caught.value)
    # The lock of the other build stays; of this one nothing does.
    assert list(tmp_path.rglob(LOCK)) == [tmp_path / "b" / LOCK]


def test_a_lock_that_is_being_written_is_respected(tmp_path):
    (tmp_path / LOCK).touch()
    with pytest.raises(CauldronError, match="is building here"), locked([str(tmp_path)]):
        pass


@pytest.mark.parametrize(
    ("age", "owner"),
    [(STALE_SECONDS + 1, {}), (0, lock._here() | {"pid": DEAD})],
    ids=["old heartbeat", "dead process"],
)
def test_a_stale_lock_is_taken_over(tmp_path, age, owner):
    leave_lock(tmp_path, age, **owner)
    with locked([str(tmp_path)]) as held:
        held.confirm(str(tmp_path))
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert not (tmp_path / LOCK).exists()


def test_a_process_of_another_container_with_this_host_name_is_not_taken_for_dead(tmp_path):
    leave_lock(tmp_path, **lock._here() | {"pid": DEAD, "processes": "pid:[1]"})
    with pytest.raises(CauldronError, match=f"process {DEAD}"), locked([str(tmp_path)]):
        pass


def test_of_many_that_take_over_at_once_one_gets_the_lock(tmp_path):
    leave_lock(tmp_path, age=STALE_SECONDS + 1)
    held, refused, start = [], [], threading.Barrier(3)

    def attempt() -> None:
        start.wait()
        try:
            with locked([str(tmp_path)]):
                held.append(1)
                time.sleep(0.3)
        except CauldronError:
            refused.append(1)

    threads = [threading.Thread(target=attempt) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(held), len(refused)) == (1, 2)
    assert not (tmp_path / LOCK).exists()


def test_the_heartbeat_keeps_a_lock_fresh(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "BEAT_SECONDS", 0.01)
    with locked([str(tmp_path)]):
        os.utime(tmp_path / LOCK, (0, 0))
        deadline = time.monotonic() + 10
        while storage.modified(f"{tmp_path}/{LOCK}") == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_lost_lock_is_noticed_and_left_to_its_new_owner(tmp_path):
    with locked([str(tmp_path)]) as held:
        leave_lock(tmp_path)
        with pytest.raises(CauldronError, match="another build took over"):
            held.confirm(str(tmp_path))
    assert (tmp_path / LOCK).exists()


def test_on_an_object_store_one_creates_the_lock(monkeypatch):
    # The double's clock does not run.
    monkeypatch.setattr(lock, "STALE_SECONDS", float("inf"))
    folder = "gs://bucket/out/corpus"
    with FakeGcs(["bucket"]) as store:
        store.use(monkeypatch)
        with locked([folder]) as held:
            assert list(store.objects("bucket")) == [f"out/corpus/{LOCK}"]
            with pytest.raises(CauldronError, match="is building here"), locked([folder]):
                pass
            held.confirm(folder)
        assert store.objects("bucket") == {}
