"""Progress of a job that finds out itself how much there is to do."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from cauldron.pipeline.runners import watch
from cauldron.pipeline.runners.counted import counted


class Told:
    """What a track is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextlib.contextmanager
    def track(self, step: str, total: int) -> Iterator[Callable[[int], None]]:
        self.lines.append(f"{step} of {total}")
        yield lambda done: self.lines.append(f"{done} of {total}")


def test_the_total_is_told_as_soon_as_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_LEAST_SECONDS", 0.001)
    told, answers = Told(), iter([None, None, (1, 7), (2, 7), None, (5, 7)])
    with counted("mix", lambda: next(answers, (7, 7)), told.track):
        deadline = time.monotonic() + 30
        while "7 of 7" not in told.lines:
            assert time.monotonic() < deadline
            time.sleep(0.001)
    assert told.lines[:4] == ["mix of 0", "mix of 7", "2 of 7", "5 of 7"]


@pytest.mark.parametrize(
    ("found", "lines"), [((3, 3), ["mix of 0", "mix of 3"]), (None, ["mix of 0"])]
)
def test_a_job_that_ends_at_once_is_looked_at_once(
    found: tuple[int, int] | None, lines: list[str]
) -> None:
    told = Told()
    with counted("mix", lambda: found, told.track):
        pass
    assert told.lines == lines
