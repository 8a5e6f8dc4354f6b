"""The work of a loader worker: measure the rows of a window, and build packs from them.

Measuring encodes each row's text once, so lengths are exact whichever tokenizer counted the
mixture. The ids are kept until the round is over and used again to build packs. A separate thread
prefetches the images of each pack's row groups.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from cauldron.training.data.bad_rows import BadRow, SkippedRow
from cauldron.training.data.collate import PackTokens
from cauldron.training.data.packing import MeasuredRow, PackedWindow, PackRules, RowRef, pack_window
from cauldron.training.data.rows import ImageRows, ShardReader, TextRows
from cauldron.training.data.sampler import PackPosition, RowGroup
from cauldron.training.data.tiles import decode, split_into_tiles
from cauldron.training.data.tokenization import Document, EncodedText
from torch import Tensor

from cauldron.core.tiles import resize_steps

Round = tuple[int, int]
# Memory for tiles: shape (tiles, side, side, 3).
Allocate = Callable[[int], Tensor]


@dataclass(frozen=True, slots=True)
class BuilderSettings:
    """What a worker needs. `excluded`: sources whose turns are not used."""

    shards: tuple[str, ...]
    rules: PackRules
    excluded: frozenset[str]


@dataclass(frozen=True, slots=True)
class MeasureTask:
    """Measure a window of a round, (epoch, number), and pack its rows for a longest edge."""

    round: Round
    window: int
    groups: tuple[RowGroup, ...]
    edge: int


@dataclass(frozen=True, slots=True)
class MeasuredWindow:
    """All rows of a window in order, and the packs of the good ones."""

    rows: list[MeasuredRow | SkippedRow]
    packed: PackedWindow


@dataclass(frozen=True, slots=True)
class BuildTask:
    """Build one pack.

    Attributes:
        edge: longest edge of its images, in pixels.
        tiles: number of tiles of all its images.
        images: the row groups that hold its images.
        oldest: the first round that the step has packs of. None: the pack's own. Packs of a step
            are assigned by cost, so they are not built in the global order.
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
class BuiltPack:
    """The tokens and the number of tiles of a pack; for each row why it was skipped, or None."""

    position: PackPosition
    tokens: PackTokens
    tiles: int
    outcomes: tuple[SkippedRow | None, ...]


class _RoundCache:
    """What this worker has read of one round."""

    def __init__(self) -> None:
        self.groups: dict[RowGroup, TextRows] = {}
        self.texts: dict[RowRef, EncodedText] = {}
        self.images: dict[RowGroup, Future[ImageRows]] = {}


class PackBuilder:
    """Measures windows and builds packs; one in each worker."""

    def __init__(self, settings: BuilderSettings) -> None:
        self._settings = settings
        self._layout = settings.rules.layout
        self._text_reader = ShardReader(settings.shards)
        self._image_reader = ShardReader(settings.shards)
        self._fetcher = ThreadPoolExecutor(1, thread_name_prefix="images")
        self._rounds: dict[Round, _RoundCache] = {}

    def measure(self, task: MeasureTask) -> MeasuredWindow:
        """Measure and pack a window."""
        cache = self._rounds.setdefault(task.round, _RoundCache())
        rows: list[MeasuredRow | SkippedRow] = []
        for group in task.groups:
            texts = self._texts(cache, group)
            rows += [self._measured(cache, texts, RowRef(group, number)) for number in texts.used]
        good = [row for row in rows if isinstance(row, MeasuredRow)]
        rules, place = self._settings.rules, (*task.round, task.window, 0)
        return MeasuredWindow(rows, pack_window(good, task.edge, rules, *place))

    def prefetch(self, task: BuildTask) -> None:
        """Start reading the images of a pack; `build` raises what fails here."""
        cache = self._rounds.setdefault(task.round, _RoundCache())
        for group in task.images - cache.images.keys():
            fetch = self._image_reader.images
            cache.images[group] = self._fetcher.submit(fetch, group, self._settings.excluded)

    def build(self, task: BuildTask, allocate: Allocate) -> BuiltPack:
        """Build a prefetched pack, without the rows that turn out to be bad.

        Rows of rounds before its step are released.
        """
        for old in [key for key in self._rounds if key < (task.oldest or task.round)]:
            del self._rounds[old]
        cache = self._rounds[task.round]
        tiles = allocate(task.tiles)
        documents: list[Document] = []
        sources: list[str] = []
        outcomes: list[SkippedRow | None] = []
        filled = 0
        for ref in task.rows:
            texts = self._texts(cache, ref.group)
            try:
                document, end = self._document(cache, ref, task.edge, tiles[filled:])
            except BadRow as error:
                outcomes.append(self._skipped(texts, ref, error))
                continue
            filled += end
            documents.append(document)
            sources.append(texts.sources[ref.row])
            outcomes.append(None)
        if not documents:
            documents, sources = [self._layout.filler], ["filler"]
        return BuiltPack(task.position, PackTokens.of(documents, sources), filled, tuple(outcomes))

    @property
    def rounds_in_memory(self) -> set[Round]:
        """Rounds whose rows are in memory."""
        return set(self._rounds)

    def close(self) -> None:
        """Stop prefetching."""
        self._fetcher.shutdown(cancel_futures=True)

    def _texts(self, cache: _RoundCache, group: RowGroup) -> TextRows:
        if group not in cache.groups:
            cache.groups[group] = self._text_reader.text(group, self._settings.excluded)
        return cache.groups[group]

    def _text(self, cache: _RoundCache, ref: RowRef) -> EncodedText:
        """The whole row's text, whatever part of it is meant."""
        ref = RowRef(ref.group, ref.row)
        if ref not in cache.texts:
            messages = self._texts(cache, ref.group).messages[ref.row]
            cache.texts[ref] = self._layout.encode(messages)
        return cache.texts[ref]

    def _measured(
        self, cache: _RoundCache, texts: TextRows, ref: RowRef
    ) -> MeasuredRow | SkippedRow:
        sizes = texts.sizes[ref.row]
        try:
            text = self._text(cache, ref)
            if text.images != len(sizes):
                raise BadRow("images_mismatch", f"{text.images} in text, {len(sizes)} stored")
            if any(min(size) <= 0 for size in sizes):
                raise BadRow("image_unreadable", "recorded without a size")
        except BadRow as error:
            return self._skipped(texts, ref, error)
        plain, learned = len(text.ids) - text.images, int(text.supervised.sum())
        bounds = (-1, *text.places, len(text.ids))
        runs = tuple(b - a - 1 for a, b in itertools.pairwise(bounds)) if text.document else ()
        return MeasuredRow(ref, texts.sources[ref.row], plain, learned, tuple(sizes), runs)

    def _document(
        self, cache: _RoundCache, ref: RowRef, edge: int, tiles: Tensor
    ) -> tuple[Document, int]:
        """The document of a row, and how many of `tiles` were filled."""
        text = self._text(cache, ref)
        sizes = self._texts(cache, ref.group).sizes[ref.row]
        span = ref.span or (0, len(text.ids))
        first = bisect.bisect_left(text.places, span[0])
        text = text.part(span)
        images: list[memoryview] = []
        # Images of a pack are read if any row, or part of one, shows some.
        if text.images:
            images = cache.images[ref.group].result()[ref.row]
            if len(images) != len(sizes):
                raise BadRow("images_mismatch", f"{len(images)} stored, {len(sizes)} recorded")
        shown = slice(first, first + text.images)
        images, sizes = images[shown], sizes[shown]
        side, upscale, filled = self._layout.tile, self._settings.rules.upscale, 0
        grids = []
        for data, size in zip(images, sizes, strict=True):
            steps = resize_steps(*size, edge, side, upscale)
            grids.append((steps[-1][0] // side, steps[-1][1] // side))
            count = grids[-1][0] * grids[-1][1]
            end = filled + count + (count > 1)
            split_into_tiles(decode(data, *size), steps, tiles[filled:end])
            filled = end
        return self._layout.expand(text, grids), filled

    def _skipped(self, texts: TextRows, ref: RowRef, error: BadRow) -> SkippedRow:
        group, number, _ = ref
        shard = self._settings.shards[group.shard].rpartition("/")[2]
        return SkippedRow(
            texts.ids[number], texts.sources[number], f"{shard} row group {group.number}",
            number, error.reason, error.message,
        )  # fmt: skip


def local_memory(side: int) -> Allocate:
    """Allocates tiles in this process's own memory."""
    return lambda tiles: torch.empty((tiles, side, side, 3), dtype=torch.uint8)
