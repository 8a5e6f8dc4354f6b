"""What a worker does: measure the rows of a window, and build packs from them.

Measuring encodes each row's text once, so that lengths are exact whatever tokenizer counted the
mixture; the ids stay until the round is over, and building a pack uses them again. Images are
read, by a thread of their own, when a pack that needs their row group is announced.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from cauldron.training.data.bad_rows import BadRow, Skipped
from cauldron.training.data.order import PackPosition, RowGroup
from cauldron.training.data.pack import Tokens
from cauldron.training.data.plan import MeasuredRow, PackedWindow, PackRules, RowRef, pack_window
from cauldron.training.data.prompts import Document, Text
from cauldron.training.data.rows import ImageRows, ShardReader, TextRows
from cauldron.training.data.tiles import cut, decode
from torch import Tensor

from cauldron.core.tiles import resize_steps

Round = tuple[int, int]
# Memory for tiles: shape (tiles, side, side, 3).
Allocate = Callable[[int], Tensor]


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """What a worker must know. `left_out`: sources whose rows are passed over."""

    shards: tuple[str, ...]
    rules: PackRules
    left_out: frozenset[str]


@dataclass(frozen=True, slots=True)
class MeasureTask:
    """Measure a window of a round, (epoch, number), and pack its rows for an edge."""

    round: Round
    window: int
    groups: tuple[RowGroup, ...]
    edge: int


@dataclass(frozen=True, slots=True)
class Measured:
    """The rows of a window in order, those of no use among them; the others in packs."""

    found: list[MeasuredRow | Skipped]
    packed: PackedWindow


@dataclass(frozen=True, slots=True)
class BuildTask:
    """Build one pack.

    Attributes:
        edge: longest side of its images, pixels.
        tiles: how many they make.
        images: the row groups that its images are in.
        oldest: the first round that a pack of the same step is of. None: its own. A step is
            dealt by cost, so its packs are not built in the global order.
    """

    position: PackPosition
    rows: tuple[RowRef, ...]
    edge: int
    tiles: int
    images: frozenset[RowGroup]
    oldest: Round | None = None

    @property
    def round(self) -> Round:
        return self.position.epoch, self.position.round


@dataclass(frozen=True, slots=True)
class Built:
    """A pack's tokens and how many tiles they go with, and its rows' outcomes in order."""

    position: PackPosition
    tokens: Tokens
    tiles: int
    outcomes: tuple[Skipped | None, ...]


class _RoundRows:
    """The rows of one round that this worker has met."""

    def __init__(self) -> None:
        self.groups: dict[RowGroup, TextRows] = {}
        self.texts: dict[RowRef, Text] = {}
        self.images: dict[RowGroup, Future[ImageRows]] = {}


class Workbench:
    """Measures and builds; one for each worker."""

    def __init__(self, settings: BenchSettings) -> None:
        self._settings = settings
        self._layout = settings.rules.layout
        self._text_reader = ShardReader(settings.shards)
        self._image_reader = ShardReader(settings.shards)
        self._fetcher = ThreadPoolExecutor(1, thread_name_prefix="images")
        self._rounds: dict[Round, _RoundRows] = {}

    def measure(self, task: MeasureTask) -> Measured:
        """Measure and pack a window."""
        rows = self._rounds.setdefault(task.round, _RoundRows())
        found: list[MeasuredRow | Skipped] = []
        for group in task.groups:
            texts = self._texts(rows, group)
            for number, source in enumerate(texts.sources):
                if source not in self._settings.left_out:
                    found.append(self._measured(rows, texts, (group, number)))
        good = [row for row in found if isinstance(row, MeasuredRow)]
        rules, place = self._settings.rules, (*task.round, task.window, 0)
        return Measured(found, pack_window(good, task.edge, rules, *place))

    def announce(self, task: BuildTask) -> None:
        """Start to read the images that a pack needs; does not wait, and does not fail."""
        rows = self._rounds.setdefault(task.round, _RoundRows())
        for group in task.images - rows.images.keys():
            fetch = self._image_reader.images
            rows.images[group] = self._fetcher.submit(fetch, group, self._settings.left_out)

    def build(self, task: BuildTask, allocate: Allocate) -> Built:
        """Build an announced pack. A row that turns out bad is left out, and the pack shorter.

        What rounds before its step needed is let go.
        """
        for old in [key for key in self._rounds if key < (task.oldest or task.round)]:
            del self._rounds[old]
        rows = self._rounds[task.round]
        tiles = allocate(task.tiles)
        documents: list[Document] = []
        sources: list[str] = []
        outcomes: list[Skipped | None] = []
        filled = 0
        for ref in task.rows:
            texts = self._texts(rows, ref[0])
            try:
                document, end = self._document(rows, ref, task.edge, tiles[filled:])
            except BadRow as error:
                outcomes.append(self._skipped(texts, ref, error))
                continue
            filled += end
            documents.append(document)
            sources.append(texts.sources[ref[1]])
            outcomes.append(None)
        if not documents:
            documents, sources = [self._layout.filler], ["filler"]
        return Built(task.position, Tokens.of(documents, sources), filled, tuple(outcomes))

    @property
    def held(self) -> set[Round]:
        """Rounds whose rows are in memory."""
        return set(self._rounds)

    def close(self) -> None:
        """Stop reading ahead."""
        self._fetcher.shutdown(cancel_futures=True)

    def _texts(self, rows: _RoundRows, group: RowGroup) -> TextRows:
        if group not in rows.groups:
            rows.groups[group] = self._text_reader.text(group)
        return rows.groups[group]

    def _text(self, rows: _RoundRows, ref: RowRef) -> Text:
        if ref not in rows.texts:
            rows.texts[ref] = self._layout.encode(self._texts(rows, ref[0]).messages[ref[1]])
        return rows.texts[ref]

    def _measured(self, rows: _RoundRows, texts: TextRows, ref: RowRef) -> MeasuredRow | Skipped:
        sizes = texts.sizes[ref[1]]
        try:
            text = self._text(rows, ref)
            if text.images != len(sizes):
                raise BadRow("images_mismatch", f"{text.images} in text, {len(sizes)} stored")
            if any(min(size) <= 0 for size in sizes):
                raise BadRow("image_unreadable", "recorded without a size")
        except BadRow as error:
            return self._skipped(texts, ref, error)
        plain, learned = len(text.ids) - text.images, int(text.supervised.sum())
        return MeasuredRow(ref, texts.sources[ref[1]], plain, learned, tuple(sizes))

    def _document(
        self, rows: _RoundRows, ref: RowRef, edge: int, tiles: Tensor
    ) -> tuple[Document, int]:
        """The document of a row, and how many tiles of `tiles` it has filled."""
        text = self._text(rows, ref)
        sizes = self._texts(rows, ref[0]).sizes[ref[1]]
        images = rows.images[ref[0]].result()[ref[1]] if sizes else []
        if len(images) != len(sizes):
            raise BadRow("images_mismatch", f"{len(images)} stored, {len(sizes)} recorded")
        side, upscale, filled = self._layout.tile, self._settings.rules.upscale, 0
        grids = []
        for data, size in zip(images, sizes, strict=True):
            steps = resize_steps(*size, edge, side, upscale)
            grids.append((steps[-1][0] // side, steps[-1][1] // side))
            count = grids[-1][0] * grids[-1][1]
            end = filled + count + (count > 1)
            cut(decode(data, *size), steps, tiles[filled:end])
            filled = end
        return self._layout.expand(text, grids), filled

    def _skipped(self, texts: TextRows, ref: RowRef, error: BadRow) -> Skipped:
        group, number = ref
        shard = self._settings.shards[group.shard].rpartition("/")[2]
        return Skipped(
            texts.ids[number], texts.sources[number], f"{shard} row group {group.number}",
            number, error.reason, error.message,
        )  # fmt: skip


def plain_memory(side: int) -> Allocate:
    """Tiles in this process' own memory."""
    return lambda tiles: torch.empty((tiles, side, side, 3), dtype=torch.uint8)
