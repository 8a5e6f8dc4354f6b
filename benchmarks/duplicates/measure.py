"""Precision and recall of merged pairs, and where lost pairs were lost. No pictures in here.

A pair counts as merged when both pictures end in one cluster. Precision is over all merged pairs;
recall by alteration is over pairs of a base and its altered copy, recall by class over all pairs of
equal content.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Protocol

import numpy as np
import numpy.typing as npt

Pairs = npt.NDArray[np.int64]  # (pairs, 2), the smaller number first


class Known(Protocol):
    """What is true of a picture; `Labelled` is one."""

    @property
    def class_name(self) -> str: ...
    @property
    def variant(self) -> str: ...
    @property
    def content(self) -> str: ...


@dataclass(frozen=True)
class Found:
    """What a tool made of n pictures.

    Attributes:
        candidates: pairs that it looked at.
        accepted: pairs that it held for equal by themselves.
        merged: pairs that end up together.
    """

    candidates: Pairs
    accepted: Pairs
    merged: Pairs


# 97.5 % of a normal distribution lie below: bounds of 95 %, both sides together.
_QUANTILE = 1.959964


def least_share(hits: int, total: int) -> float:
    """The lower bound of a share, by Wilson, 95 %. Pairs of one family hang together, so the truth
    may lie a little lower."""
    if not total:
        return 0.0
    share, spread = hits / total, _QUANTILE**2 / total
    middle = share + spread / 2
    width = _QUANTILE * ((share * (1 - share) + spread / 4) / total) ** 0.5
    return max(0.0, (middle - width) / (1 + spread))


@dataclass
class Score:
    """Pairs of one class: merged rightly, merged wrongly, and how many there are to be merged."""

    right: int = 0
    wrong: int = 0
    wanted: int = 0

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def least_precision(self) -> float:
        return least_share(self.right, self.right + self.wrong)

    @property
    def recall(self) -> float:
        return self.right / self.wanted if self.wanted else 1.0

    @property
    def f1(self) -> float:
        total = self.right + self.wrong + self.wanted
        return 2 * self.right / total if total else 1.0


@dataclass
class Stages:
    """How far pairs of a base and its altered copy got."""

    wanted: int = 0
    candidates: int = 0
    accepted: int = 0
    merged: int = 0

    @property
    def recall(self) -> float:
        return self.merged / self.wanted if self.wanted else 1.0


@dataclass
class Report:
    """The result.

    Attributes:
        overall: all pairs.
        classes: pairs by class; a pair of two classes counts in both.
        accepted: pairs that were held for equal by themselves.
        stages: by (class, alteration).
        false_merges: pairs of pictures with different content, by kind.
        negatives: by kind, (contents that were merged with another, contents).
        lost: pairs of a base and its altered copy that were not merged.
    """

    overall: Score = field(default_factory=Score)
    classes: dict[str, Score] = field(default_factory=lambda: defaultdict(Score))
    accepted: Score = field(default_factory=Score)
    stages: dict[tuple[str, str], Stages] = field(default_factory=lambda: defaultdict(Stages))
    false_merges: dict[str, list[tuple[int, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    negatives: dict[str, tuple[int, int]] = field(default_factory=dict)
    lost: list[tuple[int, int]] = field(default_factory=list)


def as_pairs(pairs: Iterable[tuple[int, int]]) -> Pairs:
    """Sorted, each once, the smaller number first, no picture with itself."""
    array = np.array(sorted({(min(p), max(p)) for p in pairs if p[0] != p[1]}), dtype=np.int64)
    return array.reshape(-1, 2)


def within(groups: Iterable[Sequence[int]]) -> Pairs:
    """All pairs inside groups."""
    return as_pairs(pair for group in groups for pair in combinations(group, 2))


def measured(pictures: Sequence[Known], found: Found) -> Report:
    """Compare what was found with what is true."""
    report = Report()
    _count_wanted(pictures, report)
    for first, second in found.merged.tolist():
        _count_merged(pictures, first, second, report)
    for first, second in found.accepted.tolist():
        same = pictures[first].content == pictures[second].content
        report.accepted.right += same
        report.accepted.wrong += not same
    report.accepted.wanted = report.overall.wanted
    _count_stages(pictures, found, report)
    _count_negatives(pictures, report)
    return report


def _count_wanted(pictures: Sequence[Known], report: Report) -> None:
    sizes = Counter((picture.class_name, picture.content) for picture in pictures)
    for (class_name, _), size in sizes.items():
        pairs = size * (size - 1) // 2
        report.classes[class_name].wanted += pairs
        report.overall.wanted += pairs


def _count_merged(pictures: Sequence[Known], first: int, second: int, report: Report) -> None:
    a, b = pictures[first], pictures[second]
    scores = [report.classes[name] for name in sorted({a.class_name, b.class_name})]
    for score in (report.overall, *scores):
        if a.content == b.content:
            score.right += 1
        else:
            score.wrong += 1
    if a.content != b.content:
        report.false_merges[_kind(a, b)].append((first, second))


def _kind(first: Known, second: Known) -> str:
    """What kind of look-alike was taken for the same, e.g. ``table: one digit``."""
    if first.class_name != second.class_name:
        return " and ".join(sorted({first.class_name, second.class_name}))
    names = {v.split(":", 1)[1] for v in (first.variant, second.variant) if ":" in v}
    if first.content.split(":")[0] != second.content.split(":")[0]:
        names = {"another family"}
    return f"{first.class_name}: {' and '.join(sorted(names))}"


def _count_stages(pictures: Sequence[Known], found: Found, report: Report) -> None:
    base = {p.content: n for n, p in enumerate(pictures) if p.variant == "base"}
    candidates, accepted, merged = (
        set(map(tuple, pairs.tolist()))
        for pairs in (found.candidates, found.accepted, found.merged)
    )
    for number, picture in enumerate(pictures):
        origin = base.get(picture.content)
        if origin is None or origin == number:
            continue
        pair = (min(origin, number), max(origin, number))
        stages = report.stages[picture.class_name, picture.variant]
        stages.wanted += 1
        stages.candidates += pair in candidates
        stages.accepted += pair in accepted
        stages.merged += pair in merged
        if pair not in merged:
            report.lost.append(pair)


def _count_negatives(pictures: Sequence[Known], report: Report) -> None:
    """Of every kind of negative, how many contents were merged with any other content."""
    wronged = {
        pictures[number].content
        for pairs in report.false_merges.values()
        for pair in pairs
        for number in pair
    }
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for picture in pictures:
        if ":" in picture.variant:
            kind = f"{picture.class_name}: {picture.variant.split(':', 1)[1]}"
            counts[kind][0] += picture.content in wronged
            counts[kind][1] += 1
    report.negatives = {kind: (hit, total) for kind, (hit, total) in counts.items()}


def pooled(report: Report, names: Iterable[str], class_name: str | None = None) -> Stages:
    """Stages of several alterations together, of one class or all."""
    wanted = set(names)
    total = Stages()
    for (of_class, name), stages in report.stages.items():
        if name in wanted and class_name in (None, of_class):
            for what in ("wanted", "candidates", "accepted", "merged"):
                setattr(total, what, getattr(total, what) + getattr(stages, what))
    return total
