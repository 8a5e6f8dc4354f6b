"""Read corpus parts, clusters, contamination and ratings as arrays of numbers.

Pixels are never read. Text is read only to hash system prompts of rows with images; the small
column of roles tells whether a part has any, and which rows are documents.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from cauldron.transforms.arrays import Array
from cauldron.transforms.curate.records import CLUSTERED, CONTAMINATED, GONE, LOW_RATING, ROW
from cauldron.transforms.order import id_halves
from cauldron.transforms.pictures.signatures import is_blank
from cauldron.transforms.record_files import text_length

from cauldron.core import storage

_COLUMNS = ["id", "answer_tokens", "turns", "offset", "length"]
_IMAGE_FIELDS = ("width", "height", "ground", "loss", "offset")
_IMAGE_LENGTHS = "image_info.list.element.length"
_IMAGES = [f"image_info.list.element.{name}" for name in _IMAGE_FIELDS]
_ROLES = "messages.list.element.role"


class PartPath(NamedTuple):
    """A part's parquet file; `source` is the source's index in the job."""

    source: int
    part: int
    path: str


def index_part(part: PartPath, pictures: bool = False) -> Array:
    """`ROW` records of a corpus part, in its order.

    Args:
        pictures: fill the fields that only decisions about pictures need; otherwise they stay 0.
    """
    with storage.open_read(part.path) as file:
        # Not `read_table`, which cannot read single leaves of lists.
        parquet = pq.ParquetFile(file)
        table = parquet.read([*_COLUMNS, _IMAGE_LENGTHS, *(_IMAGES if pictures else [])])
        rows = _with_ids(table["id"], ROW)
        rows["source"], rows["part"] = part.source, part.part
        rows["row"] = np.arange(table.num_rows)
        for name in _COLUMNS[1:]:
            rows[name] = table[name].to_numpy()
        images = table["image_info"].combine_chunks()
        rows["image_bytes"] = _sums(images, images.values.field("length").to_numpy())
        if pictures:
            _add_images(rows, images)
            roles = first_roles(parquet)
            rows["document"] = roles == "assistant"
            rows["system"] = _system_hashes(parquet, (roles == "system") & (rows["images"] > 0))
    return rows


def _with_ids(ids: pa.ChunkedArray, dtype: np.dtype[np.void]) -> Array:
    """New records with the given hex ids."""
    records = np.zeros(len(ids), dtype=dtype)
    _set_ids(records, ids)
    return records


def _set_ids(records: Array, ids: pa.ChunkedArray, prefix: str = "") -> None:
    halves = id_halves(ids.to_pylist())
    records[f"{prefix}high"], records[f"{prefix}low"] = halves[:, 0], halves[:, 1]


def _sums(infos: pa.ListArray, values: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """The sum over each row's images."""
    starts = infos.offsets.to_numpy()
    sums = np.append(np.uint64(0), np.cumsum(values, dtype=np.uint64))
    return np.asarray(sums[starts[1:]] - sums[starts[:-1]])


def _add_images(rows: Array, infos: pa.ListArray) -> None:
    starts = infos.offsets.to_numpy()
    rows["images"] = np.diff(starts)
    some = rows["images"] > 0
    fields = {name: infos.values.field(name).to_numpy() for name in _IMAGE_FIELDS}
    pixels = fields["width"].astype(np.uint64) * fields["height"].astype(np.uint64)
    rows["pixels"], rows["loss"] = _sums(infos, pixels), _sums(infos, fields["loss"])
    rows["blank"][some] = np.logical_and.reduceat(is_blank(fields["ground"]), starts[:-1][some])
    first = fields["offset"][starts[:-1][some]]
    rows["text"][some] = text_length(rows["offset"][some], first)


def _system_hashes(
    parquet: pq.ParquetFile, wanted: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each row's first message, a system prompt; 0 if it is not wanted."""
    hashes = np.zeros(len(wanted), dtype=np.uint64)
    found = np.flatnonzero(wanted)
    if len(found):
        first = _first_messages(parquet.read(["messages"]), "content")
        for row, content in zip(found, first.take(pa.array(found)).to_pylist(), strict=True):
            hashes[row] = _hash(content)
    return hashes


def first_roles(parquet: pq.ParquetFile) -> npt.NDArray[Any]:
    """The role of each row's first message; ``assistant`` for a document."""
    roles = _first_messages(parquet.read([_ROLES]), "role")
    return np.asarray(roles.to_pylist(), dtype=object)


def _first_messages(table: pa.Table, field: str) -> pa.Array:
    """A field of each row's first message. Every row has messages."""
    messages = table["messages"].combine_chunks()
    return pc.struct_field(messages.values, [field]).take(messages.offsets[:-1])


def _hash(content: list[dict[str, Any]]) -> int:
    text = "\n".join(part["text"] or "" for part in content)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") or 1


_CLUSTER_COLUMNS = ["id", "image", "cluster", "representative", "distance", "score"]


def clustered_images(path: str) -> Array:
    """`CLUSTERED` records of a file of clusters."""
    with storage.open_read(path) as file:
        table = pq.read_table(file, columns=_CLUSTER_COLUMNS)
    images = _with_ids(table["id"], CLUSTERED)
    _set_ids(images, table["cluster"], "cluster_")
    images["image"] = table["image"].to_numpy()
    # The representative, or an image with equal content or no visible difference.
    same = (table["distance"].to_numpy() == 0) & (table["score"].to_numpy() == 1)
    images["original"] = same | table["representative"].to_numpy()
    return images


def contaminated_rows(path: str) -> Array:
    """`GONE` records of the rows to drop, from a file of contamination."""
    with storage.open_read(path) as file:
        table = pq.read_table(file, columns=["id", "removed"])
    rows = _with_ids(table.filter(table["removed"])["id"], GONE)
    rows["why"] = CONTAMINATED
    return rows


def low_rated_rows(path: str, least: Mapping[str, int]) -> Array:
    """`GONE` records of the rows to drop, from a file of ratings.

    Args:
        least: the smallest rating that each turn may have, by scale. No rating is not a low one.
    """
    with storage.open_read(path) as file:
        table = pq.read_table(file, columns=["id", "scale", "rating"])
    low = [
        pc.and_(pc.equal(table["scale"], scale), pc.less(table["rating"], rating))
        for scale, rating in least.items()
    ]
    rows = _with_ids(pc.unique(table.filter(reduce(pc.or_, low))["id"]), GONE)
    rows["why"] = LOW_RATING
    return rows
