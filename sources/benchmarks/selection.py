"""Which files of a benchmark are read: tables if there are any, else images.

Every split that a benchmark is scored on is read, because any may leak. A ``train`` split is left
out if there are other splits: DocVQA, TextVQA and ChartQA ship theirs in the same repository,
models are trained on it, and keeping its pictures out would empty the training set of the same
name. To read it, name its file or folder.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from cauldron.sources.benchmarks.folder import METADATA
from cauldron.sources.benchmarks.places import Place
from cauldron.sources.benchmarks.values import IMAGE_SUFFIXES, UNREAD_SUFFIXES
from cauldron.sources.formats.shards import Missing, choose_shards
from cauldron.sources.repos.files import FileInfo

from cauldron.core.errors import SourceUnavailable

TABLE_SUFFIXES = (".parquet", ".tsv")

_TRAINED_ON = {"train", "training"}
_SCORED_ON = {"test", "testmini", "val", "valid", "validation", "dev", "eval"}
_NUMBERED = re.compile(r"-\d{5}-of-\d{5}")
_NAMED = 6


@dataclass
class Selection:
    """The files of a benchmark that are read.

    Attributes:
        tables, images: one of them is empty.
        metadata: metadata files of the images.
        beside: image files that rows of the tables may name.
        notes: what is read and what is left unread, a line each.
    """

    tables: list[FileInfo] = field(default_factory=list)
    images: list[FileInfo] = field(default_factory=list)
    metadata: list[FileInfo] = field(default_factory=list)
    beside: list[FileInfo] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[FileInfo]:
        found = [*self.tables, *self.images, *self.metadata]
        return sorted(found, key=lambda file: file.path)


def select(place: Place) -> Selection:
    """Choose among the files of a place.

    Raises:
        UsageError: it has no such configuration.
        SourceUnavailable: no file can be read, a shard is missing, or a picture of a folder is in a
            format that is not read.
    """
    there = [file for file in place.files() if not _base(file.path).startswith(".")]
    tables = [file for file in there if file.path.lower().endswith(TABLE_SUFFIXES)]
    images = [file for file in there if file.path.lower().endswith(IMAGE_SUFFIXES)]
    if not tables and not images:
        names = _some(file.path for file in there) or "it is empty"
        why = f"no parquet, TSV or image file there ({names})"
        raise SourceUnavailable(place.repo.id, why, "unpack archives first")
    found = Selection()
    kept = _scored(tables or images, found.notes, is_table=bool(tables), everything=place.only)
    if tables:
        found.tables = _whole_sets(kept, place, found.notes)
        found.beside = images
    else:
        _refuse_unread(there, place)
        found.images = kept
        found.metadata = [file for file in there if _base(file.path) in METADATA]
    _note_what_is_read(found)
    return found


def _refuse_unread(files: list[FileInfo], place: Place) -> None:
    """Raise if a picture is in a format that is not read: its copies would stay in unnoticed."""
    unread = [file.path for file in files if file.path.lower().endswith(UNREAD_SUFFIXES)]
    if unread:
        why = f"{len(unread)} pictures in formats that are not read ({_some(unread)})"
        remedy = "convert them to PNG or JPEG, or move them out of the folder"
        raise SourceUnavailable(place.repo.id, why, remedy)


def _scored(
    files: list[FileInfo], notes: list[str], is_table: bool, everything: str
) -> list[FileInfo]:
    """The files without the splits that models are trained on."""
    kept = [file for file in files if not _is_train(file.path, is_table)]
    if everything or not kept:
        return files
    if len(kept) < len(files):
        left = _some(file.path for file in files if file not in kept)
        notes.append(f"not read, because a train split is there to be trained on: {left}")
    return kept


def _is_train(path: str, is_table: bool) -> bool:
    *folders, name = PurePosixPath(path.lower()).parts
    if _TRAINED_ON & set(folders):
        return True
    words = set(re.split(r"[^a-z]+", PurePosixPath(name).stem)) if is_table else set()
    return bool(words & _TRAINED_ON) and not words & _SCORED_ON


def _whole_sets(tables: list[FileInfo], place: Place, notes: list[str]) -> list[FileInfo]:
    """The tables, with exactly one set of numbered shards.

    A missing shard is an error, because its pictures could stay in the training data unnoticed.
    """
    numbered = [file for file in tables if _NUMBERED.search(file.path)]
    shards = choose_shards(numbered)
    missing = [name for slot in shards.slots if isinstance(slot, Missing) for name in slot.names()]
    if missing and not place.only:
        why = f"{len(missing)} shards are missing ({_some(missing)})"
        raise SourceUnavailable(place.repo.id, why, "complete the download, or name single files")
    notes += shards.notes
    plain = [file for file in tables if file not in numbered]
    return sorted([*shards.files, *plain], key=lambda file: file.path)


def _note_what_is_read(found: Selection) -> None:
    if found.images:
        found.notes.insert(0, f"{len(found.images)} image files read")
        return
    # The first word of a shard's name is its split: test-00000-of-00002.parquet.
    first = (re.split(r"[-.]", _base(file.path), maxsplit=1)[0] for file in found.tables)
    counts = sorted(Counter(first).items())
    splits = _some(f"{name} ({count})" for name, count in counts)
    found.notes.insert(0, f"{len(found.tables)} tables read: {splits}")
    if found.beside:
        what = "image files beside the tables are read only where a row names one"
        found.notes.append(f"{len(found.beside)} {what}")


def _base(path: str) -> str:
    return PurePosixPath(path).name


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = [f"{len(listed) - _NAMED} more"] if len(listed) > _NAMED else []
    return ", ".join([*listed[:_NAMED], *more])
