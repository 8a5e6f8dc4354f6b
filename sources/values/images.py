"""Images that are not in the rows: in a folder or a zip, found by the name in the row."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, ClassVar

from cauldron.sources.base import Options, Source
from cauldron.sources.formats.archives import ArchiveError, member_names, open_zip, read_member
from cauldron.sources.repos.files import FileInfo, Repo, Root, is_inside
from cauldron.sources.repos.folders import info_at, is_folder, open_at
from cauldron.sources.values.rows import Find, RowProblem

from cauldron.core import storage
from cauldron.core.errors import UsageError

# Of one encoded image. The largest in COCO's train2014 has 0.4 MB.
MAX_IMAGE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class ImagesElsewhere(Source):
    """A source whose images belong to another dataset; an option of the recipe says where they are.

    Attributes:
        images_option: the option's name. Its default is used if something is there.
    """

    images_option: ClassVar[str]

    def extra_files(self, root: Root, options: Options) -> list[FileInfo]:
        location = self.images_at(root, self.settled(options))
        return [info_at(location)] if location else []

    def images_at(self, root: Root, options: Options) -> str | None:
        """Where the images are, or None. Raises UsageError for a path with nothing there."""
        option = self.images_option
        path = options[option]
        if path is None:
            return None
        if not isinstance(path, str):
            raise UsageError(f"{self.name}: {option} must be a path, not {path!r}")
        location = root.extra(path)
        if location is None and path != self.default_options[option]:
            raise UsageError(f"{self.name}: {option} {path} does not exist")
        return location


class ImageZip:
    """The images in a zip, by the names that rows use.

    If the zip cannot be opened, every `read` raises the reason, so that each row is counted.

    Args:
        name: the zip's, for messages.
        folders: prefixes, with their slash, under which an image may be in the zip.
    """

    def __init__(self, file: BinaryIO, name: str, folders: Sequence[str]) -> None:
        self.name = name
        self.folders = folders
        self.members: frozenset[str] = frozenset()
        self._broken: ArchiveError | None = None
        try:
            self._zip = open_zip(file)
            self.members = frozenset(member_names(self._zip))
        except ArchiveError as error:
            self._broken = error

    def read(self, path: str) -> bytes:
        """The bytes of the image that a row calls `path`. Raises ArchiveError."""
        if self._broken is not None:
            raise ArchiveError(self._broken.reason, self._broken.message)
        if not is_inside(path):
            raise ArchiveError("unsafe_member", f"the row asks for {path[:200]!r}")
        return read_member(self._zip, self.member(path), MAX_IMAGE_BYTES)

    def member(self, path: str) -> str:
        """The member's name. Raises ArchiveError (``image_not_shipped``)."""
        found = next((f + path for f in self.folders if f + path in self.members), None)
        if found is None:
            raise ArchiveError("image_not_shipped", f"{self.name} has no {path[:200]!r}")
        return found


def base_name(path: str) -> str:
    """The file name of a published path. Raises RowProblem (``unsafe_member``) for none."""
    name = PurePosixPath(path).name
    if not is_inside(name):
        raise RowProblem("unsafe_member", f"{path[:300]!r} names no file")
    return name


def read_image(repo: Repo, path: str) -> bytes:
    """The bytes of an image file of a repository.

    Raises:
        RowProblem: ``missing_image``, ``member_too_large``.
    """
    try:
        with repo.open(path) as file:
            data = file.read(MAX_IMAGE_BYTES + 1)
    except FileNotFoundError as error:
        raise RowProblem("missing_image", f"{path} is gone, or a link out of its folder") from error
    if len(data) > MAX_IMAGE_BYTES:
        raise RowProblem("member_too_large", f"{path} is over {MAX_IMAGE_BYTES} bytes")
    return data


@contextlib.contextmanager
def open_images(location: str | None, folder: str) -> Iterator[Find | None]:
    """A function from a published path to the image's bytes, found by the path's file name.

    The function raises `RowProblem`: ``image_not_shipped``, ``unsafe_member``,
    ``member_too_large``, or ``unreadable_file`` if the zip or the member is broken.

    Args:
        location: a folder or zip of images; None yields None.
        folder: images may also be in this folder inside it.
    """
    if location is None:
        yield None
    elif is_folder(location):
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
        return read_member(archive, member, MAX_IMAGE_BYTES)

    return find
