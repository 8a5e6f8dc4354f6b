"""Totals of each source's turns in kept rows, which its share of a mixture is solved from.

A tally is made of one decisions file and added to others in any order. All its figures are whole
numbers, so the sum is the same on every runner, to the last bit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from cauldron.transforms.mixing.select import KeptRows, Numbers, kept_rows

from cauldron.core.shares import SourceCounts


@dataclass(frozen=True, slots=True)
class Tally:
    """Totals of a source.

    Attributes:
        rows: kept rows, of any source, that hold turns of this one.
        tokens: answer tokens of these turns, by the number of the source's turns in the row. Rows
            with no more turns than the cap are together under the cap, rounded down.
        bytes: of its own rows that are not merged.
        merged: bytes of its own rows that others were merged into, by the sources whose turns they
            hold. Sources that share pictures are few, so there are few different sets of them.
    """

    rows: int = 0
    tokens: Mapping[int, int] = field(default_factory=dict)
    bytes: int = 0
    merged: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def counts(self, cap: float | None) -> SourceCounts:
        """What shares are solved from.

        Args:
            cap: most turns of a source in a copy. A hash chooses them, so a row with T turns of a
                source is expected to deliver ``cap / T`` of their tokens.
        """
        parts = [
            tokens if cap is None or turns <= cap else tokens * cap / turns
            for turns, tokens in self.tokens.items()
        ]
        # `fsum` rounds once, whatever the order.
        return SourceCounts(self.rows, float(sum(self.tokens.values())), math.fsum(parts))


def tally(path: str, cap: float | None) -> Iterator[tuple[str, Tally]]:
    """The tallies of a decisions file, by source."""
    found: dict[str, Tally] = {}
    for kept in kept_rows([path]):
        for name, item in _tally(kept, cap):
            found[name] = total([found[name], item]) if name in found else item
    yield from found.items()


def _tally(kept: KeptRows, cap: float | None) -> Iterator[tuple[str, Tally]]:
    held, is_merged = kept.held, kept.merged_length > 0
    merged = _merged_bytes(kept, np.flatnonzero(is_merged))
    plain = ~is_merged[held.row]
    for name, mine in kept.holders():
        yield (
            name,
            Tally(
                rows=len(mine),
                tokens=_tokens(held.turns[mine], held.answer_tokens[mine], cap),
                bytes=int(kept.length[held.row[mine[plain[mine]]]].sum()),
                merged=merged.get(name, {}),
            ),
        )


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies of one source."""
    rows = size = 0
    tokens, merged = Counter[int](), Counter[tuple[str, ...]]()
    for item in tallies:
        rows, size = rows + item.rows, size + item.bytes
        tokens.update(item.tokens)
        merged.update(item.merged)
    return Tally(rows, dict(sorted(tokens.items())), size, dict(sorted(merged.items())))


def _tokens(turns: Numbers, tokens: Numbers, cap: float | None) -> dict[int, int]:
    if cap is None:
        return {0: int(tokens.sum())} if len(tokens) else {}
    numbers, at = np.unique(np.maximum(turns, int(cap)), return_inverse=True)
    sums = np.zeros(len(numbers), dtype=np.int64)
    np.add.at(sums, at, tokens)
    return dict(zip(numbers.tolist(), sums.tolist(), strict=True))


def _merged_bytes(kept: KeptRows, merged: Numbers) -> dict[str, Counter[tuple[str, ...]]]:
    """Bytes of the given rows, by their own source and by all that they hold."""
    found: dict[str, Counter[tuple[str, ...]]] = {}
    starts = np.searchsorted(kept.held.row, merged, "left")
    stops = np.searchsorted(kept.held.row, merged, "right")
    sizes = kept.length[merged] + kept.merged_length[merged]
    for own, start, stop, size in zip(
        kept.source[merged].tolist(), starts.tolist(), stops.tolist(), sizes.tolist(), strict=True
    ):
        holders = tuple(sorted(kept.names[n] for n in kept.held.source[start:stop].tolist()))
        found.setdefault(kept.names[own], Counter())[holders] += size
    return found
