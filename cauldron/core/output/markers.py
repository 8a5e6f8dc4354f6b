"""Markers: JSON files in ``_done/`` of an unfinished folder, one for each file that is whole.

A killed build resumes after its markers. When all markers of one kind are there, the job adds them
up into one file beside them, the summary. The process that submits the job reads the summary and
lists the folder, and never opens every marker. Where there are as many as shards, the job removes
them after that, as a store takes minutes for it: the summary says all that they did. What is left
of them is removed once the folder has its manifest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from cauldron.core import storage

_READS = 16  # requests at a time


def marker_folder(folder: str) -> str:
    return storage.join(folder, "_done")


def marker_path(folder: str, stem: str, number: int, of: int | None = None) -> str:
    """``_done/<stem>-00003-of-00012.json``; without `stem` or `of`, their part is left out."""
    parts = [stem] if stem else []
    parts.append(f"{number:05d}" if of is None else f"{number:05d}-of-{of:05d}")
    return storage.join(marker_folder(folder), "-".join(parts) + ".json")


def list_markers(folder: str) -> list[str]:
    """Paths of all markers of a folder, sorted."""
    return storage.list_files(marker_folder(folder), ".json")


def missing(markers: Sequence[str]) -> list[int]:
    """Indices of those that do not exist yet. One listing per folder, however many markers."""
    folders = {marker.rpartition("/")[0] for marker in markers}
    found = {path for folder in folders for path in storage.list_files(folder, ".json")}
    return [index for index, marker in enumerate(markers) if marker not in found]


@dataclass(frozen=True)
class Markers:
    """The markers of one kind in a folder.

    Attributes:
        stem: of their names.
        count: how many there will be.
        with_count: the count is a part of their names.
    """

    folder: str
    stem: str
    count: int
    with_count: bool = False

    def path(self, number: int) -> str:
        of = self.count if self.with_count else None
        return marker_path(self.folder, self.stem, number, of)

    def paths(self) -> list[str]:
        return [self.path(number) for number in range(self.count)]

    def missing(self) -> list[int]:
        """The numbers of those that do not exist yet; none when there is a summary."""
        return [] if self.is_summed() else missing(self.paths())

    @property
    def summary(self) -> str:
        """The path of the summary, a JSON line for each marker."""
        return storage.join(marker_folder(self.folder), f"{self.stem or 'all'}.jsonl")

    def is_summed(self) -> bool:
        return storage.exists(self.summary)

    def sum_up(self) -> None:
        """Write the summary if there is none. Raises FileNotFoundError if a marker is missing."""
        if self.is_summed():
            return
        try:
            with ThreadPoolExecutor(_READS) as pool, storage.atomic_write(self.summary) as file:
                for value in pool.map(storage.read_json, self.paths()):
                    file.write(json.dumps(value, sort_keys=True).encode() + b"\n")
        except FileNotFoundError:
            # Runners run copies of a step at once: another one may have removed the markers since.
            if not self.is_summed():
                raise

    def remove(self) -> None:
        """Remove the markers, of which there is a summary, or another file that says as much."""
        storage.remove_files(self.paths())

    def read(self) -> Iterator[Any]:
        """What the markers hold, in the order of their numbers, from the summary."""
        with storage.open_read(self.summary) as file:
            for line in file:
                yield json.loads(line)
