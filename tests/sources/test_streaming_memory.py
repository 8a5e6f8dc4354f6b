"""Reading a file of 2 GB takes less than 1 GiB of memory."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cauldron.sources.catalog import registry

from tests.sources.reader_base import IMAGE, picture
from tests.sources.tars import as_json

MIB, GB = 1 << 20, 10**9
LIMIT = 1024 * MIB
# Reads a source as a worker does. The high-water mark is of this process alone, unlike what
# `getrusage` says, which begins with the size of the process that started it.
READ = """
import json, re, sys
from cauldron.sources.base import Row
from cauldron.sources.catalog import registry
from cauldron.sources.repos.roots import open_root

root, source = open_root(sys.argv[1]), registry()[sys.argv[2]]
repo, counts = root.repo(source.repo), {}
for piece in source.pieces(root, repo, {}):
    for row in source.read(root, repo, piece, {}):
        key = "kept" if isinstance(row, Row) else row.reason
        counts[key] = counts.get(key, 0) + row.rows
with open("/proc/self/status") as status:
    peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1]) * 1024
print(json.dumps([counts, peak]))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """An empty folder with room for the file, emptied again."""
    if shutil.disk_usage(tmp_path).free < 5 * GB:
        pytest.skip("needs 5 GB of disk")
    yield tmp_path
    shutil.rmtree(tmp_path)


def read_source(root: Path, name: str) -> tuple[dict[str, int], int]:
    """The rows by outcome, and the most memory that reading took, in bytes."""
    command = [sys.executable, "-c", READ, str(root), name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts, peak = json.loads(done.stdout)
    return counts, peak


def path_of(root: Path, name: str, file: str) -> Path:
    path = root / registry()[name].repo / file
    path.parent.mkdir(parents=True)
    return path


def add_member(file: BinaryIO, name: str, before: bytes, hole: int, after: bytes = b"") -> None:
    """Append a member of a tar with a hole of zeros, which takes no room on the disk."""
    info = tarfile.TarInfo(name)
    info.size = len(before) + hole + len(after)
    file.write(info.tobuf(tarfile.USTAR_FORMAT))
    file.write(before)
    file.seek(hole, io.SEEK_CUR)
    file.write(after + bytes(-info.size % tarfile.BLOCKSIZE))


def holed_pdf(hole: int) -> tuple[bytes, bytes]:
    """What stands before and after a stream of zeros in a PDF of one page."""
    before = b"%%PDF-1.4\n1 0 obj\n<</Length %d>>stream\n" % hole
    objects = [
        b"<</Type/Catalog/Pages 3 0 R>>",
        b"<</Type/Pages/Kids[4 0 R]/Count 1>>",
        b"<</Type/Page/Parent 3 0 R/MediaBox[0 0 200 200]>>",
    ]
    after, offsets = b"\nendstream\nendobj\n", [len(b"%PDF-1.4\n")]
    for number, content in enumerate(objects, 2):
        offsets.append(len(before) + hole + len(after))
        after += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(before) + hole + len(after)
    after += b"xref\n0 5\n0000000000 65535 f \n" + table
    return before, after + b"trailer<</Root 2 0 R/Size 5>>\nstartxref\n%d\n%%%%EOF" % start


def test_a_tar_of_large_pdfs_with_large_annotations(folder: Path) -> None:
    hole, count = 120 * MIB, 16
    before, after = holed_pdf(hole)
    words = [f"word{number}" for number in range(30_000)]
    pages = [
        {"lines": {"text": ["A page"]}, "words": {"text": words, "bbox": [[0.1] * 4] * 30_000}}
    ]
    annotation = as_json({"pages": pages})
    path = path_of(folder, "pdfa", "pdfa-eng-train-0000.tar")
    with path.open("wb") as file:
        for number in range(count):
            add_member(file, f"{number:07d}.json", annotation, 0)
            add_member(file, f"{number:07d}.pdf", before, hole, after)
        file.write(bytes(2 * tarfile.BLOCKSIZE))
    assert path.stat().st_size > 2 * GB
    counts, peak = read_source(folder, "pdfa")
    assert counts == {"kept": count}
    assert peak < LIMIT, f"{peak / MIB:.0f} MiB"


def test_a_tar_of_many_images(folder: Path) -> None:
    count, image = 2_100, picture("a")
    annotation = as_json({"ocr_annotation": {"text": ["A line"]}})
    path = path_of(folder, "rendered_text_full", "000000.tar")
    with path.open("wb") as file:
        for number in range(count):
            add_member(file, f"{number}.json", annotation, 0)
            add_member(file, f"{number}.png", image, MIB)
        file.write(bytes(2 * tarfile.BLOCKSIZE))
    assert path.stat().st_size > 2 * GB
    counts, peak = read_source(folder, "rendered_text_full")
    assert counts == {"kept": count}
    assert peak < LIMIT, f"{peak / MIB:.0f} MiB"


def test_a_parquet_file_of_large_images(folder: Path) -> None:
    """Row groups of 100 rows, as `datasets` wrote them; here they have 100 MiB."""
    count, image = 2_000, os.urandom(MIB)
    schema = pa.schema([("image", IMAGE), ("text", pa.string())])
    rows = [{"image": {"bytes": image, "path": None}, "text": "<html></html>"}] * 100
    table = pa.Table.from_pylist(rows, schema=schema)
    path = path_of(folder, "websight", "v0.2/train-00000-of-00001.parquet")
    with pq.ParquetWriter(path, schema, compression="NONE", use_dictionary=False) as writer:
        for _ in range(count // 100):
            writer.write_table(table)
    assert path.stat().st_size > 2 * GB
    counts, peak = read_source(folder, "websight")
    assert counts == {"kept": count}
    assert peak < LIMIT, f"{peak / MIB:.0f} MiB"
