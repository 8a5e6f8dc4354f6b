"""What a run of the mix job is given, and the two files that it leaves for its launcher.

The plan says how much will be written; shards follow. The summary adds up what was written. Both
grow with the shards, by some 200 bytes each, and not with rows. They lie beside the markers of the
shards. When all shards are written, a third file names the run, and the markers are removed: a
build that is killed after that goes on from the run's plan and summary.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from cauldron.transforms.mixing.selection import Terms
from cauldron.transforms.mixing.shuffle import MixJob

from cauldron.core import storage
from cauldron.core.output.compact import CompactList
from cauldron.core.output.manifests import RowFile
from cauldron.core.output.markers import Markers, list_markers, marker_folder
from cauldron.core.shares import SourceCounts


@dataclass(frozen=True, slots=True)
class MixRun:
    """One run of the job.

    Attributes:
        job: without takes and bounds.
        room: free bytes for the shards; if they need more, none is written. None: not checked.
        name: unlike that of any other run.
    """

    terms: Terms
    job: MixJob
    room: int | None
    name: str

    @property
    def plan_path(self) -> str:
        return storage.join(marker_folder(self.job.folder), f"plan-{self.name}.json")

    @property
    def finished_path(self) -> str:
        """Names the run whose summary is complete. After it the markers of the shards are gone."""
        return storage.join(marker_folder(self.job.folder), "finished.json")

    @property
    def summary_path(self) -> str:
        return storage.join(marker_folder(self.job.folder), f"summary-{self.name}.jsonl")

    def finished(self) -> str | None:
        """The name of the run, this one or one before it, that has written all shards."""
        try:
            return str(storage.read_json(self.finished_path)["run"])
        except FileNotFoundError:
            return None

    def finish(self, sums: dict[str, Any], shards: int) -> bool:
        """Write the summary of a run, and if it is that of all shards, that it is; whether so."""
        write_summary(self.summary_path, sums)
        if not shards or len(sums["shards"]) != shards:
            return False
        storage.create(self.finished_path, json.dumps({"run": self.name}).encode())
        return True

    def remove_markers(self, shards: int) -> None:
        """Remove those of all shards, once a run is finished."""
        Markers(self.job.folder, "", shards, with_count=True).remove()

    def progress(self) -> tuple[int, int] | None:
        """How many shards are done, and of how many; None before they are planned."""
        try:
            plan = MixPlan.read(self.plan_path)
        except FileNotFoundError:
            return None
        if self.finished() is not None:  # there are no markers any more
            return plan.shards, plan.shards
        # The markers' names begin with a number.
        names = (path.rpartition("/")[2] for path in list_markers(self.job.folder))
        return sum(name[0].isdigit() for name in names), plan.shards


@dataclass(frozen=True, slots=True)
class MixPlan:
    """What a run will write.

    Attributes:
        counts: what the shares were solved from, by source.
        bytes: of the mixture, with the pictures of every copy.
        shards: their number, 0 if nothing is taken.
        done: the shards that were there when the run began.
    """

    counts: dict[str, SourceCounts]
    bytes: int
    shards: int
    done: frozenset[int] = frozenset()

    @property
    def missing(self) -> int:
        """Number of shards to write."""
        return self.shards - len(self.done)

    @property
    def missing_bytes(self) -> int:
        return self.bytes * self.missing // max(1, self.shards)

    def text(self) -> str:
        """As JSON."""
        counts = {
            n: [c.rows, c.answer_tokens, c.delivered, c.sequences] for n, c in self.counts.items()
        }
        values = {"counts": counts, "bytes": self.bytes, "shards": self.shards}
        return json.dumps(values | {"done": sorted(self.done)})

    @classmethod
    def read(cls, path: str) -> MixPlan:
        """Raises FileNotFoundError if the run has not come so far."""
        values = storage.read_json(path)
        counts = {
            name: SourceCounts(rows, answer_tokens, delivered, tuple(sequences))
            for name, (rows, answer_tokens, delivered, sequences) in values["counts"].items()
        }
        return cls(counts, values["bytes"], values["shards"], frozenset(values["done"]))


def finished_shards(job: MixJob) -> frozenset[int]:
    """The shards that are there and have a marker: two listings."""
    markers = {*list_markers(job.folder)}
    files = {*storage.list_files(job.folder, ".parquet")}
    return frozenset(
        shard
        for shard in range(job.shards)
        if job.marker_path(shard) in markers and job.shard_path(shard) in files
    )


def sum_markers(markers: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The sum of what markers say, or of such sums.

    Returns:
        ``shards``, number and entry in the manifest of each, in order, and ``sources``, the totals
        of each.
    """
    shards: list[Any] = []
    sources: dict[str, dict[str, int]] = {}
    for marker in markers:
        shards += marker["shards"]
        for name, counts in marker["sources"].items():
            sums = sources.setdefault(name, {})
            for what, number in counts.items():
                sums[what] = sums.get(what, 0) + number
    return {"shards": sorted(shards, key=lambda shard: int(shard[0])), "sources": sources}


class MixSummary(NamedTuple):
    """What a run left.

    Attributes:
        sources: totals of each.
        shards: in order.
    """

    sources: dict[str, Counter[str]]
    shards: CompactList[RowFile]

    @classmethod
    def read(cls, path: str) -> MixSummary:
        with storage.open_read(path) as file:
            sources = {name: Counter[str](sums) for name, sums in json.loads(next(file)).items()}
            return cls(sources, CompactList(RowFile, (RowFile(**json.loads(n)) for n in file)))


def write_summary(path: str, sums: dict[str, Any]) -> None:
    """Write a sum of markers: a JSON line for the totals of sources, then one for each shard."""
    with storage.atomic_write(path) as file:
        for value in (sums["sources"], *(entry for _, entry in sums["shards"])):
            file.write(json.dumps(value, sort_keys=True).encode() + b"\n")
