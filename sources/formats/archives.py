"""Members of published zip and tar files, which are not trusted.

What is wrong with one member costs the rows that need it, never the archive: a name that cannot be
decoded, encryption, a second member of the same name with other content.

A member is read only if its name stays inside the archive, it is a plain file, and it unpacks to
no more than the caller allows. Sizes in headers are checked first, and the limit holds even if
they are wrong. Memory is bounded by that limit plus a few MiB. A zip over a
`cauldron.sources.repos.ranges.RangeReader` costs one request for the tail of its directory, one for
the directory and one per member. A tar is read from start to end.
"""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, cast

from cauldron.sources.formats.zip_directory import ENTRY, mended
from cauldron.sources.repos.files import is_inside
from cauldron.sources.values.rows import RowProblem

# A directory of a million members; the largest published one (COCO train2014, 82,783) has 8 MB.
MAX_DIRECTORY_BYTES = 64 * 1024 * 1024
# pax headers and GNU long names, which the tar reader reads whole. Real ones are under 1 KiB.
MAX_TAR_HEADER_BYTES = 1024 * 1024
_CHUNK = 1024 * 1024
# Between a zip's local header and its data: the name again and extra fields.
_LOCAL_HEADER_SLACK = 4096
# Deflate compresses at most 1,032 : 1 and at worst adds little. bzip2 and lzma can inflate a chunk
# to any size in one step, so they are refused. No published archive uses them.
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}

_BROKEN_ZIP = (
    zipfile.BadZipFile,
    NotImplementedError,
    EOFError,
    zlib.error,
    struct.error,
    UnicodeError,
    OverflowError,
    ValueError,
    RuntimeError,
)
_BROKEN_TAR = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, ValueError, OverflowError)


class ArchiveError(RowProblem):
    """A member, or a whole archive, that is not read.

    Attributes:
        reason: a code of `cauldron.core.reasons`: ``unsafe_member``, ``member_too_large``,
            ``image_not_shipped`` (no such member) or ``unreadable_file``.
        message: the member and what is wrong with it.
    """


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a tar: its bytes, or why they are not read."""

    name: str
    data: bytes
    error: ArchiveError | None = None


class Zip(zipfile.ZipFile):
    """A zip from `open_zip`.

    Attributes:
        ambiguous: names of several members, unless size and checksum say that these are the same.
    """

    ambiguous: frozenset[str] = frozenset()

    def compare_duplicates(self) -> None:
        """Find the names that are `ambiguous`."""
        if len(self.infolist()) == len(self.NameToInfo):
            return
        contents: dict[str, set[tuple[int, int]]] = {}
        for info in self.infolist():
            contents.setdefault(info.filename, set()).add((info.file_size, info.CRC))
        self.ambiguous = frozenset(name for name, found in contents.items() if len(found) > 1)


def open_zip(file: BinaryIO) -> Zip:
    """Read a zip's directory.

    Raises:
        ArchiveError: ``unreadable_file``, not a zip, or cut off, or a directory over
            `MAX_DIRECTORY_BYTES`.
    """
    guarded = _Directory(file, MAX_DIRECTORY_BYTES)
    try:
        archive = Zip(cast(IO[bytes], guarded))
    except _BROKEN_ZIP as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None  # the read failed; the zip may be whole
        raise ArchiveError("unreadable_file", f"not a whole zip file ({error})") from error
    guarded.limit = None
    archive.compare_duplicates()
    return archive


def members_of(archive: Zip) -> list[zipfile.ZipInfo]:
    """The files (not folders) in a zip, in the order in which they are stored."""
    infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    return [info for info in infos if not info.is_dir()]


def member_names(archive: Zip) -> list[str]:
    """Names of the files in a zip, each once, in the order in which they are stored."""
    return list(dict.fromkeys(info.filename for info in members_of(archive)))


def read_member(archive: Zip, member: str | zipfile.ZipInfo, max_bytes: int) -> bytes:
    """The content of one member, its checksum verified.

    Args:
        archive: from `open_zip`.
        member: the full name in the archive, or an entry of `members_of`.
        max_bytes: the most it may unpack to.

    Raises:
        ArchiveError: ``unsafe_member`` (a name that leads outside, or that members with different
            content have; a link), ``image_not_shipped`` (no such file), ``member_too_large``,
            ``unreadable_file`` (encrypted, an unusual compression, damaged).
    """
    info = _named(archive, member) if isinstance(member, str) else member
    name = info.filename
    _check_name(name)
    _check_name(info.orig_filename)
    _check_member(info, max_bytes)
    try:
        _prefetch(archive, info)
        with archive.open(info) as content:
            data = content.read(info.file_size)  # inflates no more than this
    except _BROKEN_ZIP as error:
        raise ArchiveError("unreadable_file", f"member {name!r} is damaged ({error})") from error
    if len(data) != info.file_size:
        raise ArchiveError("unreadable_file", f"member {name!r} is cut off")
    return data


def iter_tar(
    file: BinaryIO, max_bytes: int, wanted: Callable[[str], bool] | None = None
) -> Iterator[Member]:
    """The files of a ``.tar`` or ``.tar.gz``, in order, read from start to end.

    Folders are skipped. A member that must not be read (outside the archive, a link, a device, too
    large) comes with an `error` and without data.

    Args:
        file: need not seek.
        max_bytes: the most that one member may hold.
        wanted: whether to read a member, by its name; the others are skipped.

    Raises:
        ArchiveError: ``unreadable_file``, when the archive is damaged or cut off; the members
            before the damage have been yielded.
    """
    stream = _Forward(_inflated(file), MAX_TAR_HEADER_BYTES)
    try:
        archive: Any = tarfile.TarFile(fileobj=cast(IO[bytes], stream), mode="r")
        while (info := archive.next()) is not None:
            archive.members.clear()  # else the reader keeps every header
            member = _member(stream, info, max_bytes, wanted)
            if member is not None:
                yield member
        _check_end(stream)
    except _BROKEN_TAR as error:
        raise ArchiveError("unreadable_file", f"not a whole tar file ({error})") from error


def _member(
    stream: _Forward,
    info: tarfile.TarInfo,
    max_bytes: int,
    wanted: Callable[[str], bool] | None,
) -> Member | None:
    # The tar reader makes surrogates of bytes that are not UTF-8; no file can be written with them.
    plain = info.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    name = plain.removeprefix("./")
    if info.isdir() or (wanted is not None and not wanted(name)):
        return None
    try:
        _check_name(name)
        if not info.isreg() or info.issparse():
            raise ArchiveError("unsafe_member", f"member {name!r} is not a plain file")
        if info.size > max_bytes:
            raise _too_large(name, info.size, max_bytes)
    except ArchiveError as error:
        return Member(name, b"", error)
    stream.seek(info.offset_data)
    data = stream.read_whole(info.size)
    if len(data) != info.size:
        raise EOFError(f"member {name!r} is cut off")
    return Member(name, data)


def _named(archive: Zip, name: str) -> zipfile.ZipInfo:
    _check_name(name)
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ArchiveError("image_not_shipped", f"the archive has no member {name!r}") from None
    if name in archive.ambiguous:
        message = f"members with different content are named {name!r}"
        raise ArchiveError("unsafe_member", message)
    return info


def _check_name(name: str) -> None:
    if not is_inside(name):
        raise ArchiveError("unsafe_member", f"member {name[:200]!r} would lie outside its root")


def _check_member(info: zipfile.ZipInfo, max_bytes: int) -> None:
    name = info.filename
    mode = info.external_attr >> 16
    if info.is_dir():
        raise ArchiveError("image_not_shipped", f"{name!r} is a folder in the archive")
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise ArchiveError("unsafe_member", f"member {name!r} is not a plain file")
    if info.flag_bits & 0x1:
        raise ArchiveError("unreadable_file", f"member {name!r} is encrypted")
    if info.compress_type not in _METHODS:
        what = f"compressed by method {info.compress_type}"
        raise ArchiveError("unreadable_file", f"member {name!r} is {what}")
    if info.file_size > max_bytes:
        raise _too_large(name, info.file_size, max_bytes)
    if info.compress_size > max_bytes + max_bytes // 100 + _LOCAL_HEADER_SLACK:
        raise _too_large(name, info.compress_size, max_bytes)


def _too_large(name: str, size: int, max_bytes: int) -> ArchiveError:
    message = f"member {name!r} unpacks to {size} bytes, more than {max_bytes}"
    return ArchiveError("member_too_large", message)


def _prefetch(archive: Zip, info: zipfile.ZipInfo) -> None:
    """Fetch header and data of a remote file in one request."""
    file: Any = archive.fp
    prefetch = getattr(file.file, "prefetch", None) if isinstance(file, _Guarded) else None
    if prefetch is not None:
        file.seek(info.header_offset)
        prefetch(info.compress_size + _LOCAL_HEADER_SLACK)


def _inflated(file: BinaryIO) -> IO[bytes]:
    """The tar inside: gzip is told by the first bytes, not by the file's name."""
    head = file.read(2)
    whole = cast(BinaryIO, io.BufferedReader(_Rejoined(head, file), _CHUNK))
    return cast(IO[bytes], gzip.GzipFile(fileobj=whole)) if head == b"\x1f\x8b" else whole


def _check_end(stream: _Forward) -> None:
    """Raise EOFError unless the tar ends with an empty block.

    The tar reader takes a damaged header for the end.
    """
    if stream.last.strip(b"\0") or len(stream.last) != tarfile.BLOCKSIZE:
        raise EOFError("it ends without its end mark")
    # Reading on makes gzip compare its checksum; a real tail is at most a record of 10 KiB.
    for _ in range(16):
        if not stream.read(64 * 1024):
            return


class _Guarded:
    """A file that refuses to read more than `limit` bytes at once."""

    def __init__(self, file: BinaryIO, limit: int | None) -> None:
        self.file = file
        self.limit = limit

    def read(self, size: int = -1) -> bytes:
        if self.limit is None:
            return self.file.read(size)
        data = b"" if size > self.limit else self.file.read(size if size >= 0 else self.limit + 1)
        if max(size, len(data)) > self.limit:
            raise ValueError(f"a header announces more than {self.limit} bytes")
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def seekable(self) -> bool:
        return self.file.seekable()

    def close(self) -> None:
        self.file.close()


class _Directory(_Guarded):
    """A zip whose directory is made readable while there is a limit, that is while it is opened."""

    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        is_directory = self.limit is not None and data.startswith(ENTRY)
        return mended(data) if is_directory else data


class _Forward(_Guarded):
    """A file that is read forward only: seeking forward reads, seeking back is an error."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        super().__init__(cast(BinaryIO, file), limit)
        self.position = 0
        self.last = b""  # the last read, to tell the end mark from damage

    def read(self, size: int = -1) -> bytes:
        data = super().read(size)
        self.position += len(data)
        self.last = data
        return data

    def read_whole(self, size: int) -> bytes:
        """A member, whose size has been checked."""
        data = self.file.read(size)
        self.position += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        assert whence == io.SEEK_SET, "the tar reader seeks from the start"
        if offset < self.position:
            raise ValueError("a member lies before the one read last")
        while self.position < offset:
            if not self.read(min(_CHUNK, offset - self.position)):
                break
        return self.position

    def tell(self) -> int:
        return self.position


class _Rejoined(io.RawIOBase):
    """A stream with the bytes that were read from its start put back."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = head
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head or self._file.read(len(buffer))
        self._head = b""
        buffer[: len(data)] = data
        return len(data)
