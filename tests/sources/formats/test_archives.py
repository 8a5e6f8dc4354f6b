"""Archives from strangers: honest members come out whole, the others with a reason."""

from __future__ import annotations

import gzip
import io
import pickle
import stat
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from typing import Any

import pytest
from cauldron.sources.formats.archives import (
    MAX_TAR_HEADER_BYTES,
    ArchiveError,
    Member,
    iter_tar,
    member_names,
    members_of,
    open_zip,
    read_member,
)
from cauldron.sources.repos.ranges import RangeReader

from cauldron.core.reasons import outcome_of

MIB = 1024 * 1024


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return sink.getvalue()


def read(data: bytes, name: str, max_bytes: int = MIB) -> bytes:
    return read_member(open_zip(io.BytesIO(data)), name, max_bytes)


def reason(data: bytes, name: str, max_bytes: int = MIB) -> str:
    with pytest.raises(ArchiveError) as caught:
        read(data, name, max_bytes)
    assert outcome_of(caught.value.reason)
    return caught.value.reason


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_comes_out_whole(method: int) -> None:
    data = bytes(range(256)) * 1000
    archive = zipped({"images/a.png": data, "images/b.png": b""}, method)
    assert read(archive, "images/a.png") == data
    assert read(archive, "images/b.png") == b""


def test_a_zip_with_a_comment_opens() -> None:
    sink = io.BytesIO(zipped({"a": b"1"}))
    with zipfile.ZipFile(sink, "a") as archive:
        archive.comment = b"made by hand" * 100
    assert read(sink.getvalue(), "a") == b"1"


def test_names_come_in_the_order_of_the_file_without_folders() -> None:
    archive = open_zip(io.BytesIO(zipped({"z/": b"", "z/2": b"x", "a/1": b"y"})))
    assert member_names(archive) == ["z/2", "a/1"]


def test_a_member_that_is_not_there_is_an_image_not_shipped() -> None:
    archive = zipped({"images/": b"", "images/a.png": b"x"})
    assert reason(archive, "images/b.png") == "image_not_shipped"
    assert reason(archive, "images/") == "image_not_shipped"


@pytest.mark.parametrize(
    "name", ["../../x", "a/../../x", "/etc/passwd", "C:/x", "a\\..\\x", "\\\\host\\x", "a\0b", ""]
)
def test_a_name_that_leads_outside_is_refused(name: str) -> None:
    assert reason(zipped({name or "x": b"x"}), name) == "unsafe_member"


def test_a_name_cut_short_by_nul_is_refused() -> None:
    archive = zipped({"a.png0../../x": b"x"}).replace(b"a.png0..", b"a.png\0..")
    assert reason(archive, "a.png") == "unsafe_member"


def test_a_link_is_refused() -> None:
    sink = io.BytesIO()
    info = zipfile.ZipInfo("link.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert reason(sink.getvalue(), "link.png") == "unsafe_member"


def test_a_member_over_the_limit_is_refused_before_it_is_inflated() -> None:
    archive = zipped({"bomb": bytes(200 * MIB)})
    with bounded_memory(8 * MIB):
        assert reason(archive, "bomb", 10 * MIB) == "member_too_large"


def test_a_member_whose_header_lies_about_its_size_is_refused_in_bounded_memory() -> None:
    archive = bytearray(zipped({"bomb": bytes(200 * MIB)}))
    directory = archive.rindex(b"PK\x01\x02")
    struct.pack_into("<L", archive, directory + 24, 1000)
    struct.pack_into("<L", archive, archive.index(b"PK\x03\x04") + 22, 1000)
    with bounded_memory(8 * MIB):
        assert reason(bytes(archive), "bomb", 10 * MIB) == "unreadable_file"


def test_a_member_whose_header_promises_more_than_there_is_is_refused() -> None:
    archive = bytearray(zipped({"a": b"x" * 1000, "b": b"y" * 1000}))
    struct.pack_into("<L", archive, archive.index(b"PK\x01\x02") + 24, 5000)
    assert reason(bytes(archive), "a") == "unreadable_file"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_inflates_without_bound_is_refused(method: int) -> None:
    archive = zipped({"bomb": bytes(MIB)}, method)
    assert reason(archive, "bomb") == "unreadable_file"


def test_a_damaged_member_is_refused_and_its_neighbours_are_read() -> None:
    archive = bytearray(zipped({"a": b"x" * 1000, "b": b"y" * 1000}, zipfile.ZIP_STORED))
    archive[archive.index(b"xxx") + 500] ^= 1
    assert reason(bytes(archive), "a") == "unreadable_file"
    assert read(bytes(archive), "b") == b"y" * 1000


def test_an_encrypted_member_is_refused() -> None:
    archive = bytearray(zipped({"a": b"secret"}))
    archive[archive.index(b"PK\x01\x02") + 8] |= 1
    archive[archive.index(b"PK\x03\x04") + 6] |= 1
    assert reason(bytes(archive), "a") == "unreadable_file"


def with_duplicate(first: bytes, second: bytes) -> bytes:
    """Two members called x.json, and a third."""
    return zipped({"x.json": first, "y.json": second, "z": b"3"}).replace(b"y.json", b"x.json")


def test_a_name_of_two_different_members_is_refused_and_the_others_are_read() -> None:
    data = with_duplicate(b"1", b"2")
    assert reason(data, "x.json") == "unsafe_member"
    assert read(data, "z") == b"3"
    assert read(with_duplicate(b"1", b"1"), "x.json") == b"1"


def test_members_of_one_name_are_each_read_by_their_entry() -> None:
    archive = open_zip(io.BytesIO(with_duplicate(b"1", b"2")))
    assert [read_member(archive, info, MIB) for info in members_of(archive)] == [b"1", b"2", b"3"]
    assert member_names(archive) == ["x.json", "z"]


def changed_entry(at: int, form: str, value: int, extra: bytes = b"") -> bytes:
    """Three members; a field of the second one's entry in the directory is changed."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, data in {"a": b"1", "\u00e9": b"2", "c": b"3"}.items():
            info = zipfile.ZipInfo(name)
            info.extra = extra if data == b"2" else b""
            archive.writestr(info, data)
    result = bytearray(sink.getvalue())
    entry = result.index(b"PK\x01\x02", result.index(b"PK\x01\x02") + 4)
    struct.pack_into(form, result, entry + at, value)
    return bytes(result)


UNKNOWN = struct.pack("<HH4s", 0x7777, 4, b"good")
ZIP64 = struct.pack("<HH4s", 1, 4, b"half")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (changed_entry(46, "<B", 0xFF), "image_not_shipped"),  # its name is not UTF-8
        (changed_entry(6, "<B", 99), b"2"),  # it asks for a version that does not exist
        (changed_entry(8, "<H", 0x801), "unreadable_file"),  # it is encrypted
        (changed_entry(8, "<H", 0x841), "unreadable_file"),  # strongly encrypted
        (changed_entry(8, "<H", 0x820), "unreadable_file"),  # it is a patch
        (changed_entry(10, "<H", 77), "unreadable_file"),  # its compression is unknown
        (changed_entry(48 + 2, "<H", 999, UNKNOWN), b"2"),  # an extra field overruns its space
        (changed_entry(24, "<L", 0xFFFFFFFF, ZIP64), "member_too_large"),
        (changed_entry(42, "<L", 0xFFFFFFFF, ZIP64), "unreadable_file"),
        (changed_entry(42, "<L", 7), "unreadable_file"),  # its content is elsewhere
    ],
)
def test_one_bad_entry_of_the_directory_costs_its_member_alone(
    data: bytes, expected: str | bytes
) -> None:
    assert read(data, "a") == b"1"
    assert read(data, "c") == b"3"
    if isinstance(expected, bytes):
        assert read(data, "\u00e9") == expected
    else:
        assert reason(data, "\u00e9") == expected


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"not a zip" * 1000, zipped({"a": b"x" * 9999})[:-30]],
    ids=["empty", "two bytes", "text", "cut"],
)
def test_what_is_no_zip_is_an_unreadable_file(data: bytes) -> None:
    with pytest.raises(ArchiveError) as caught:
        open_zip(io.BytesIO(data))
    assert caught.value.reason == "unreadable_file"


def test_a_directory_of_absurd_size_is_not_read_into_memory() -> None:
    size = 100 * MIB
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, 0, 0)

    def fetch(start: int, stop: int) -> bytes:
        tail = bytes(max(0, min(stop, size) - start))
        return tail + end[max(0, start - size) : max(0, stop - size)]

    with bounded_memory(8 * MIB), pytest.raises(ArchiveError) as caught:
        open_zip(RangeReader("big.zip", size + len(end), fetch))  # type: ignore[arg-type]
    assert caught.value.reason == "unreadable_file"


def test_a_failing_connection_is_not_mistaken_for_a_broken_zip() -> None:
    def fetch(start: int, stop: int) -> bytes:
        raise ConnectionError("down")

    with pytest.raises(ConnectionError, match="down"):
        open_zip(RangeReader("a.zip", 1000, fetch))  # type: ignore[arg-type]


def test_a_member_of_a_remote_zip_costs_one_request_of_its_own_size() -> None:
    noise = [zlib.compress(bytes([i]) * 10) + bytes(range(256)) * 2000 for i in range(40)]
    data = zipped({f"images/{i}.png": item for i, item in enumerate(noise)}, zipfile.ZIP_STORED)
    asked: list[tuple[int, int]] = []

    def fetch(start: int, stop: int) -> bytes:
        asked.append((start, stop))
        return data[start:stop]

    archive = open_zip(RangeReader("images.zip", len(data), fetch))  # type: ignore[arg-type]
    assert len(asked) == 1
    assert read_member(archive, "images/7.png", MIB) == noise[7]
    assert len(asked) == 2
    assert sum(stop - start for start, stop in asked) < len(noise[7]) + 80_000


def test_the_error_crosses_processes() -> None:
    error = pickle.loads(pickle.dumps(ArchiveError("unsafe_member", "member '../x'")))
    assert (error.reason, error.message) == ("unsafe_member", "member '../x'")


# --- tar


def tarred(
    members: dict[str, bytes], compress: bool = False, form: int = tarfile.PAX_FORMAT
) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(sink.getvalue(), 1) if compress else sink.getvalue()


class Stream(io.RawIOBase):
    """A file that cannot seek and gives at most 1,000 bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(memoryview(buffer)[:1000])


def members(data: bytes, max_bytes: int = MIB) -> dict[str, bytes]:
    return {member.name: member.data for member in iter_tar(io.BytesIO(data), max_bytes)}


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_members_of_a_tar_come_in_order(compress: bool, form: int) -> None:
    wanted = {f"images_aar/{i}.jpg": bytes([i]) * (i * 511) for i in range(20)}
    wanted["images_aar/" + "x" * 90 + ".jpg"] = b"long"
    found = list(iter_tar(io.BytesIO(tarred(wanted, compress, form)), MIB))
    assert [(member.name, member.data) for member in found] == list(wanted.items())
    assert all(member.error is None for member in found)


@pytest.mark.parametrize("compress", [False, True])
def test_a_tar_is_read_from_a_stream_that_cannot_seek(compress: bool) -> None:
    wanted = {"a": b"1" * 5000, "b": b"2" * 512, "c": b""}
    stream: Any = Stream(tarred(wanted, compress))
    assert {member.name: member.data for member in iter_tar(stream, MIB)} == wanted


def test_a_leading_dot_is_not_part_of_a_name() -> None:
    assert members(tarred({"./a/b.jpg": b"1"})) == {"a/b.jpg": b"1"}


def test_a_name_that_is_not_utf8_can_be_written_down() -> None:
    data = tarred({"abc.jpg": b"1", "d.jpg": b"2"}, form=tarfile.USTAR_FORMAT)
    header = bytearray(data[:512])
    header[1] = 0xFF
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    assert members(bytes(header) + data[512:]) == {"a\ufffdc.jpg": b"1", "d.jpg": b"2"}


def test_only_what_is_wanted_is_read() -> None:
    data = tarred({"a": bytes(5 * MIB), "b": b"2"})
    found = list(iter_tar(io.BytesIO(data), MIB, wanted=lambda name: name == "b"))
    assert found == [Member("b", b"2")]


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a/../../x", "a\\b"])
def test_a_tar_member_outside_is_refused_and_the_rest_is_read(name: str) -> None:
    bad, good = iter_tar(io.BytesIO(tarred({name: b"x", "good": b"y"})), MIB)
    assert bad.error is not None
    assert bad.error.reason == "unsafe_member"
    assert bad.data == b""
    assert good == Member("good", b"y")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_refused(kind: bytes) -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        info = tarfile.TarInfo("odd")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
        archive.addfile(tarfile.TarInfo("good"))
    bad, good = iter_tar(io.BytesIO(sink.getvalue()), MIB)
    assert bad.error is not None
    assert bad.error.reason == "unsafe_member"
    assert good == Member("good", b"")


def test_folders_are_passed_over() -> None:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        info = tarfile.TarInfo("images_aar")
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    assert members(sink.getvalue()) == {}


def test_a_large_tar_member_is_refused_in_bounded_memory_and_the_rest_is_read() -> None:
    data = tarred({"bomb": bytes(100 * MIB), "good": b"y"}, compress=True)
    with bounded_memory(8 * MIB):
        bad, good = iter_tar(io.BytesIO(data), MIB)
    assert bad.error is not None
    assert bad.error.reason == "member_too_large"
    assert good == Member("good", b"y")


def test_a_header_that_announces_absurd_extras_is_refused_in_bounded_memory() -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 100 * MIB
    data = gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(100 * MIB + 1024), 1)
    with bounded_memory(MAX_TAR_HEADER_BYTES + 8 * MIB):
        assert broken(data) == []


@pytest.mark.parametrize("compress", [False, True])
def test_a_cut_tar_gives_what_it_has_and_then_says_so(compress: bool) -> None:
    noise = zlib.compress(bytes(range(256)) * 4000, 0)[:200_000]
    data = tarred({"a": b"1", "b": noise, "c": b"3"}, compress)
    assert [member.name for member in broken(data[: len(data) // 2])] == ["a"]


def test_a_damaged_header_is_not_taken_for_the_end() -> None:
    data = bytearray(tarred({"a": b"1", "b": b"2", "c": b"3"}))
    data[1024 + 150] ^= 0x40  # in the checksum of the second header
    assert [member.name for member in broken(bytes(data))] == ["a"]


def test_a_tar_cut_between_two_members_says_so() -> None:
    data = tarred({"a": b"1", "b": b"2"})
    assert [member.name for member in broken(data[:1024])] == ["a"]


@pytest.mark.parametrize("data", [b"", b"x", b"no tar at all" * 1000, b"\x1f\x8b\x08junk"])
def test_what_is_no_tar_is_an_unreadable_file(data: bytes) -> None:
    assert broken(data) == []


def test_damage_that_only_the_gzip_checksum_shows_is_reported() -> None:
    data = bytearray(tarred({"a": b"1"}, compress=True))
    data[-8] ^= 1
    assert [member.name for member in broken(bytes(data))] == ["a"]


def test_memory_does_not_grow_with_the_number_of_members() -> None:
    data = tarred({f"{i:06}": b"" for i in range(8_000)}, form=tarfile.USTAR_FORMAT)
    with bounded_memory(3 * MIB):
        assert sum(1 for _ in iter_tar(io.BytesIO(data), MIB)) == 8_000


def broken(data: bytes) -> list[Member]:
    """The members before the archive turns out to be broken."""
    found: list[Member] = []
    with pytest.raises(ArchiveError) as caught:
        _collect(data, found)
    assert caught.value.reason == "unreadable_file"
    return found


def _collect(data: bytes, into: list[Member]) -> None:
    for member in iter_tar(io.BytesIO(data), MIB):
        into.append(member)  # noqa: PERF402 - keeps what came before the error


class bounded_memory:  # noqa: N801 - reads as a function
    """Fails when Python's memory grows by more than `limit` bytes in between."""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def __enter__(self) -> None:
        tracemalloc.start()

    def __exit__(self, kind: object, *_: object) -> None:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        if kind is None:
            assert peak < self._limit
