"""What is said, by whom, when ranks fail; and that their processes end."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cauldron.training import failure
from cauldron.training.failure import Failure, message_for

from cauldron.core.errors import CauldronError, UsageError


class Board:
    """Notes in this process."""

    def __init__(self) -> None:
        self._notes: dict[str, bytes] = {}
        self._counts: dict[str, int] = {}

    def set(self, key: str, value: str, /) -> None:
        self._notes[key] = value.encode()

    def get(self, key: str, /) -> bytes:
        return self._notes[key]

    def check(self, keys: list[str], /) -> bool:
        return all(key in self._notes for key in keys)

    def add(self, key: str, amount: int, /) -> int:
        self._counts[key] = self._counts.get(key, 0) + amount
        return self._counts[key]


class Gone(Board):
    """Notes whose keeper has ended."""

    def set(self, key: str, value: str, /) -> None:
        raise RuntimeError("Connection reset by peer")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure, "WAIT_SECONDS", 0.3)


def said(world: int, errors: dict[int, BaseException]) -> dict[int, str | None]:
    """By the ranks that fail, of so many."""
    board = Board()
    with ThreadPoolExecutor(world) as pool:
        found = {
            rank: pool.submit(message_for, Failure.of(error), rank, world, board)
            for rank, error in errors.items()
        }
    return {rank: future.result() for rank, future in found.items()}


def test_what_all_met_is_said_once() -> None:
    blown = [CauldronError("the loss is nan") for _ in range(3)]
    assert said(3, dict(enumerate(blown))) == {0: "the loss is nan", 1: None, 2: None}


@pytest.mark.parametrize("rank", [0, 2])
def test_what_one_met_it_says_with_its_number(rank: int) -> None:
    assert said(3, {rank: CauldronError("disk full")}) == {rank: f"rank {rank}: disk full"}


def test_different_mistakes_are_all_said() -> None:
    found = said(2, {0: CauldronError("a"), 1: CauldronError("b")})
    assert found == {0: "rank 0: a", 1: "rank 1: b"}


def test_who_only_lost_another_says_nothing() -> None:
    found = said(2, {0: RuntimeError("Connection closed by peer"), 1: CauldronError("no memory")})
    assert found == {0: None, 1: "rank 1: no memory"}


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    found = said(2, {1: AssertionError("impossible")})[1]
    assert found is not None
    assert found.startswith("rank 1: ")
    assert "AssertionError: impossible" in found


def test_without_notes_every_rank_speaks_for_itself() -> None:
    assert message_for(Failure.of(UsageError("x")), 1, 2, Gone()) == "rank 1: x"
    lost = message_for(Failure.of(RuntimeError("Connection closed")), 1, 2, Gone())
    assert lost == "rank 1: the first rank is gone (RuntimeError: Connection closed)"


def test_a_process_ends_although_a_checkpoint_is_being_written() -> None:
    """Its thread waits for a rank that will never answer."""
    program = (
        "import threading, time\n"
        "from cauldron.core.errors import UsageError\n"
        "from tests.training.test_failure import Board\n"
        "from cauldron.training import failure\n"
        "failure.WAIT_SECONDS = 0.1\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "failure.end(UsageError('too much'), 1, 2, Board(), print)\n"
    )
    start = time.monotonic()
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert time.monotonic() - start < 60
    assert (found.returncode, found.stdout) == (2, "cauldron: rank 1: too much\n")
