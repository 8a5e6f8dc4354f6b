"""Packs: records come back whole by reference, and any tar tool reads them."""

from __future__ import annotations

import io
import tarfile

import pytest
from cauldron.transforms.record_files import RecordFileWriter, read_record

from cauldron.core.schema import ImageInfo, Origin, Sample, Turn


def sample(number: int, images: int) -> Sample:
    info = ImageInfo(width=1, height=1, format="JPEG", mode="RGB", sha256="0" * 64, phash=2**63)
    return Sample(
        id=f"{number:032x}",
        source="lnqa",
        system=None,
        turns=(Turn(user="Où ?", assistant="Là.", source="lnqa"),),
        images=(info,) * images,
        origin=Origin(file="f", row=number),
        license="mit",
        language="fr",
    )


@pytest.fixture
def pack() -> tuple[bytes, list]:
    file = io.BytesIO()
    writer = RecordFileWriter(file)
    contents = [(sample(0, 2), [b"a" * 512, b"bc"]), (sample(1, 0), []), (sample(2, 1), [b""])]
    placed = [(writer.add(s, images), s, images) for s, images in contents]
    writer.finish()
    return file.getvalue(), placed


def test_a_reference_gives_the_record_back(pack):
    data, placed = pack
    for place, expected, images in placed:
        assert read_record(data[place.offset : place.offset + place.length]) == (expected, images)
        assert [data[start : start + n] for start, n in place.images] == images


def test_a_tar_tool_lists_the_members(pack):
    with tarfile.open(fileobj=io.BytesIO(pack[0])) as archive:
        names = archive.getnames()
    assert names == [
        "00000000.json", "00000000.0.jpg", "00000000.1.jpg", "00000001.json", "00000002.json",
        "00000002.0.jpg",
    ]  # fmt: skip


def test_a_wrong_reference_is_noticed(pack):
    data, placed = pack
    first = placed[0][0]
    for start, stop in [(512, 1024), (0, first.length - 512), (0, first.length + 512), (0, 10)]:
        with pytest.raises(ValueError, match="image record"):
            read_record(data[start:stop])
