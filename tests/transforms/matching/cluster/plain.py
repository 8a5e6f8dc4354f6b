"""Clustering said with dictionaries and sets: what the packed arrays are tested against."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from cauldron.transforms.matching.cluster.representatives import (
    COMPARED,
    MEMBER,
    PASSES,
    SETTLED,
    SPLITS,
    UNSETTLED,
    Advance,
    advance,
)
from cauldron.transforms.matching.records import PAIR, VERDICT, MatchJob

N = TypeVar("N", bound=Hashable)
Pair = frozenset[int]

JOB = MatchJob((), "", 1, 8, 56, 0.035, 32)


def components(vertices: Iterable[N], edges: Iterable[tuple[N, N]]) -> list[set[N]]:
    parent = {vertex: vertex for vertex in vertices}

    def root(vertex: N) -> N:
        while parent[vertex] != vertex:
            parent[vertex] = parent[parent[vertex]]
            vertex = parent[vertex]
        return vertex

    for one, other in edges:
        parent[root(one)] = root(other)
    found: dict[N, set[N]] = {}
    for vertex in parent:
        found.setdefault(root(vertex), set()).add(vertex)
    return list(found.values())


def members(count: int, seed: int = 0) -> np.ndarray:
    """Pictures numbered from 100, most of them near each other by their stored numbers."""
    random = np.random.default_rng(seed)
    records = np.zeros(count, dtype=MEMBER)
    records["number"] = np.arange(count) + 100
    records["key_high"], records["key_low"] = random.integers(0, 1 << 62, (2, count))
    for bit in range(7):
        records["phash"] |= (random.random(count) < 0.5).astype(np.uint64) << np.uint64(bit)
    records["phash256"][:, 0] = np.where(random.random(count) < 0.1, (1 << 63) - 1, 0)
    records["aspect"] = np.where(random.random(count) < 0.1, 80, 0)
    records["pixels"] = random.integers(1, 4, count)
    records["source"] = random.integers(0, 3, count)
    records["id_high"] = random.integers(0, 3, count)
    records["id_low"] = random.permutation(count)
    return records


def compared(*pairs: tuple[int, int] | tuple[int, int, bool]) -> np.ndarray:
    """Verdicts on pictures by their place in `members`: distance 4, score 0.75, the same."""
    records = np.zeros(len(pairs), dtype=COMPARED)
    for record, (one, other, *same) in zip(records, pairs, strict=True):
        record["first"], record["second"] = sorted((one + 100, other + 100))
        record["distance"], record["score"] = 4, 0.75
        record["same"] = same[0] if same else True
    return records


@dataclass
class Judge:
    """Thinks two pictures the same when `truth` says so, with score 0.5; remembers each pair."""

    truth: Callable[[int, int], bool]
    asked: list[Pair] = field(default_factory=list)

    def judge(self, pairs: np.ndarray) -> np.ndarray:
        assert pairs.dtype == PAIR
        verdicts = np.zeros(len(pairs), dtype=VERDICT)
        for verdict, pair in zip(verdicts, pairs, strict=True):
            for name in PAIR.names or ():
                verdict[name] = pair[name]
            assert pair["first"] < pair["second"]
            self.asked.append(frozenset((int(pair["first"]), int(pair["second"]))))
            verdict["same"] = self.truth(int(pair["first"]), int(pair["second"]))
            verdict["score"] = 0.5 if verdict["same"] else 0.1
        return verdicts


def drive(records: np.ndarray, pairs: np.ndarray, judge: Judge) -> np.ndarray:
    """Advance until nothing waits, as the pipeline does; `SETTLED` records by number."""
    settled = [np.zeros(0, dtype=SETTLED)]
    for left in reversed(range(PASSES)):
        done: Advance = advance(records, pairs, JOB, last=not left)
        settled.append(done.settled)
        records, pairs = done.members, done.compared
        if not len(records):
            break
        assert left, "still waiting after the last pass"
        verdicts = judge.judge(done.asked)
        more = verdicts[list(COMPARED.names or ())].astype(COMPARED)
        pairs = np.concatenate([pairs, more])
    found = np.concatenate(settled)
    return found[np.argsort(found["number"])]


def near(one: np.void, other: np.void) -> bool:
    distance = (int(one["phash"]) ^ int(other["phash"])).bit_count()
    words = zip(one["phash256"].tolist(), other["phash256"].tolist(), strict=True)
    distance256 = sum((a ^ b).bit_count() for a, b in words)
    # 1000 * log2(1.035) is 49.6: rounded, and one for the rounding of the two.
    apart = abs(int(one["aspect"]) - int(other["aspect"]))
    return distance <= 8 and distance256 <= 56 and apart <= 51


@dataclass
class Plain:
    """The guard by its rules.

    Attributes:
        lead: for each settled picture its representative, distance and score.
        split: pictures that were split off.
    """

    records: np.ndarray
    pairs: np.ndarray
    truth: Callable[[int, int], bool]
    lead: dict[int, tuple[int, int, float]] = field(default_factory=dict)
    split: set[int] = field(default_factory=set)
    unsettled: set[int] = field(default_factory=set)
    asked: set[Pair] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.by_number = {int(record["number"]): record for record in self.records}
        self.known = {
            frozenset((int(p["first"]), int(p["second"]))): p
            for p in self.pairs
            if {int(p["first"]), int(p["second"])} <= set(self.by_number)
        }
        for group in self._connected(set(self.by_number)):
            if len(group) > 1:
                self._guard(group, 0, PASSES - 1)

    def _connected(self, group: set[int]) -> list[set[int]]:
        edges = [tuple(k) for k, p in self.known.items() if p["same"] and k <= group]
        return components(group, edges)

    def best(self, group: set[int]) -> int:
        return min(group, key=self._rank)

    def _rank(self, number: int) -> tuple:
        record = self.by_number[number]
        place = (int(record[n]) for n in ("source", "id_high", "id_low", "image"))
        return (-int(record["pixels"]), *place)

    def most_linked(self, group: set[int]) -> int:
        """The picture that most others are known to be the same as, and no thumbnail."""
        edges = [k for k, p in self.known.items() if p["same"] and k <= group]
        largest = max(int(self.by_number[number]["pixels"]) for number in group)

        def links(number: int) -> int:
            small = 2 * int(self.by_number[number]["pixels"]) < largest
            return 0 if small else sum(number in edge for edge in edges)

        return min(group, key=lambda number: (-links(number), *self._rank(number)))

    def _guard(self, group: set[int], splits: int, waits: int) -> None:
        """Args: `waits`: how often it may still ask."""
        if splits:
            self.split |= group
        leads = [self.best(group)]
        for lead in leads:
            others = group - {lead}
            if len(leads) == 1 and any(self._is(n, lead, "other") for n in others):
                leads.append(self.most_linked(group))
                continue
            unknown = {n for n in others if self._is(n, lead, "unknown")}
            if splits == SPLITS or (unknown and not waits):
                self._in_order(group)
                return
            waits -= bool(unknown)
            for number in unknown:
                self._ask(number, lead)
            if len(leads) == 1 and any(self._is(n, lead, "other") for n in others):
                leads.append(self.most_linked(group))
        followers = {n for n in group - {lead} if self._is(n, lead, "same")}
        if len(leads) == 2:
            followers = self._agreeing(lead, followers)
        cluster = followers | {lead}
        best = self.best({n for n in cluster if self._same_as_all(n, cluster)})
        self._settle(best, cluster - {best})
        for rest in self._connected(group - followers - {lead}):
            self._guard(rest, splits + 1, waits)

    def _same_as_all(self, number: int, cluster: set[int]) -> bool:
        return all(self._is(number, other, "same") for other in cluster - {number})

    def _agreeing(self, lead: int, may: set[int]) -> set[int]:
        """Those that more speak for than against, of the ones taken before them."""

        def votes(number: int, others: set[int]) -> int:
            known = {other for other in others if frozenset((number, other)) in self.known}
            return sum(1 if self._is(number, other, "same") else -1 for other in known)

        taken = {lead}
        for number in sorted(may, key=lambda n: (-votes(n, may | {lead}), *self._rank(n))):
            if votes(number, taken) > 0:
                taken.add(number)
        return taken - {lead}

    def _is(self, number: int, lead: int, what: str) -> bool:
        pair = frozenset((number, lead))
        if pair in self.known:
            return what == ("same" if self.known[pair]["same"] else "other")
        maybe = near(self.by_number[number], self.by_number[lead])
        return what == ("unknown" if maybe else "other")

    def _ask(self, number: int, lead: int) -> None:
        pair = frozenset((number, lead))
        self.asked.add(pair)
        told = np.zeros(1, dtype=COMPARED)[0]
        told["distance"] = (
            int(self.by_number[number]["phash"]) ^ int(self.by_number[lead]["phash"])
        ).bit_count()
        told["same"] = self.truth(min(pair), max(pair))
        told["score"] = 0.5 if told["same"] else 0.1
        self.known[pair] = told

    def _in_order(self, group: set[int]) -> None:
        left = set(group)
        while left:
            best = self.best(left)
            taken = {n for n in left - {best} if self._is(n, best, "same")}
            if not taken and len(group) > 1:
                self.unsettled.add(best)
            self._settle(best, taken)
            left -= taken | {best}

    def _settle(self, best: int, followers: set[int]) -> None:
        if followers:
            self.lead[best] = (best, 0, 1.0)
        for number in followers:
            told = self.known[frozenset((number, best))]
            self.lead[number] = (best, int(told["distance"]), float(told["score"]))


def leads(settled: np.ndarray, records: np.ndarray) -> dict[int, tuple[int, int, float]]:
    """What `Plain.lead` holds, from `SETTLED` records."""
    by_key = {(int(r["key_high"]), int(r["key_low"])): int(r["number"]) for r in records}
    return {
        int(one["number"]): (
            by_key[int(one["key_high"]), int(one["key_low"])],
            int(one["distance"]),
            float(one["score"]),
        )
        for one in settled
        if one["place"] < 2
    }


def unsettled(settled: np.ndarray) -> set[int]:
    return set(settled["number"][settled["place"] == UNSETTLED].tolist())
