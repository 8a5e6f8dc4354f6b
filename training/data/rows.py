"""Reading the rows of a mixture's shards: text and image sizes, and image bytes.

The two are read separately. Text and sizes are one percent of a shard, and every rank reads them
for every row. Images are read only by the worker that builds a pack from them. Image bytes stay in
Arrow's buffer, one for a row group; a row's images are views into it. Each row is one copy of a
sample; packing makes a document of it.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.training.data.sampler import RowGroup
from cauldron.training.data.tokenization import Message
from fsspec.implementations.local import LocalFileSystem

from cauldron.core import storage
from cauldron.core.errors import CauldronError

_TEXT = [
    *("id", "source", "messages"),
    "image_info.list.element.width",
    "image_info.list.element.height",
]
_IMAGES = ["images.list.element.bytes"]
_OPEN_SHARDS = 8
_FOOTERS_AT_A_TIME = 16

Int32 = npt.NDArray[np.int32]


def row_groups(shards: Sequence[str]) -> tuple[RowGroup, ...]:
    """The row groups of all shards, in order. Reads the shards' footers in parallel."""

    def of(shard: int) -> list[RowGroup]:
        footer = _open(shards[shard]).metadata
        sizes = [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]
        return [RowGroup(shard, number, rows) for number, rows in enumerate(sizes) if rows]

    with ThreadPoolExecutor(_FOOTERS_AT_A_TIME) as pool:
        return tuple(group for found in pool.map(of, range(len(shards))) for group in found)


@dataclass(frozen=True)
class TextRows:
    """The rows of a row group without their images.

    Attributes:
        sources: each row's own source, or that of its first turn in use if its own is excluded.
        used: numbers of the rows that have a turn in use, ascending.
        sizes: (width, height) in pixels of each image, by row.
    """

    ids: list[str]
    sources: list[str]
    used: list[int]
    messages: list[list[Message]]
    sizes: list[list[tuple[int, int]]]


class ImageRows:
    """The images of a row group, as they are stored.

    Args:
        rows: the rows to keep; None: all.
    """

    def __init__(self, column: pa.ListArray, rows: Sequence[int] | None = None) -> None:
        self._place = None
        if rows is not None:
            column = column.take(pa.array(rows, pa.int32()))
            self._place = {row: place for place, row in enumerate(rows)}
        data = column.flatten().field("bytes")
        self._firsts = _offsets(column)
        _, offsets, values = data.buffers()
        self._bounds = np.frombuffer(offsets, np.int32)[data.offset : data.offset + len(data) + 1]
        self._values = memoryview(b"" if values is None else values)

    def __getitem__(self, row: int) -> list[memoryview]:
        """The bytes of each image of a row, as views."""
        place = row if self._place is None else self._place[row]
        first, last = self._firsts[place], self._firsts[place + 1]
        return [self._values[self._bounds[i] : self._bounds[i + 1]] for i in range(first, last)]


class ShardReader:
    """Reads row groups by number and keeps a few shards open. Not thread-safe."""

    def __init__(self, shards: Sequence[str]) -> None:
        self._shards = shards
        self._files: OrderedDict[int, pq.ParquetFile] = OrderedDict()

    def text(self, group: RowGroup, excluded: frozenset[str] = frozenset()) -> TextRows:
        """Args: excluded: sources whose turns are left out."""
        table = self._read(group, [*_TEXT, "turn_sources"] if excluded else _TEXT)
        sources, messages = (
            table["source"].to_pylist(),
            _messages(table["messages"].combine_chunks()),
        )
        used = list(range(len(sources)))
        if excluded:
            of_turns = table["turn_sources"].to_pylist()
            used = _used_rows(of_turns, excluded)
            for row in used:
                messages[row] = _without(messages[row], of_turns[row], excluded)
                if sources[row] in excluded:
                    sources[row] = next(name for name in of_turns[row] if name not in excluded)
        widths, heights = (
            _lists(table["image_info"].combine_chunks(), name) for name in ("width", "height")
        )
        return TextRows(
            ids=table["id"].to_pylist(),
            sources=sources,
            used=used,
            messages=messages,
            sizes=[list(zip(*size, strict=True)) for size in zip(widths, heights, strict=True)],
        )

    def images(self, group: RowGroup, excluded: frozenset[str] = frozenset()) -> ImageRows:
        """Args: excluded: sources whose images are not kept in memory."""
        if not excluded:
            return ImageRows(self._read(group, _IMAGES)["images"].combine_chunks())
        table = self._read(group, [*_IMAGES, "turn_sources"])
        kept = _used_rows(table["turn_sources"].to_pylist(), excluded)
        return ImageRows(table["images"].combine_chunks(), kept)

    def _read(self, group: RowGroup, columns: list[str]) -> pa.Table:
        path = self._shards[group.shard]
        try:
            file = self._files.pop(group.shard, None) or _open(path)
            self._files[group.shard] = file
            while len(self._files) > _OPEN_SHARDS:
                self._files.popitem(last=False)[1].close()
            return file.read_row_group(group.number, columns=columns, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise CauldronError(
                f"{path}: cannot read row group {group.number}: {_first_line(error)}; "
                "check the mixture with cauldron verify"
            ) from error


def _used_rows(of_turns: Sequence[Sequence[str]], excluded: frozenset[str]) -> list[int]:
    """The rows with a turn of a source that is not excluded."""
    return [row for row, names in enumerate(of_turns) if not excluded.issuperset(names)]


def _without(
    messages: list[Message], sources: Sequence[str], excluded: frozenset[str]
) -> list[Message]:
    """The messages without the turns of excluded sources; the images stay in the first turn.

    Args:
        sources: of each turn, a question and its answer.
    """
    if excluded.isdisjoint(sources):
        return messages
    start = len(messages) - 2 * len(sources)  # after a system message
    images: list[str | None] = [part for part in messages[start][1] if part is None]
    kept = messages[:start]
    for turn, source in enumerate(sources):
        if source not in excluded:
            (asker, question), answer = messages[start + 2 * turn : start + 2 * turn + 2]
            text = [part for part in question if part is not None]
            kept += [(asker, [*images, *text]), answer]
            images = []
    return kept


def _open(path: str) -> pq.ParquetFile:
    fs, bare = storage.filesystem(path)
    try:
        if isinstance(fs, LocalFileSystem):
            return pq.ParquetFile(bare, memory_map=True)
        # One request per read, for exactly its range; pre_buffer joins the columns of a row group.
        return pq.ParquetFile(fs.open(bare, "rb", cache_type="none"), pre_buffer=True)
    except FileNotFoundError:
        raise CauldronError(
            f"{path}: the mixture's manifest listed this shard and it is not there; run this again "
            "if a build has replaced the mixture, or check it with cauldron verify"
        ) from None
    except (OSError, pa.ArrowException) as error:
        raise CauldronError(f"{path}: not a readable shard: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _offsets(column: pa.ListArray) -> list[int]:
    """Where each list starts in the flattened values, and the end of the last."""
    offsets = column.offsets.to_numpy(zero_copy_only=False)
    return [int(offset) for offset in offsets - offsets[0]]


def _lists(column: pa.ListArray, field: str) -> list[list[int]]:
    values, firsts = column.flatten().field(field).to_pylist(), _offsets(column)
    return [values[a:b] for a, b in itertools.pairwise(firsts)]


def _messages(column: pa.ListArray) -> list[list[Message]]:
    """Converts flat columns and slices them: several times as fast as a nested `to_pylist`."""
    messages = column.flatten()
    roles, contents = messages.field("role").to_pylist(), messages.field("content")
    parts = contents.flatten()
    types, texts = parts.field("type").to_pylist(), parts.field("text").to_pylist()
    flat = [None if t == "image" else s or "" for t, s in zip(types, texts, strict=True)]
    starts = _offsets(contents)
    content = [flat[a:b] for a, b in itertools.pairwise(starts)]
    whole: list[Message] = list(zip(roles, content, strict=True))
    firsts = _offsets(column)
    return [whole[a:b] for a, b in itertools.pairwise(firsts)]
