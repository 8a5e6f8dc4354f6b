"""The local copy of a folder in a bucket: what is fetched, what is sent back, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cauldron.training.remote import MARKS, to_answer, to_resume

from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.output.lock import LOCK
from cauldron.core.stores import first_rank
from cauldron.core.stores.mirror import Mirror, fetched, working_folder
from tests.doubles.gcs import FakeGcs

URL = "gs://bucket/run"
RUN = {
    "config.json": b"{}",
    "metrics.jsonl": b"1\n",
    "checkpoints/step-000001/a.distcp": b"1",
    "checkpoints/step-000001/run.json": b"1",
    "checkpoints/step-000002/a.distcp": b"2",
    "checkpoints/step-000002/run.json": b"2",
    "checkpoints/step-000003/a.distcp": b"a killed upload",
    "model/exported.json": b"2",
    "model/model.safetensors": b"weights",
}


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    with FakeGcs(["bucket"]) as double:
        double.use(monkeypatch)
        for name, data in RUN.items():
            double.put("bucket", f"run/{name}", data)
        yield double


def held(store: FakeGcs) -> dict[str, bytes]:
    return {name.removeprefix("run/"): data for name, data in store.objects("bucket").items()}


def write(folder: Path, name: str, data: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def test_a_run_is_resumed_from_its_last_checkpoint_alone() -> None:
    assert list(to_resume(list(RUN))) == [
        "config.json",
        "metrics.jsonl",
        "checkpoints/step-000001/run.json",
        "checkpoints/step-000002/a.distcp",
        "checkpoints/step-000002/run.json",
        "model/exported.json",
    ]
    assert list(to_resume(["config.json"])) == ["config.json"]


def test_a_model_answers_from_the_last_checkpoint_or_from_the_whole_folder() -> None:
    assert list(to_answer(list(RUN))) == [
        "config.json",
        "metrics.jsonl",
        "checkpoints/step-000002/a.distcp",
        "checkpoints/step-000002/run.json",
        "model/exported.json",
        "model/model.safetensors",
    ]
    exported = ["config.json", "model.safetensors", "sub/x"]
    assert list(to_answer(exported)) == exported


def test_what_changed_is_sent_marks_last_and_what_went_is_deleted(store: FakeGcs) -> None:
    with working_folder(URL, MARKS, to_resume) as mirror:
        folder = mirror.folder
        write(folder, "metrics.jsonl", b"1\n2\n")
        write(folder, "checkpoints/step-000003/b.distcp", b"3")
        write(folder, "checkpoints/step-000003/run.json", b"3")
        write(folder, "checkpoints/step-000004.tmp/a.distcp", b"half")
        (folder / "checkpoints/step-000001/run.json").unlink()
        mirror.send_later()
        mirror.wait()
        assert LOCK in held(store)
    expected = {name: data for name, data in RUN.items() if "step-000001" not in name}
    del expected["checkpoints/step-000003/a.distcp"]
    assert held(store) == expected | {
        "metrics.jsonl": b"1\n2\n",
        "checkpoints/step-000003/b.distcp": b"3",
        "checkpoints/step-000003/run.json": b"3",
    }
    assert not folder.parent.exists()


def test_a_folder_with_a_mark_is_never_seen_half(store: FakeGcs, tmp_path: Path) -> None:
    mirror = Mirror(URL, tmp_path, MARKS)
    mirror.fetch(to_resume)
    for name in ("model.safetensors", "config.json"):
        write(tmp_path, f"model/{name}", b"new")
    write(tmp_path, "model/exported.json", b"3")
    store.fail(403, "/upload/", times=9)
    with pytest.raises(OSError, match="Forbidden"):
        mirror.send()
    assert not [name for name in held(store) if name.startswith("model/")]


def test_an_error_names_the_address_and_what_was_done_is_sent(store: FakeGcs) -> None:
    def work() -> None:
        with working_folder(URL) as mirror:
            write(mirror.folder, "predictions/a.jsonl", b"1")
            raise UsageError(f"{mirror.folder} is full")

    with pytest.raises(CauldronError) as caught:
        work()
    assert str(caught.value) == f"{URL} is full"
    assert isinstance(caught.value, UsageError)
    assert held(store)["predictions/a.jsonl"] == b"1"


def test_one_process_at_a_time_works_on_a_folder(
    store: FakeGcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The double's clock does not run.
    monkeypatch.setattr("cauldron.core.output.lock.STALE_SECONDS", float("inf"))
    with working_folder(URL) as mirror:
        with pytest.raises(CauldronError, match="is building here"), working_folder(URL):
            pass
        # The second one has not taken the files of the first one for those of a dead process.
        assert (mirror.folder / "config.json").exists()


def test_another_rank_has_the_folder_when_the_first_one_has_filled_it(
    store: FakeGcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_rank, "PATIENCE", 0.0)
    with working_folder(URL):
        monkeypatch.setenv("RANK", "1")
        with working_folder(URL) as mirror:
            assert (mirror.folder / "config.json").exists()
        monkeypatch.setenv("RANK", "0")
    # Nothing is left that a later rank could take for its own first rank.
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(CauldronError, match="has not begun"), working_folder(URL):
        pass


def test_when_the_first_rank_fails_early_the_others_do_not_wait(
    store: FakeGcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.fail(403, "/o/", times=99)
    with pytest.raises(OSError, match="Forbidden"), working_folder(URL):
        pass
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(CauldronError, match="the first rank failed"), working_folder(URL):
        pass
    # A later start is not told of it.
    monkeypatch.setattr(first_rank, "PATIENCE", 0.0)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    monkeypatch.setattr(first_rank, "is_alive", lambda pid: False)
    with pytest.raises(CauldronError, match="has not begun"), working_folder(URL):
        pass


def test_a_rank_waits_while_the_first_one_prepares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_rank, "PATIENCE", 0.0)  # of one that is dead
    path = tmp_path / "first"
    with ThreadPoolExecutor(1) as pool:
        with first_rank.preparing(path):
            waiting = pool.submit(first_rank.wait_for_first, path)
            with pytest.raises(TimeoutError):
                waiting.result(0.2)
        waiting.result(10)


def test_ranks_on_several_machines_are_refused(
    store: FakeGcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "16")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    with pytest.raises(UsageError, match="a folder that all of them share"), working_folder(URL):
        pass


def test_a_folder_is_fetched_to_be_read_under_its_own_name(store: FakeGcs) -> None:
    with fetched(URL, to_answer) as folder:
        assert folder.name == "run"
        assert (folder / "model/model.safetensors").read_bytes() == b"weights"
    assert not folder.exists()


def test_a_name_that_leads_outside_is_not_fetched(store: FakeGcs, tmp_path: Path) -> None:
    store.put("bucket", "run/../../evil", b"1")
    Mirror(URL, tmp_path / "a" / "b").fetch()
    assert not list(tmp_path.glob("**/evil"))
