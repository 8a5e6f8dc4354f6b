"""Which bits two near hashes must share: block keys, and the tables that a key's worker runs.

Two 64-bit hashes that differ in at most r bits, cut into r + t blocks, agree in at least t of
them (pigeonhole). Their *first* t agreeing blocks, in order, are the one place where the pair is
looked for: it meets in every worker that holds a key on the way there, and is told only there,
so every pair is found and none is found twice.

A hash is sent once for each block that can be the first to agree: r + 1 copies whatever t is.
Keys lengthen with n twice over: t grows, and so do the leading bits of the first block that are
part of the key. A key with too many members is split by one more agreeing block (`Plan.hot`), at
the cost of more copies of its members alone.

Bits are dealt out to blocks along the diagonals of the 8 x 8 frequencies, because neighbouring
frequencies go together in pictures of one kind. Of 1,064 distinct hashes of real tables and
receipts, eleven blocks cut as the bits stand put 28 % into the largest key and compare 68,000
pairs; these put 8 % there and compare 48,000.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]
Prefix = tuple[int, ...]

# Bits that are 9 apart, one row and one column of frequencies, come to stand side by side.
_STRIDE = pow(9, -1, 64)

# A key holds at most this many leading bits of the values of its blocks.
_VALUE_BITS = 32
KEY_END = 1 << 62


def _spread_tables() -> U64:
    """For each byte of a hash and each value of it, where its bits go."""
    tables = np.zeros((8, 256), dtype=np.uint64)
    for place in range(64):
        byte, bit = divmod(place, 8)
        has = (np.arange(256) >> bit & 1).astype(np.uint64)
        tables[byte] |= has << np.uint64(place * _STRIDE % 64)
    return tables


_SPREAD = _spread_tables()


def spread(hashes: U64) -> U64:
    """Hashes with their bits dealt out anew; Hamming distances stay what they are."""
    parts = hashes.astype("<u8").view(np.uint8).reshape(-1, 8)
    result = np.zeros(len(hashes), dtype=np.uint64)
    for byte in range(8):
        result |= _SPREAD[byte][parts[:, byte]]
    return result


class Field(NamedTuple):
    """`bits` bits of a hash, the lowest of them bit `shift`."""

    shift: int
    bits: int


class Table(NamedTuple):
    """What one choice of t agreeing blocks asks of a pair.

    Attributes:
        fields: the bits that members of a bin share, beyond those of the worker's key.
        agree: mask of the t blocks.
        differ: masks of the earlier blocks that are not among them; were one of these equal, the
            pair would belong to another table.
    """

    fields: tuple[Field, ...]
    agree: int
    differ: tuple[int, ...]


class Sent(NamedTuple):
    """What goes to the keys of a prefix.

    Attributes:
        keys: ascending rows' keys.
        rows: of the hashes.
        left_out: how many of a thinned key are not sent.
    """

    keys: Rows
    rows: Rows
    left_out: int


@dataclass(frozen=True)
class Plan:
    """How the join cuts its keys; a function of the data alone.

    Attributes:
        radius: largest Hamming distance.
        together: t, how many blocks the members of a bin share.
        key_bits: leading bits of the first agreeing block in a worker's key.
        hot: keys that are split by one more block; those of t blocks are thinned instead.
        cut: share that each range sends of a thinned key.
    """

    radius: int
    together: int
    key_bits: int
    hot: tuple[int, ...] = ()
    cut: int = 0
    blocks: tuple[Field, ...] = field(init=False)

    def __post_init__(self) -> None:
        number = self.radius + self.together
        if not (self.radius >= 0 and self.together >= 1 and number <= 64):
            raise ValueError(f"radius {self.radius} with {self.together} blocks together")
        widths = [64 // number + (place < 64 % number) for place in range(number)]
        ends = np.cumsum(widths)
        # Blocks are counted from the leading bit.
        fields = tuple(Field(64 - int(end), w) for end, w in zip(ends, widths, strict=True))
        object.__setattr__(self, "blocks", fields)

    @cached_property
    def prefixes(self) -> tuple[Prefix, ...]:
        """Every way in which t agreeing blocks can begin, each before those that go on from it."""
        number = len(self.blocks)
        found = (
            prefix
            for size in range(1, self.together + 1)
            for prefix in itertools.combinations(range(number), size)
            if self.together - size <= number - 1 - prefix[-1]
        )
        return tuple(sorted(found))

    @cached_property
    def _places(self) -> dict[Prefix, int]:
        return {prefix: place for place, prefix in enumerate(self.prefixes)}

    @cached_property
    def _ends(self) -> dict[Prefix, int]:
        """Past the places of a prefix and of all that go on from it."""
        ends: dict[Prefix, int] = {}
        for place, prefix in enumerate(self.prefixes):
            ends.update({prefix[:size]: place + 1 for size in range(1, len(prefix) + 1)})
        return ends

    def longer(self, prefix: Prefix) -> list[Prefix]:
        """The prefixes with one more block."""
        start = prefix[-1] + 1 if prefix else 0
        more = ((*prefix, block) for block in range(start, len(self.blocks)))
        return [longer for longer in more if longer in self._places]

    def in_key(self, prefix: Prefix) -> list[Field]:
        """The bits of a hash that the keys of a prefix hold."""
        left = min(self.key_bits, _VALUE_BITS) if len(prefix) == 1 else _VALUE_BITS
        fields = []
        for shift, bits in (self.blocks[block] for block in prefix):
            taken = min(bits, left)
            fields.append(Field(shift + bits - taken, taken))
            left -= taken
        return fields

    def keys(self, prefix: Prefix, hashes: U64) -> Rows:
        """The key of each hash; keys of one prefix follow each other."""
        values = np.zeros(len(hashes), dtype=np.uint64)
        for shift, bits in self.in_key(prefix):
            if not bits:
                continue
            part = (hashes >> np.uint64(shift)) & np.uint64((1 << bits) - 1)
            values = (values << np.uint64(bits)) | part
        return (values | np.uint64(self._places[prefix] << _VALUE_BITS)).astype(np.int64)

    def prefix_of(self, key: int) -> Prefix:
        return self.prefixes[key >> _VALUE_BITS]

    def tables(self, prefix: Prefix) -> list[Table]:
        """What the worker of a key of this prefix must look through."""
        masks = [((1 << bits) - 1) << shift for shift, bits in self.blocks]
        known = self.in_key(prefix)
        found = []
        for blocks in (p for p in self.prefixes if p[: len(prefix)] == prefix):
            if len(blocks) < self.together:
                continue
            fields = [self.blocks[block] for block in blocks]
            for place, (_, taken) in enumerate(known):
                shift, bits = fields[place]
                fields[place] = Field(shift, bits - taken)
            between = [block for block in range(blocks[-1]) if block not in blocks]
            found.append(
                Table(
                    tuple(one for one in fields if one.bits),
                    sum(masks[block] for block in blocks),
                    tuple(masks[block] for block in between),
                )
            )
        return found

    def assign(self, hashes: U64, start: int = 0, stop: int = KEY_END) -> Iterator[Sent]:
        """Every key in [start, stop) that each hash of a range goes to, prefix by prefix."""
        hot = np.array(self.hot, dtype=np.int64)
        todo = [(prefix, np.arange(len(hashes))) for prefix in self.longer(())]
        while todo:
            prefix, rows = todo.pop()
            first, end = self._places[prefix], self._ends[prefix]
            if end << _VALUE_BITS <= start or first << _VALUE_BITS >= stop:
                continue
            keys = self.keys(prefix, hashes[rows])
            split = np.isin(keys, hot)
            stays = ~split
            if split.any() and len(prefix) < self.together:
                todo += [(longer, rows[split]) for longer in self.longer(prefix)]
            elif split.any():
                stays |= _rank(keys) < self.cut
            inside = (keys >= start) & (keys < stop)
            thinned = len(prefix) == self.together
            yield Sent(
                keys[inside & stays],
                rows[inside & stays],
                int((inside & ~stays).sum()) if thinned else 0,
            )


def _rank(keys: Rows) -> Rows:
    """How many equal keys stand before each."""
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    new = np.ones(len(keys), dtype=bool)
    new[1:] = ranked[1:] != ranked[:-1]
    places = np.arange(len(keys))
    rank = np.empty(len(keys), dtype=np.int64)
    rank[order] = places - np.maximum.accumulate(np.where(new, places, 0))
    return rank
