"""The names of the images in a parquet file, read without the images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from cauldron.sources.formats.parquet_files import (
    Columns,
    ParquetError,
    batch_rows,
    is_corrupt,
    open_parquet,
    size_of,
)
from cauldron.sources.repos.files import Repo
from cauldron.sources.values.images import base_name
from cauldron.sources.values.rows import RowProblem

_IMAGES = "images"


class GroupNames(NamedTuple):
    """The images of a row group.

    Attributes:
        first: row in the file of the group's first row.
        size: compressed bytes of the images.
        rows: for each row the file names of its images, in order, "" for an image without one;
            empty if the names cannot be read.
    """

    first: int
    size: int
    rows: list[list[str]]

    def numbered(self) -> Iterator[tuple[int, list[str]]]:
        """Rows of the file, and their names."""
        return enumerate(self.rows, self.first)


def names_by_group(repo: Repo, path: str, start: int = 0, stop: int = -1) -> list[GroupNames]:
    """Names for row groups `start` to `stop` (-1: all); none for a file that cannot be read."""
    try:
        with open_parquet(repo, path, Columns((_IMAGES,))) as file:
            stop = file.num_row_groups if stop < 0 else stop
            rows = [file.metadata.row_group(i).num_rows for i in range(stop)]
            return [
                GroupNames(
                    sum(rows[:group]),
                    size_of(file.metadata.row_group(group), (_IMAGES,), "total_compressed_size"),
                    _names(file, group, rows[group]),
                )
                for group in range(start, stop)
            ]
    except ParquetError:
        return []  # the configuration that owns the file reports what is wrong with it


def _names(file: Any, group: int, rows: int) -> list[list[str]]:
    leaf = _leaf_of_paths(file)
    if not leaf:
        return []
    names: list[list[str]] = []
    step = batch_rows(file.metadata.row_group(group), [leaf])
    try:
        for batch in file.iter_batches(step, row_groups=[group], columns=[leaf], use_threads=False):
            names += [[_name(image) for image in row or []] for row in batch[_IMAGES].to_pylist()]
    except Exception as error:
        if not is_corrupt(error):
            raise
        return []
    return names if len(names) == rows else []


def _leaf_of_paths(file: Any) -> str:
    """``images.list.element.path``; writers name the list's element differently."""
    leaves = (file.schema.column(i).path for i in range(len(file.schema)))
    wanted = (leaf for leaf in leaves if leaf.split(".")[0] == _IMAGES and leaf.endswith(".path"))
    return next(wanted, "")


def _name(image: Any) -> str:
    path = image.get("path") if isinstance(image, dict) else None
    try:
        return base_name(path) if path else ""
    except RowProblem:
        return ""
