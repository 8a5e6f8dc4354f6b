"""Settled answers: what became of each URL of a source, in the order of the lists.

``answers-<since>/<partition>.bin`` has an entry of the store for each URL of the partition, piece
by piece. It is created once and never replaced: two workers that fetched the same partition may
have got different answers, and ingest must see the same ones however often it runs.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from cauldron.transforms.fetching.entries import ENTRY, PARTITIONS, Entries
from cauldron.transforms.fetching.lists import Numbers, headers_of

from cauldron.core import storage
from cauldron.core.stores.ranges import Range, read_ranges


@dataclass(frozen=True)
class Answers:
    """The answers for one source.

    Attributes:
        folder: of the source's lists.
        pieces: of the source.
        since: answers of runs that began before it are asked for again; 0: none are. See `mode`.
        mode: which of them: ``failed`` or ``all``.
    """

    folder: str
    pieces: int
    since: int = 0
    mode: str = "failed"

    @property
    def place(self) -> str:
        return storage.join(self.folder, f"answers-{self.since:d}")

    def path(self, partition: int) -> str:
        return storage.join(self.place, f"{partition:02x}.bin")

    def _counts(self) -> Numbers:
        """URLs by partition, shape (256,)."""
        headers = headers_of(self.folder, self.pieces)
        return sum((header.counts for header in headers), np.zeros(PARTITIONS, np.int64))

    def count(self, partitions: Sequence[int]) -> int:
        """How many URLs partitions have, each as often as pieces want it."""
        return int(self._counts()[list(partitions)].sum())

    def wanted(self) -> list[int]:
        """The partitions that have URLs."""
        return [int(number) for number in np.flatnonzero(self._counts())]

    def unsettled(self) -> list[int]:
        """The partitions that have URLs and no answers yet."""
        there = set(storage.list_files(self.place, ".bin"))
        return [number for number in self.wanted() if self.path(number) not in there]

    def stands(self, entries: Entries) -> Any:
        """Which of these entries need not be asked for again, a bool for each."""
        fresh = entries["run"] >= self.since
        return fresh | (entries["reason"] == b"") if self.mode == "failed" else fresh

    def settle(self, partition: int, entries: Entries) -> None:
        """Write the answers of a partition, unless they are there already."""
        storage.create(self.path(partition), entries.tobytes())

    def of_piece(self, piece: int) -> Entries:
        """The answers for the URLs of a piece, sorted by key."""
        headers = headers_of(self.folder, self.pieces)
        before = sum((h.counts for h in headers[:piece]), np.zeros(PARTITIONS, np.int64))
        own = headers[piece].counts
        ranges = [
            Range(self.path(int(number)), int(before[number]) * _SIZE, int(own[number]) * _SIZE)
            for number in np.flatnonzero(own)
        ]
        entries = np.frombuffer(b"".join(read_ranges(ranges)), ENTRY)
        return entries[np.argsort(entries["key"], kind="stable")]

    def summary(self) -> dict[str, Any]:
        """What all answers say: ``{urls, fetched, bytes, failed, digest}``.

        A URL counts once for each piece that wants it.

        Reads every partition, one at a time.
        """
        urls, fetched, size = 0, 0, 0
        failed: Counter[str] = Counter()
        digest = hashlib.sha256()
        for number in self.wanted():
            entries = np.frombuffer(storage.read_bytes(self.path(number)), ENTRY)
            is_there = entries["reason"] == b""
            urls += len(entries)
            fetched += int(is_there.sum())
            size += int(entries["length"][is_there].sum())
            failed.update(reason.decode() for reason in entries["reason"][~is_there].tolist())
            # Not where the image stands: that differs from run to run.
            for field in ("key", "sha256", "reason"):
                digest.update(np.ascontiguousarray(entries[field]).tobytes())
        return {
            "urls": urls,
            "fetched": fetched,
            "bytes": size,
            "failed": dict(sorted(failed.items())),
            "digest": digest.hexdigest(),
        }


_SIZE = ENTRY.itemsize
