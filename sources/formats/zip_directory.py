"""The directory of a zip, changed so that one bad entry does not hide the others.

`zipfile` refuses a whole archive for one name that is not the UTF-8 that it is declared to be, for
one entry of a version that it does not know, and for one damaged extra field. Here such entries are
changed in place; no length changes. Their members stay in the list, and fail when they are read.
"""

from __future__ import annotations

import struct
import zipfile

ENTRY = b"PK\x01\x02"
_FIXED = 46  # bytes of an entry before its name
_VERSION, _FLAGS, _SIZES, _LENGTHS, _OFFSET = 6, 8, 20, 28, 42
_UTF8_NAME = 0x800
_ZIP64 = 1
_IN_ZIP64 = 0xFFFFFFFF  # a size or an offset that stands in the zip64 field
_NOWHERE = 0xFFFFFFFE
_PADDING = 0xFFFF  # an identifier of extra fields that nobody uses


def mended(directory: bytes) -> bytes:
    """The directory with every entry in a form that `zipfile` lists."""
    data = bytearray(directory)
    at = 0
    while data[at : at + len(ENTRY)] == ENTRY and at + _FIXED <= len(data):
        name, extra, comment = struct.unpack_from("<3H", data, at + _LENGTHS)
        fields = at + _FIXED + name
        data[at + _VERSION] = min(data[at + _VERSION], zipfile.MAX_EXTRACT_VERSION)
        _mend_name(data, at, bytes(data[at + _FIXED : fields]))
        found = _mend_fields(data, fields, min(fields + extra, len(data)))
        _mend_sizes(data, at, found)
        at = fields + extra + comment
    return bytes(data)


def _mend_name(data: bytearray, at: int, name: bytes) -> None:
    """Without the flag the bytes are read as code page 437, in which every byte is a letter."""
    (flags,) = struct.unpack_from("<H", data, at + _FLAGS)
    if not flags & _UTF8_NAME:
        return
    try:
        name.decode()
    except UnicodeDecodeError:
        struct.pack_into("<H", data, at + _FLAGS, flags & ~_UTF8_NAME)


def _mend_fields(data: bytearray, at: int, end: int) -> int:
    """Make what is left after the last whole extra field into padding.

    Returns:
        the length of the shortest zip64 field, 0 if there is none.
    """
    zip64: list[int] = []
    while at + 4 <= end:
        kind, length = struct.unpack_from("<2H", data, at)
        if at + 4 + length > end:
            struct.pack_into("<2H", data, at, _PADDING, end - at - 4)
            break
        if kind == _ZIP64:
            zip64.append(length)
        at += 4 + length
    return min(zip64, default=0)


def _mend_sizes(data: bytearray, at: int, zip64: int) -> None:
    """Let sizes and offset that stand in a field that is too short lead nowhere."""
    places = (at + _SIZES, at + _SIZES + 4, at + _OFFSET)
    far = [p for p in places if struct.unpack_from("<L", data, p)[0] == _IN_ZIP64]
    if zip64 < 8 * len(far):
        for place in far:
            struct.pack_into("<L", data, place, _NOWHERE)
