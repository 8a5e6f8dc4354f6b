"""How far the workers are: each process writes a small file from time to time.

The launcher adds them up, on any runner. They are for the progress line only; what counts is read
from the answers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cauldron.transforms.fetching.fetcher import Failed

from cauldron.core import storage

# So many hosts in a row that cannot be reached are not what is wrong.
CUT_OFF = 1000
_UNREACHABLE = ("dns_failure", "connect_failure", "connect_timeout")

_LOCAL_SECONDS = 1.0
_REMOTE_SECONDS = 15.0


@dataclass
class Progress:
    """What was done so far.

    Attributes:
        known: URLs that were answered before this run.
        fetched: images of this run; `bytes` theirs.
        failed: URLs of this run without an image, by reason.
    """

    known: int = 0
    fetched: int = 0
    bytes: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def answered(self) -> int:
        """In this run."""
        return self.fetched + self.failed.total()

    @property
    def done(self) -> int:
        return self.known + self.answered


class Tally:
    """Counts the answers of this process, and writes them down.

    Attributes:
        seconds: between two times of writing.
    """

    def __init__(self, folder: str, name: str) -> None:
        self._path = storage.join(folder, f"{name}.json")
        self.seconds = _LOCAL_SECONDS if storage.is_local(folder) else _REMOTE_SECONDS
        self._progress = Progress()

    def known(self, urls: int) -> None:
        self._progress.known += urls

    def add(self, outcome: bytes | Failed) -> None:
        if isinstance(outcome, Failed):
            self._progress.failed[outcome.reason] += 1
        else:
            self._progress.fetched += 1
            self._progress.bytes += len(outcome)

    @property
    def is_cut_off(self) -> bool:
        """Whether nothing at all was reached by this process: no network, or a proxy not named."""
        failed = self._progress.failed
        unreachable = sum(failed[reason] for reason in _UNREACHABLE)
        others = self._progress.answered - unreachable - failed["host_given_up"]
        return unreachable >= CUT_OFF and not others

    def values(self) -> dict[str, Any]:
        """A copy, for another thread to write."""
        return vars(self._progress) | {"failed": dict(self._progress.failed)}

    def write(self, values: dict[str, Any]) -> None:
        storage.write_json(self._path, values)


def read_tallies(folder: str) -> Progress:
    """The sum of what all processes have written down."""
    total = Progress()
    for path in storage.list_files(folder, ".json"):
        values: dict[str, Any] = storage.read_json(path)
        total.known += values["known"]
        total.fetched += values["fetched"]
        total.bytes += values["bytes"]
        total.failed.update(values["failed"])
    return total
