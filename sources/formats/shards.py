"""Shards by their names: which form a set, which are missing, which are there twice.

``push_to_hub`` writes ``<split>-<i>-of-<n>[-<hash>].parquet``, one commit per shard, and deletes
the old shards last. A revision in between holds two sets at once (seen: clevr in the Cauldron
with 24 shards twice, clevr_math with sets of 4 and of 27), and ``<split>-*`` reads both.

The hashes differ from shard to shard, so names do not tell which of two files with the same
number belongs to which push. The choice uses only the listing, so that every machine agrees:

- Of sets with different n, the most complete is read; of equally complete ones that with more
  bytes, which probably holds more rows; then the larger n.
- Of files with the same number and n, the larger is read, because an interrupted upload is
  smaller; then the first by name.

A note lists every file that is left unread. Pinning a revision that holds one set avoids the
choice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from cauldron.sources.repos.files import FileInfo

_NUMBERED = re.compile(
    r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?:-[0-9A-Za-z]+)?\.(?:parquet|jsonl)"
)
_NAMED_IN_A_NOTE = 4


class Missing(NamedTuple):
    """A run of shards that are not there.

    Attributes:
        pattern: their names without the hash, with ``*`` for the number.
        start, stop: the first number and one past the last.
    """

    pattern: str
    start: int
    stop: int

    def names(self) -> list[str]:
        return [self.pattern.replace("*", f"{i:05d}") for i in range(self.start, self.stop)]


@dataclass(frozen=True)
class Shards:
    """The shards of one or more splits, in reading order.

    Attributes:
        slots: a file, or a run of shards that are missing.
        notes: which files were left unread, and why.
    """

    slots: tuple[FileInfo | Missing, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> list[FileInfo]:
        return [slot for slot in self.slots if isinstance(slot, FileInfo)]

    def __add__(self, other: Shards) -> Shards:
        return Shards(self.slots + other.slots, self.notes + other.notes)


def choose_shards(files: Iterable[FileInfo]) -> Shards:
    """Pick exactly one complete set of each split out of files of one format.

    Args:
        files: of one or more splits. Files whose names have no i-of-n (the hub's conversion,
            ``train/0000.parquet``) are all read, unless there are numbered files too: then they
            are a second copy.
    """
    stems: dict[str, dict[int, dict[int, list[FileInfo]]]] = {}
    plain = []
    for file in sorted(files, key=lambda file: file.path):
        match = _NUMBERED.fullmatch(file.path)
        number, count = (int(match["number"]), int(match["count"])) if match else (0, 0)
        if match and number < count:
            sets = stems.setdefault(match["stem"], {})
            sets.setdefault(count, {}).setdefault(number, []).append(file)
        else:
            plain.append(file)
    if not stems:
        return Shards(tuple(plain))
    chosen = Shards()
    for stem, sets in stems.items():
        chosen += _best_set(stem, sets)
    if plain:
        what = f"not read, because numbered shards lie beside them: {_names(plain)}"
        chosen += Shards((), (what,))
    return chosen


def _best_set(stem: str, sets: dict[int, dict[int, list[FileInfo]]]) -> Shards:
    candidates = {count: _one_each(numbers) for count, numbers in sets.items()}

    def rank(count: int) -> tuple[float, int, int]:
        files = candidates[count].values()
        return len(files) / count, sum(file.size for file in files), count

    best = max(candidates, key=rank)
    notes = []
    left = [file for count, files in sets.items() if count != best for file in _in_order(files)]
    if left:
        counts = " and ".join(str(count) for count in sorted(sets))
        what = f"{stem}: sets of {counts} shards lie side by side; only the {best} are read"
        notes.append(f"{what}, not {_names(left)}")
    taken = candidates[best]
    read = frozenset(taken.values())
    twins = [file for file in _in_order(sets[best]) if file not in read]
    if twins:
        what = f"{stem}: {len(twins)} of {best} shards are there more than once; the larger is read"
        notes.append(f"{what}, not {_names(twins)}")
    return Shards(tuple(_slots(taken, f"{stem}-*-of-{best:05d}", best)), tuple(notes))


def _slots(taken: dict[int, FileInfo], pattern: str, count: int) -> Iterator[FileInfo | Missing]:
    expected = 0
    for number in sorted(taken):
        if number > expected:
            yield Missing(pattern, expected, number)
        yield taken[number]
        expected = number + 1
    if expected < count:
        yield Missing(pattern, expected, count)


def _one_each(numbers: dict[int, list[FileInfo]]) -> dict[int, FileInfo]:
    return {
        number: min(files, key=lambda file: (-file.size, file.path))
        for number, files in numbers.items()
    }


def _in_order(numbers: dict[int, list[FileInfo]]) -> list[FileInfo]:
    return [file for number in sorted(numbers) for file in numbers[number]]


def _names(files: list[FileInfo]) -> str:
    names = ", ".join(file.path for file in files[:_NAMED_IN_A_NOTE])
    more = len(files) - _NAMED_IN_A_NOTE
    return f"{names} and {more} more" if more > 0 else names
