"""How many sequences of the trainer a source's rows fill, from the sizes that its corpus stores.

The trainer packs rows into sequences. A budget of sequences, ``budget: {sequences: N}``, is what a
stage of N / batch steps consumes, so rows are measured as the trainer measures them: the tokens of
all text, of the chat template, and of each image's tiles with the markers around them, at every
resolution of the stage. Texts and markers are counted by the recipe's tokenizer; if that is the
model's own, the lengths are the trainer's. `cauldron.core.packing`, with which the trainer packs,
then says how full sequences become: samples of the sources, mixed by their shares, are packed in
windows of as many rows.

All corpus rows are measured, also those that curation drops; what counts is the average.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from cauldron.transforms.curate.index import first_roles
from cauldron.transforms.order import id_halves
from cauldron.transforms.tokens import TokenCounter, token_counter

from cauldron.core import storage
from cauldron.core.packing import pack
from cauldron.core.sections.rules import upscale_of
from cauldron.core.sections.stage import StageRecipe
from cauldron.core.shares import Allocation, SourceCounts
from cauldron.core.tiles import Upscale, tile_grid, tokens_per_tile

# Rows of each source that are packed on trial, those with the smallest ids.
SAMPLE = 2_048
# The trainer's window, and how many of them are packed.
_WINDOW, _WINDOWS = 1_024, 4

_COLUMNS = ["id", "text_tokens", "turns"]
_SIZES = ["image_info.list.element.width", "image_info.list.element.height"]

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LengthRules:
    """What decides the length of a row.

    Attributes:
        edges: the stage's longest edges in turn, pixels.
        capacity: tokens of a sequence.
        cap: most turns of a copy.
    """

    edges: tuple[int, ...]
    tile: int
    upscale: Upscale
    capacity: int
    cap: float | None
    tokenizer: str

    @classmethod
    def of(cls, stage: StageRecipe, tokenizer: str) -> LengthRules:
        return cls(
            edges=tuple(edge for _, edge in stage.edges),
            tile=stage.tile,
            upscale=upscale_of(stage.upscale),
            capacity=stage.sequence_length,
            cap=stage.turns.cap,
            tokenizer=tokenizer,
        )


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of the rows of a source, or of a part of it; adds up in any order.

    Attributes:
        rows: their number.
        totals: tokens in sequences at each edge. A conversation longer than a sequence is left out
            by the trainer and counts nothing; a document is cut, and counts whole.
        sample: (leading half of the id, length at each edge) of rows with the smallest ids.
    """

    rows: int = 0
    totals: tuple[int, ...] = ()
    sample: tuple[tuple[int, tuple[int, ...]], ...] = ()


def measure(path: str, rules: LengthRules) -> Lengths:
    """The lengths of the rows of a corpus part."""
    with storage.open_read(path) as file:
        parquet = pq.ParquetFile(file)
        table = parquet.read([*_COLUMNS, *_SIZES])
        is_document = first_roles(parquet) == "assistant"
    if not table.num_rows:
        return Lengths(0, (0,) * len(rules.edges))
    layout = _layout(rules.tokenizer, rules.tile)
    turns = table["turns"].to_numpy().astype(np.int64)
    shown = turns if rules.cap is None else np.minimum(turns, rules.cap)
    text = table["text_tokens"].to_numpy() * (shown / np.maximum(turns, 1))
    frame = np.where(is_document, layout.document, layout.turn * shown + layout.conversation)
    plain = np.ceil(text + frame).astype(np.int64)
    images = table["image_info"].combine_chunks()
    lengths = np.stack([plain + _images(images, edge, layout, rules) for edge in rules.edges], 1)
    fits = (lengths <= rules.capacity) | is_document[:, None]
    hashes = id_halves(table["id"].to_pylist())[:, 0]
    first = np.argsort(hashes, kind="stable")[:SAMPLE]
    return Lengths(
        table.num_rows,
        tuple(np.where(fits, lengths, 0).sum(axis=0).tolist()),
        tuple(
            (int(hashes[row]), tuple(np.where(fits[row], lengths[row], 0).tolist()))
            for row in first
        ),
    )


def add_lengths(parts: Iterable[Lengths]) -> Lengths:
    """The lengths of a source from those of its parts."""
    rows, totals, sample = 0, np.zeros(0, dtype=np.int64), list[tuple[int, tuple[int, ...]]]()
    for part in parts:
        rows += part.rows
        new = np.array(part.totals, dtype=np.int64)
        totals = new if not len(totals) else totals + new
        sample = sorted([*sample, *part.sample])[:SAMPLE]
    return Lengths(rows, tuple(totals.tolist()), tuple(sample))


def lengths_of(corpora: Mapping[str, Sequence[str]], rules: LengthRules) -> dict[str, Lengths]:
    """Those of sources, measured one part after the other in this process.

    Args:
        corpora: paths of the parts by source.
    """
    return {
        name: add_lengths(measure(path, rules) for path in paths) for name, paths in corpora.items()
    }


def with_sequences(
    counts: Mapping[str, SourceCounts], lengths: Mapping[str, Lengths], rules: LengthRules
) -> dict[str, SourceCounts]:
    """The counts with the sequences that a pass over each source fills, if they were all full."""
    found = {}
    for name, item in counts.items():
        own = lengths.get(name, Lengths())
        rows = item.rows / max(1, own.rows)
        filled = tuple(rows * total / rules.capacity for total in own.totals)
        found[name] = SourceCounts(item.rows, item.answer_tokens, item.delivered, filled)
    return found


def typical(
    text: float, turns: float, images: float, size: tuple[int, int], rules: LengthRules
) -> Lengths:
    """What is expected of a source before it is read: one row, average in everything.

    Args:
        text: tokens.
        turns: 0 for a document.
        size: of an image, (width, height) in pixels.
    """
    layout = _layout(rules.tokenizer, rules.tile)
    frame = layout.turn * turns + layout.conversation if turns else layout.document
    grids = [tile_grid(*size, edge, rules.tile, rules.upscale) for edge in rules.edges]
    lengths = tuple(round(text + frame + images * layout.block(*grid)) for grid in grids)
    return Lengths(1, lengths, ((0, lengths),))


def packed(
    counts: Mapping[str, SourceCounts],
    lengths: Mapping[str, Lengths],
    allocations: Iterable[Allocation],
    rules: LengthRules,
) -> dict[str, SourceCounts]:
    """The counts of `with_sequences`, with sequences as full as packing makes them.

    Args:
        allocations: solved from these counts; they say how rows are mixed.
    """
    full = _fullness({a.source: a.rows for a in allocations}, lengths, rules)
    return {
        name: SourceCounts(
            item.rows,
            item.answer_tokens,
            item.delivered,
            tuple(n / part for n, part in zip(item.sequences, full, strict=True)),
        )
        for name, item in counts.items()
        if len(item.sequences) == len(full)
    }


def _fullness(
    rows: Mapping[str, int], lengths: Mapping[str, Lengths], rules: LengthRules
) -> list[float]:
    """How full sequences are at each edge, 0 to 1.

    Args:
        rows: of the mixture by source.
    """
    total = max(1, sum(rows.values()))
    found = []
    for number in range(len(rules.edges)):
        packs = tokens = 0
        for window in range(_WINDOWS):
            items: list[int] = []
            for name in sorted(rows):
                sample = lengths[name].sample if name in lengths else ()
                count = round(_WINDOW * rows[name] / total)
                picked = (sample[(window * count + k) % len(sample)] for k in range(count)
                          if sample)  # fmt: skip
                items += [item for _, row in picked for item in _pieces(row[number], rules)]
            packs += len(pack(items, rules.capacity))
            tokens += sum(items)
        found.append(tokens / (packs * rules.capacity) if packs else 1.0)
    return found


def _pieces(length: int, rules: LengthRules) -> list[int]:
    """A row as items to pack; a long document is several."""
    whole, rest = divmod(length, rules.capacity)
    return [rules.capacity] * whole + ([rest] if rest else [])


class _Layout:
    """The tokens beside those of texts, as the trainer's `TokenLayout` makes them.

    Attributes:
        conversation, turn, document: tokens of a conversation beside its turns, of a turn beside
            its texts, and of a document beside its texts: template and special tokens.
    """

    def __init__(self, counter: TokenCounter, tile: int) -> None:
        self._counter, self._per_tile = counter, tokens_per_tile(tile)
        user, assistant, line = counter.count(["User:", "\nAssistant:", "\n"])
        # A special token at the start, and one at the end of each message.
        self.conversation = 1 + line
        self.turn = user + assistant + 2 + line
        self.document = 2
        self.block = lru_cache(maxsize=None)(self._block)

    def _block(self, rows: int, columns: int) -> int:
        """Tokens of an image in a grid of this size, markers included."""
        tiles = [
            f"<row_{row}_col_{column}>"
            for row in range(1, rows + 1)
            for column in range(1, columns + 1)
        ]
        whole = self._per_tile + 2 + self._counter.count(["<global-img>"])[0]
        if len(tiles) == 1:
            return whole
        marks = sum(self._counter.count(tiles)) + len(tiles)
        ends = sum(self._counter.count(["\n"] * (rows + 1)))
        return len(tiles) * self._per_tile + marks + ends + whole


@lru_cache(maxsize=8)
def _layout(tokenizer: str, tile: int) -> _Layout:
    return _Layout(token_counter(tokenizer), tile)


def _images(infos: pa.ListArray, edge: int, layout: _Layout, rules: LengthRules) -> Numbers:
    """Tokens of all images of each row."""
    fields = infos.flatten()
    width, height = (np.asarray(fields.field(name)).astype(np.int64) for name in
                     ("width", "height"))  # fmt: skip
    sizes, at = np.unique(np.stack([width, height], 1), axis=0, return_inverse=True)
    tokens = np.array(
        [
            layout.block(*tile_grid(w, h, edge, rules.tile, rules.upscale))
            for w, h in sizes.tolist()
        ],
        dtype=np.int64,
    )
    sums = np.zeros(len(infos), dtype=np.int64)
    np.add.at(sums, _numbers(pc.list_parent_indices(infos)), tokens[at.ravel()])
    return sums


def _numbers(column: Any) -> Numbers:
    return np.asarray(column).astype(np.int64)
