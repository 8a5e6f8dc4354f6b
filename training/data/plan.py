"""From measured rows to the contents of packs. The same in a worker and in the trainer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cauldron.training.data.order import RowGroup, permutation
from cauldron.training.data.packing import pack
from cauldron.training.data.prompts import TokenLayout

from cauldron.core.tiles import Upscale, tile_grid

RowRef = tuple[RowGroup, int]


@dataclass(frozen=True, slots=True)
class PackRules:
    """How rows become packs. `seed`: of the order of rows in a window."""

    layout: TokenLayout
    sequence_length: int
    upscale: Upscale
    seed: int


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """What planning must know of a row.

    Attributes:
        text: tokens without those of images.
        supervised: tokens that are learned.
        sizes: of its images, (width, height).
    """

    ref: RowRef
    source: str
    text: int
    supervised: int
    sizes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class PackedWindow:
    """The rows of a window in packs, by their numbers; those that no sequence holds apart."""

    edge: int
    packs: list[list[int]]
    too_long: list[int]


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
    """Pack the rows of a window. Args: place: of the window, which its order follows from."""
    lengths = [extent(row, edge, rules)[0] for row in rows]
    order = permutation(len(rows), rules.seed, "rows", *place).tolist()
    fitting = [row for row in order if lengths[row] <= rules.sequence_length]
    packs = pack([lengths[row] for row in fitting], rules.sequence_length)
    return PackedWindow(
        edge,
        [[fitting[item] for item in items] for items in packs],
        [row for row, length in enumerate(lengths) if length > rules.sequence_length],
    )
