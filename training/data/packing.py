"""Rows of a window to packs: how long a row is, where a long document is cut, and what fits.

A conversation that is longer than a sequence is left out: without its beginning, an answer is about
nothing. A pre-training document may be cut instead (`PackRules.cut_documents`), see `cut_document`.
How items fill packs is in `cauldron.core.packing`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from cauldron.training.data.sampler import RowGroup, permutation
from cauldron.training.data.tokenization import TokenLayout

from cauldron.core.packing import pack
from cauldron.core.tiles import Upscale, tile_grid

Span = tuple[int, int]


class RowRef(NamedTuple):
    """A row of a mixture, or a part of one.

    Attributes:
        row: its number in the row group.
        span: the first token and one past the last, with one token for each image; None: all.
    """

    group: RowGroup
    row: int
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class PackRules:
    """How rows become packs.

    Attributes:
        seed: of the order of rows in a window.
        cut_documents: a document that is longer than a sequence is cut; otherwise it is left out.
    """

    layout: TokenLayout
    sequence_length: int
    upscale: Upscale
    seed: int
    cut_documents: bool = False


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """What packing must know of a row.

    Attributes:
        text: number of tokens, image tokens not counted.
        supervised: number of tokens that count in the loss.
        sizes: (width, height) of each image.
        runs: of a document, the tokens before the first image, between images, and after the last;
            empty for a conversation.
    """

    ref: RowRef
    source: str
    text: int
    supervised: int
    sizes: tuple[tuple[int, int], ...]
    runs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PackedWindow:
    """The packs of a window and the rows too long for any pack, as numbers of rows.

    Attributes:
        rows: those of the window, with the parts of a cut document in its place.
    """

    edge: int
    packs: list[list[int]]
    too_long: list[int]
    rows: Sequence[MeasuredRow]


def extent(row: MeasuredRow, edge: int, rules: PackRules) -> tuple[int, int]:
    """Tokens and tiles of a row whose images are scaled to `edge`."""
    length, tiles = row.text, 0
    for width, height in row.sizes:
        rows, columns = tile_grid(width, height, edge, rules.layout.tile, rules.upscale)
        length += rules.layout.block_length(rows, columns)
        tiles += rows * columns + (rows * columns > 1)
    return length, tiles


def pack_window(
    rows: Sequence[MeasuredRow], edge: int, rules: PackRules, *place: int
) -> PackedWindow:
    """Pack the rows of a window. Args: place: of the window; its order depends on it.

    The same in a worker and in the trainer.
    """
    if rules.cut_documents:
        rows = [part for row in rows for part in cut_document(row, edge, rules)]
    lengths = [extent(row, edge, rules)[0] for row in rows]
    order = permutation(len(rows), rules.seed, "rows", *place).tolist()
    fitting = [row for row in order if lengths[row] <= rules.sequence_length]
    packs = pack([lengths[row] for row in fitting], rules.sequence_length)
    return PackedWindow(
        edge,
        [[fitting[item] for item in items] for items in packs],
        [row for row, length in enumerate(lengths) if length > rules.sequence_length],
        rows,
    )


def cut_document(row: MeasuredRow, edge: int, rules: PackRules) -> Iterator[MeasuredRow]:
    """The parts of a document that each fit into a sequence; the row itself if it fits.

    A cut is before an image, so that a text keeps the image it follows. Only a text that alone is
    longer than a sequence is cut inside. The tokens of an image always stay together: if they are
    more than a sequence has, the row is not cut, and is too long.
    """
    blocks = [extent(_one_image(row, size), edge, rules)[0] for size in row.sizes]
    room = rules.sequence_length
    fits = row.text + sum(blocks) <= room
    if fits or not row.runs or max(blocks, default=0) > room:
        yield row
        return
    cuts = _cuts([0, *blocks], row.runs, room)
    first = 0 if row.ref.span is None else row.ref.span[0]
    ends = (*cuts, len(row.sizes) + row.text)
    for start, stop in itertools.pairwise((0, *ends)):
        if stop > start:
            yield _part(row, first, start, stop)


def _one_image(row: MeasuredRow, size: tuple[int, int]) -> MeasuredRow:
    return replace(row, text=0, sizes=(size,))


def _cuts(blocks: Sequence[int], runs: Sequence[int], room: int) -> list[int]:
    """Where the parts after the first begin: numbers of tokens, with one for each image.

    Args:
        blocks: tokens of each image; 0 before the first run.
        runs: tokens of the text after it.
    """
    cuts, at, used = [], 0, 0
    for number, (block, run) in enumerate(zip(blocks, runs, strict=True)):
        if used and used + block + run > room:
            cuts.append(at)
            used = 0
        at += number > 0
        used += block
        while used + run > room:
            at += room - used
            run -= room - used
            cuts.append(at)
            used = 0
        at, used = at + run, used + run
    return cuts


def _part(row: MeasuredRow, first: int, start: int, stop: int) -> MeasuredRow:
    """Some tokens of a document. Args: first: number of its first token in the whole row."""
    places = list(itertools.accumulate((run + 1 for run in row.runs[:-1]), initial=-1))[1:]
    inside = [number for number, place in enumerate(places) if start <= place < stop]
    edges = [start, *(places[number] for number in inside), stop]
    runs = [b - a for a, b in itertools.pairwise(edges)]
    runs[1:] = [run - 1 for run in runs[1:]]
    text = sum(runs)
    return MeasuredRow(
        RowRef(row.ref.group, row.ref.row, (first + start, first + stop)),
        row.source,
        text,
        # The first token of a part is nobody's target.
        text - (runs[0] > 0),
        tuple(row.sizes[number] for number in inside),
        tuple(runs),
    )
