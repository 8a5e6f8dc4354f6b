"""The Beam job of a mixture: how much is taken of each source, where shards begin, the shards.

Decisions are read five times, one file at a time: for the tallies that shares are solved from, for
the threshold of each source (twice), for the bytes of shards, and for the copies themselves. If the
stage asks for it, sizes of texts and images are read from corpora (`lengths.py`). What a pass
finds is small and adds up; the next one gets the sum as a side input. So a mixture is one job,
and no process holds rows in proportion to their number, least of all the launcher. The job begins
with the path of one folder and ends with that of one file (`plan.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import AsIter, AsSingleton
from cauldron.transforms.arrays import split_by
from cauldron.transforms.mixing import bounds, thresholds
from cauldron.transforms.mixing.lengths import LengthRules, Lengths, add_lengths, measure
from cauldron.transforms.mixing.plan import (
    MixPlan,
    MixRun,
    finished_shards,
    sum_markers,
)
from cauldron.transforms.mixing.select import Take
from cauldron.transforms.mixing.selection import Passes, Selection, select
from cauldron.transforms.mixing.shuffle import MixJob, references, write_shard
from cauldron.transforms.mixing.tallies import Tally, tally, total
from cauldron.transforms.parts import table_file

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output.manifests import CurationManifest, read_manifest
from cauldron.core.shares import SourceCounts

# Markers are added up in two steps, so that no process reads more of them than this.
_MARKERS_TOGETHER = 512

_Keyed = tuple[str, bytes]
_Numbered = tuple[int, bytes]
_Sums = dict[str, Any]


@dataclass(frozen=True)
class _Chosen:
    """How much is taken, before it is known which rows.

    Attributes:
        shards: wanted number.
        edges: see `MixJob.edges`.
    """

    counts: dict[str, SourceCounts]
    passes: Mapping[str, Passes]
    bytes: int
    shards: int
    edges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class _Ready:
    """All that is to be known before copies are found.

    Attributes:
        job: with takes and bounds.
        stopped: there is no room for the shards.
    """

    job: MixJob
    plan: MixPlan
    stopped: bool


class MixRows(beam.PTransform):
    """The folder of a curation in, the path of the run's summary out."""

    def __init__(self, run: MixRun) -> None:
        super().__init__()
        self._run = run

    def expand(self, curation: beam.PCollection[str]) -> beam.PCollection[str]:
        run = self._run
        files = (
            curation
            | "List decisions" >> beam.FlatMap(_decision_files).with_output_types(str)
            | "Spread decisions" >> beam.Reshuffle()
        )
        tallies = AsIter(self._tallies(files))
        more = {"lengths": AsIter(self._lengths(curation))} if run.terms.stage.measured else {}
        solve = beam.Map(_choose, run, tallies, **more)
        chosen = AsSingleton(curation | "Solve shares" >> solve)
        found = AsIter(self._thresholds(files, chosen))
        job = AsSingleton(curation | "Take rows" >> beam.Map(_with_takes, run, chosen, found))
        cuts = AsIter(self._cuts(files, chosen, job))
        ready = AsSingleton(curation | "Plan" >> beam.Map(_make_ready, run, chosen, job, cuts))
        sums = AsIter(self.write_shards(curation, files, ready))
        return curation | "Summarise" >> beam.Map(_write_summary, run, sums).with_output_types(str)

    def _tallies(self, files: beam.PCollection[str]) -> beam.PCollection[tuple[str, Tally]]:
        cap = self._run.terms.stage.turns.cap
        return (
            files
            | "Tally" >> beam.FlatMap(tally, cap).with_output_types(tuple[str, Tally])
            | "Tallies by source" >> beam.GroupByKey()
            | "Add tallies" >> beam.Map(_total).with_output_types(tuple[str, Tally])
        )

    def _lengths(self, curation: beam.PCollection[str]) -> beam.PCollection[tuple[str, Lengths]]:
        rules = LengthRules.of(self._run.terms.stage, self._run.terms.tokenizer)
        keyed = tuple[str, Lengths]
        return (
            curation
            | "List parts" >> beam.FlatMap(_parts, self._run).with_output_types(tuple[str, str])
            | "Spread parts" >> beam.Reshuffle()
            | "Measure" >> beam.MapTuple(partial(_measure, rules=rules)).with_output_types(keyed)
            | "Lengths by source" >> beam.GroupByKey()
            | "Add lengths" >> beam.MapTuple(_add_lengths).with_output_types(keyed)
        )

    def _thresholds(
        self, files: beam.PCollection[str], chosen: AsSingleton
    ) -> beam.PCollection[tuple[str, int]]:
        seed = self._run.job.seed
        count = beam.FlatMap(_count_prefixes, seed, chosen)
        edges = AsIter(
            files
            | "Count hashes" >> count.with_output_types(_Keyed)
            | "Counts by source" >> beam.GroupByKey()
            | "Find edges" >> beam.Map(_find_edge, chosen)
        )
        collect = beam.FlatMap(_hashes_at_edge, seed, chosen, edges)
        return (
            files
            | "Hashes at edges" >> collect.with_output_types(_Keyed)
            | "Hashes by source" >> beam.GroupByKey()
            | "Find thresholds" >> beam.Map(_find_threshold, edges)
        )

    def _cuts(
        self, files: beam.PCollection[str], chosen: AsSingleton, job: AsSingleton
    ) -> beam.PCollection[list[int]]:
        fill = beam.FlatMap(_fill_bins, chosen, job)
        summed = (
            files
            | "Bytes by position" >> fill.with_output_types(_Numbered)
            | "Bytes by range" >> beam.GroupByKey()
            | "Add bytes" >> beam.Map(_sum_bins, chosen).with_output_types(_Numbered)
        )
        totals = AsIter(summed | "Bytes of ranges" >> beam.Map(_total_of))
        return summed | "Cut" >> beam.Map(_cut_range, chosen, totals)

    def write_shards(
        self, curation: beam.PCollection[str], files: beam.PCollection[str], ready: AsSingleton
    ) -> beam.PCollection[_Sums]:
        """What the shards hold, added up in groups."""
        marked = tuple[int, _Sums]
        written = (
            files
            | "Find copies" >> beam.FlatMap(find_copies, ready).with_output_types(_Numbered)
            | "Group by position" >> beam.GroupByKey()
            | "Fetch and write" >> beam.Map(_write_shard, ready).with_output_types(marked)
        )
        done = (
            curation
            | "Finished shards" >> beam.FlatMap(_finished, ready).with_output_types(int)
            | "Spread shards" >> beam.Reshuffle()
            | "Read markers"
            >> beam.FlatMap(_read_marker, ready, self._run).with_output_types(marked)
        )
        return (
            (written, done)
            | "All markers" >> beam.Flatten()
            | "Group markers" >> beam.GroupByKey()
            | "Add markers" >> beam.Map(_sum_group)
        )


def _decision_files(curation: str) -> Iterator[str]:
    for file in read_manifest(CurationManifest, curation).buckets:
        yield storage.join(curation, file.name)


def _total(keyed: tuple[str, Iterable[Tally]]) -> tuple[str, Tally]:
    source, tallies = keyed
    return source, total(tallies)


def _parts(_: str, run: MixRun) -> Iterator[tuple[str, str]]:
    """The tables of the corpora of the stage, by source."""
    for source in run.job.sources:
        for part in range(source.parts):
            yield source.name, table_file(source.corpus, part, source.parts)


def _measure(source: str, path: str, rules: LengthRules) -> tuple[str, Lengths]:
    return source, measure(path, rules)


def _add_lengths(source: str, parts: Iterable[Lengths]) -> tuple[str, Lengths]:
    return source, add_lengths(parts)


def _choose(
    _: str,
    run: MixRun,
    tallies: Iterable[tuple[str, Tally]],
    lengths: Iterable[tuple[str, Lengths]] | None = None,
) -> _Chosen:
    found, terms = dict(tallies), run.terms
    counts = terms.counts(found)
    edges: tuple[tuple[int, int], ...] = ()
    try:
        if lengths is not None:
            counts = terms.counts(found, dict(lengths))
        allocations = terms.solve(counts)
        selection, edges = select(found, allocations), terms.edges(allocations)
    except CauldronError:
        # Not a failure of this worker: the launcher solves the same counts, and says why it fails.
        selection = Selection({}, 0)
    shards = -(-selection.bytes // terms.stage.shard_bytes)
    return _Chosen(counts, selection.passes, selection.bytes, shards, edges)


def _count_prefixes(path: str, seed: int, chosen: _Chosen) -> Iterator[_Keyed]:
    return thresholds.count_prefixes(path, chosen.passes, seed)


def _find_edge(keyed: tuple[str, Iterable[bytes]], chosen: _Chosen) -> tuple[str, thresholds.Edge]:
    source, pieces = keyed
    return source, thresholds.find_edge(pieces, chosen.passes[source].extra)


def _hashes_at_edge(
    path: str, seed: int, chosen: _Chosen, edges: Iterable[tuple[str, thresholds.Edge]]
) -> Iterator[_Keyed]:
    return thresholds.hashes_at_edge(path, chosen.passes, seed, dict(edges))


def _find_threshold(
    keyed: tuple[str, Iterable[bytes]], edges: Iterable[tuple[str, thresholds.Edge]]
) -> tuple[str, int]:
    source, pieces = keyed
    return source, thresholds.find_threshold(pieces, dict(edges)[source])


def _with_takes(_: str, run: MixRun, chosen: _Chosen, found: Iterable[tuple[str, int]]) -> MixJob:
    threshold = dict(found)
    takes = {
        name: Take(passes.whole, passes.extra, threshold.get(name, 0))
        for name, passes in chosen.passes.items()
    }
    sources = (replace(s, take=takes.get(s.name, s.take)) for s in run.job.sources)
    return replace(run.job, sources=tuple(sources), edges=chosen.edges)


def _fill_bins(path: str, chosen: _Chosen, job: MixJob) -> Iterator[_Numbered]:
    # One shard has no bounds.
    return bounds.fill_bins(path, job, chosen.shards) if chosen.shards > 1 else iter(())


def _sum_bins(keyed: tuple[int, Iterable[bytes]], chosen: _Chosen) -> _Numbered:
    number, pieces = keyed
    return number, bounds.sum_bins(number, pieces, chosen.shards)


def _total_of(keyed: _Numbered) -> bounds.RangeTotal:
    return bounds.total_of(*keyed)


def _cut_range(keyed: _Numbered, chosen: _Chosen, totals: Iterable[bounds.RangeTotal]) -> list[int]:
    return bounds.cut_range(*keyed, totals, chosen.shards)


def _make_ready(
    _: str, run: MixRun, chosen: _Chosen, job: MixJob, cuts: Iterable[list[int]]
) -> _Ready:
    job = replace(job, bounds=bounds.bounds_at(cuts, chosen.shards))
    shards = job.shards if chosen.passes else 0
    done = finished_shards(job) if shards else frozenset()
    plan = MixPlan(chosen.counts, chosen.bytes, shards, done)
    # A runner may repeat this step when more shards are there. Some of the copies would then be
    # found for other shards than the rest. So the first answer holds for the whole run.
    if not storage.create(run.plan_path, plan.text().encode()):
        plan = MixPlan.read(run.plan_path)
    return _Ready(job, plan, run.room is not None and plan.missing_bytes > run.room)


def find_copies(path: str, ready: _Ready) -> Iterator[_Numbered]:
    job, plan = ready.job, ready.plan
    if not plan.missing or ready.stopped:
        return
    begins = np.array(job.bounds, dtype=np.uint64)
    for copies in references(path, job):
        pieces = split_by(copies, np.searchsorted(begins, copies["position"], side="right"))
        yield from (piece for piece in pieces if piece[0] not in plan.done)


def _write_shard(keyed: tuple[int, Iterable[bytes]], ready: _Ready) -> tuple[int, _Sums]:
    return _grouped(write_shard(*keyed, ready.job))


def _finished(_: str, ready: _Ready) -> Iterator[int]:
    yield from sorted(ready.plan.done)


def _read_marker(shard: int, ready: _Ready, run: MixRun) -> Iterator[tuple[int, _Sums]]:
    try:
        marker = storage.read_json(ready.job.marker_path(shard))
    except FileNotFoundError:
        # In a repeated step: the summary is there, and markers are gone.
        if run.finished() is None:
            raise
    else:
        yield _grouped(marker)


def _grouped(marker: dict[str, Any]) -> tuple[int, _Sums]:
    shard = int(marker["shard"])
    sums = {"shards": [(shard, marker["file"])], "sources": marker["sources"]}
    return shard // _MARKERS_TOGETHER, sums


def _sum_group(keyed: tuple[int, Iterable[_Sums]]) -> _Sums:
    return sum_markers(keyed[1])


def _write_summary(_: str, run: MixRun, sums: Iterable[_Sums]) -> str:
    shards = MixPlan.read(run.plan_path).shards
    # A repeated step may find no marker to add up.
    if run.finished() is not None or run.finish(sum_markers(sums), shards):
        run.remove_markers(shards)
    return run.summary_path
