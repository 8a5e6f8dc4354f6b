"""Images that lie apart from the rows: in a folder or a zip, found by the name in the row."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from cauldron.sources.archives import ArchiveError, member_names, open_zip, read_member
from cauldron.sources.files import is_inside, open_at
from cauldron.sources.rows import Find, RowProblem

from cauldron.core import storage

# Of one encoded image. The largest in COCO's train2014 has 0.4 MB.
MAX_IMAGE_BYTES = 64 * 1024 * 1024


def base_name(path: str) -> str:
    """The file name of a published path. Raises RowProblem (``unsafe_member``) for none."""
    name = PurePosixPath(path).name
    if not is_inside(name):
        raise RowProblem("unsafe_member", f"{path[:300]!r} names no file")
    return name


@contextlib.contextmanager
def open_images(location: str | None, folder: str) -> Iterator[Find | None]:
    """A function from a published path to the image's bytes, looked up by the path's file name.

    It raises `RowProblem`: ``image_not_shipped``, ``unsafe_member``, ``member_too_large``, or
    ``unreadable_file`` where the zip or the member is broken.

    Args:
        location: a folder or zip of images; None: there is no function either.
        folder: images may also lie in this folder inside it.
    """
    if location is None:
        yield None
    elif _is_folder(location):
        yield lambda path: _from_folder(location, folder, base_name(path))
    else:
        with open_at(location) as file:
            yield _from_zip(file, location, folder)


def _from_folder(location: str, folder: str, name: str) -> bytes:
    for path in (storage.join(location, name), storage.join(location, folder, name)):
        with contextlib.suppress(FileNotFoundError), open_at(path) as file:
            data = file.read(MAX_IMAGE_BYTES + 1)
            if len(data) > MAX_IMAGE_BYTES:
                raise RowProblem("member_too_large", f"{path} is over {MAX_IMAGE_BYTES} bytes")
            return data
    raise RowProblem("image_not_shipped", f"{location} has no {name!r}")


def _from_zip(file: BinaryIO, location: str, folder: str) -> Find:
    try:
        archive = open_zip(file)
    except ArchiveError as error:
        reason, message = error.reason, f"{location}: {error.message}"

        def refuse(path: str) -> bytes:
            raise RowProblem(reason, message)

        return refuse
    members = frozenset(member_names(archive))

    def find(path: str) -> bytes:
        name = base_name(path)
        member = next((m for m in (name, f"{folder}/{name}") if m in members), None)
        if member is None:
            raise RowProblem("image_not_shipped", f"{location} has no {name!r}")
        try:
            return read_member(archive, member, MAX_IMAGE_BYTES)
        except ArchiveError as error:
            raise RowProblem(error.reason, error.message) from error

    return find


def _is_folder(location: str) -> bool:
    fs, bare = storage.filesystem(location)
    return bool(fs.isdir(bare))
