"""Docmatix: pages as images, or PDFs rendered here."""

from __future__ import annotations

import hashlib
import io
import math
import os
import resource
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from cauldron.sources.base import BadRow, Row
from cauldron.sources.catalog import registry
from cauldron.sources.formats import pdf
from cauldron.sources.formats.pdf import render_pdf
from cauldron.sources.formats.pdf_pages import MAX_SIDE, Document, PdfError, scale_for
from cauldron.sources.repos.roots import open_root
from PIL import Image

from cauldron.core.errors import UsageError
from cauldron.sample.draw.page import Block
from cauldron.sample.publish.pdf import pdf_of
from tests.real import REAL
from tests.sources.reader_base import (
    HASHES,
    IMAGE,
    TURN,
    Outcome,
    ReaderTests,
    bad,
    kept,
    outcome_of,
    picture,
    read_all,
    write_parquet,
)

IMAGES = pa.schema([("images", pa.list_(IMAGE)), ("texts", pa.list_(TURN))])
PDFS = pa.schema([("pdf", pa.binary()), ("texts", pa.list_(TURN))])
SAID = ("What is the title?", "The title is Report.")
RED = b"1 0 0 rg 10 10 50 50 re f"
BLACK = b"0 g 10 10 50 50 re f"


def turn(key: int | str = 42) -> dict[str, str]:
    return {"user": SAID[0], "assistant": SAID[1], "source": f"PDFA key: {key}"}


def make_pdf(
    *pages: bytes, size: tuple[float, float] = (612, 792), resources: bytes = b""
) -> bytes:
    """A PDF with a drawing per page."""
    numbers = [4 + 2 * i for i in range(len(pages))]
    kids = b" ".join(b"%d 0 R" % number for number in numbers)
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(pages)),
        b"<<%s>>" % resources,
    ]
    for number, drawing in zip(numbers, pages, strict=True):
        box = b"%f %f" % size
        what = b"/MediaBox[0 0 %s]/Contents %d 0 R/Resources 3 0 R" % (box, number + 1)
        objects.append(b"<</Type/Page/Parent 2 0 R%s>>" % what)
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(drawing), drawing))
    data, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    head = b"xref\n0 %d\n0000000000 65535 f \n" % count
    trailer = b"trailer<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF" % (count, len(data))
    return data + head + table + trailer


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


class TestImages(ReaderTests):
    name = "docmatix"
    published: ClassVar = [
        f"data/train-00000-of-00002-{HASHES[0]}.parquet",
        f"data/train-00001-of-00002-{HASHES[1]}.parquet",
    ]

    def publish(self, folder: Path, root: Path) -> None:
        def row(pages: list[str] | None, *texts: Any) -> dict[str, Any]:
            images = [{"bytes": picture(name, mode="L"), "path": None} for name in pages or []]
            return {"images": None if pages is None else images, "texts": list(texts) or [turn()]}

        first = [row(["a1"]), row(["b1", "b2", "b3", "b4"]), row(list("12345")), row([])]
        second = [row(["c1", "c2"], turn(7), turn(7)), row(None), {"images": [], "texts": None}]
        write_parquet(folder / self.published[0], first, IMAGES)
        write_parquet(folder / self.published[1], second, IMAGES)
        write_parquet(folder / f"pdf/train-00000-of-00001-{HASHES[2]}.parquet", [], PDFS)
        for split in ("train-00000-of-00002", "test-00000-of-00001"):
            write_parquet(folder / f"zero-shot-exp/{split}.parquet", first[:1], IMAGES)

    def expected(self) -> list[Outcome]:
        def pages(*names: str) -> list[bytes]:
            return [picture(name, mode="L") for name in names]

        return [
            kept(pages("a1"), [SAID]),
            kept(pages("b1", "b2", "b3", "b4"), [SAID]),
            bad("too_many_pages"),
            bad("no_images"),
            kept(pages("c1", "c2"), [SAID, SAID]),
            bad("bad_row"),
            bad("bad_row"),
        ]

    def test_keys_get_their_zeros_back(self, root: Path) -> None:
        rows = [row for row in self.read(root) if isinstance(row, Row)]
        assert [row.origin.key for row in rows] == ["0000042", "0000042", "0000007"]
        assert rows[0].images[0].digest is None

    def test_a_key_that_is_no_number_stays_as_it_is(self, tmp_path: Path) -> None:
        name = "images/train-00000-of-00001.parquet"
        pages = [{"bytes": picture("a", mode="L"), "path": None}]
        rows = [{"images": pages, "texts": [turn("invoices/17 b.pdf")]}]
        (tmp_path / self.source.repo / "images").mkdir(parents=True)
        write_parquet(tmp_path / self.source.repo / name, rows, IMAGES)
        (row,) = self.read(tmp_path)
        assert row.origin.key == "invoices/17 b.pdf"

    def test_more_pages_are_read_when_asked_for(self, root: Path) -> None:
        found = read_all(root, self.source, {"max_pages": 5})
        assert len(outcome_of(found[2]).images) == 5

    @pytest.mark.parametrize(
        "options", [{"config": "zero-shot-exp"}, {"max_pages": 0}, {"max_pages": "4"}]
    )
    def test_wrong_options_are_told_before_anything_is_read(
        self, root: Path, options: dict[str, Any]
    ) -> None:
        opened_root = open_root(str(root))
        with pytest.raises(UsageError, match=next(iter(options))):
            self.source.pieces(opened_root, opened_root.repo(self.source.repo), options)


class TestPdf(ReaderTests):
    name = "docmatix"
    options: ClassVar = {"config": "pdf"}
    published: ClassVar = [f"pdf/train-0000{i}-of-00002-{HASHES[i]}.parquet" for i in range(2)]

    def publish(self, folder: Path, root: Path) -> None:
        first = [make_pdf(RED), make_pdf(BLACK, RED), make_pdf(*[BLACK] * 5)]
        second = [b"not a PDF", None, b"", make_pdf(BLACK, size=(100, 200)), make_pdf()]
        for path, files in zip(self.published, (first, second), strict=True):
            rows = [{"pdf": file, "texts": [turn()]} for file in files]
            write_parquet(folder / path, rows, PDFS)

    def expected(self) -> list[Outcome]:
        def pages(data: bytes) -> list[bytes]:
            return [page.png for page in render_pdf(data, 4)]

        return [
            kept(pages(make_pdf(RED)), [SAID]),
            kept(pages(make_pdf(BLACK, RED)), [SAID]),
            bad("too_many_pages"),
            bad("pdf_unreadable"),
            bad("missing_image"),
            bad("missing_image"),
            kept(pages(make_pdf(BLACK, size=(100, 200))), [SAID]),
            bad("pdf_unreadable"),
        ]

    def test_pages_are_rendered_at_150_dpi(self, root: Path) -> None:
        rows = self.read(root)
        sizes = [[opened(i.data).size for i in row.images] for row in rows if isinstance(row, Row)]
        assert sizes == [[(1275, 1650)], [(1275, 1650)] * 2, [(209, 417)]]

    def test_a_page_is_known_by_its_pdf_and_number(self, root: Path) -> None:
        row = self.read(root)[1]
        assert isinstance(row, Row)
        data = make_pdf(BLACK, RED)
        digests = [hashlib.sha256(data + f"\0page {i}".encode()).hexdigest() for i in range(2)]
        assert [image.digest for image in row.images] == digests

    def test_pages_without_colour_are_grey(self, root: Path) -> None:
        row = self.read(root)[1]
        assert isinstance(row, Row)
        modes = [(opened(i.data).mode, opened(i.data).format) for i in row.images]
        assert modes == [("L", "PNG"), ("RGB", "PNG")]


@pytest.mark.parametrize(
    ("size", "pixels"),
    [
        ((612, 792), (1275, 1650)),
        ((1411.2, 1411.2), (2940, 2940)),
        ((1412, 1412), (2940, 2940)),
        ((595, 842), (1240, 1755)),
        ((1e6, 1e6), (2940, 2940)),
        ((14400, 1), (2940, 1)),
        ((0.1, 0.1), (1, 1)),
    ],
)
def test_no_side_is_longer_than_the_limit(
    size: tuple[float, float], pixels: tuple[int, int]
) -> None:
    page = next(render_pdf(make_pdf(BLACK, size=size), 4))
    assert opened(page.png).size == pixels


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (math.nan, 5), (math.inf, 5)])
def test_what_is_no_size_is_not_rendered(size: tuple[float, float]) -> None:
    with pytest.raises(PdfError, match="points"):
        scale_for(*size)


def test_the_scale_is_settled_before_anything_is_drawn() -> None:
    for side in (1, 100, 1411, 1412, 10_000, 2e9):
        assert math.ceil(side * scale_for(side, side / 2)) <= MAX_SIDE


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
@pytest.mark.parametrize(("bits", "space"), [(8, b"DeviceRGB"), (1, b"DeviceGray")])
def test_an_image_in_a_pdf_takes_no_memory_for_what_it_announces(bits: int, space: bytes) -> None:
    """60,000 x 60,000 pixels: 10.8 GB are not drawn at all, 450 MB line by line."""
    content = zlib.compress(bytes(30_000_000), 9)
    head = b"/Type/XObject/Subtype/Image/Width 60000/Height 60000/ColorSpace/%s" % space
    how = b"/BitsPerComponent %d/Filter/FlateDecode/Length %d" % (bits, len(content))
    image = b"6 0 obj\n<<%s%s>>stream\n%s\nendstream\nendobj\n" % (head, how, content)
    data = make_pdf(b"612 0 0 792 0 0 cm /I Do", resources=b"/XObject<</I 6 0 R>>")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    png = Document(data.replace(b"xref\n", image + b"xref\n", 1)).page(0)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    drawn = opened(png).getextrema()[0] == 0
    assert drawn == (bits == 1)
    assert grown < 300 * 1024


def test_threads_of_one_process_may_render_at_once() -> None:
    files = [make_pdf(RED if i % 2 else BLACK, BLACK, size=(50 + i, 60)) for i in range(24)]

    def render(data: bytes) -> list[pdf.PdfPage]:
        return list(render_pdf(data, 4))

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(render, files)) == [render(data) for data in files]


def make_bomb(levels: int = 12) -> bytes:
    """One page that shows a form ten times, which shows another ten times, and so on."""
    kind = b"/Type/XObject/Subtype/Form/BBox[0 0 600 600]"
    head = kind + b"/Resources<</XObject<</X %d 0 R>>>>"
    forms = b""
    for number in range(6, 6 + levels):
        shown = b"/X Do " * 10 if number < 5 + levels else b"0 0 9 9 re f"
        entry = head % (number + 1) + b"/Length %d" % len(shown)
        forms += b"%d 0 obj\n<<%s>>stream\n%s\nendstream\nendobj\n" % (number, entry, shown)
    page = make_pdf(b"/X Do", resources=b"/XObject<</X 6 0 R>>")
    return page.replace(b"xref\n", forms + b"xref\n", 1)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Renderers that may take a second of processor time, and that end with the test."""
    monkeypatch.setattr(pdf, "CPU_SECONDS", 1)
    pool = pdf._Pool()
    monkeypatch.setattr(pdf, "_POOL", pool)
    yield
    pool.end()


@pytest.mark.usefixtures("quick")
def test_a_page_without_end_costs_its_row_alone(tmp_path: Path) -> None:
    source, name = registry()["docmatix"], "pdf/train-00000-of-00001.parquet"
    files = [make_pdf(RED), make_bomb(), make_pdf(BLACK)]
    rows = [{"pdf": file, "texts": [turn()]} for file in files]
    (tmp_path / source.repo / "pdf").mkdir(parents=True)
    write_parquet(tmp_path / source.repo / name, rows, PDFS)
    root = open_root(str(tmp_path))
    repo, options = root.repo(source.repo), source.settled({"config": "pdf"})
    (piece,) = source.pieces(root, repo, options)
    first, bomb, last = source.rows(root, repo, piece, options)
    assert isinstance(bomb, BadRow)
    assert bomb.reason == "render_timeout"
    for row, data in ((first, files[0]), (last, files[2])):
        assert isinstance(row, Row)
        assert [image.data for image in row.images] == [Document(data).page(0)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts private mappings")
def test_a_page_that_asks_for_more_memory_than_allowed_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pdf, "MEMORY", 256 << 20)
    spaces = zlib.compress(zlib.compress(b" " * (400 << 20)))  # about 1 kB
    renderer = pdf._Renderer()
    content = b"/Filter[/FlateDecode/FlateDecode]/Length %d>>stream\n%s\nendstream"
    page = make_pdf(RED)
    start = page.index(b"/Length", page.index(b"5 0 obj"))
    end = page.index(b"endobj", start)
    bomb = page[:start] + content % (len(spaces), spaces) + b"\n" + page[end:]
    assert renderer.ask(pdf.OPEN, bomb, pdf.COUNT, "it") == b"1"
    with pytest.raises(PdfError, match="pdf_unreadable"):
        renderer.ask(pdf.DRAW, b"0", pdf.PAGE, "page 1")
    renderer.end()


def test_a_crash_of_the_renderer_is_the_fault_of_the_pdf() -> None:
    renderer = pdf._Renderer()
    os.kill(renderer._process.pid, signal.SIGSEGV)
    with pytest.raises(PdfError, match="pdf_unreadable"):
        renderer.ask(pdf.OPEN, make_pdf(RED), pdf.COUNT, "the document")
    renderer.end()


def test_a_renderer_ended_from_outside_is_not_the_fault_of_the_pdf() -> None:
    renderer = pdf._Renderer()
    os.kill(renderer._process.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="status -9"):
        renderer.ask(pdf.OPEN, make_pdf(RED), pdf.COUNT, "the document")
    renderer.end()


def test_documents_share_a_process_which_is_replaced_when_it_is_gone() -> None:
    pool = pdf._Pool()
    with pool.renderer() as first:
        assert first.ask(pdf.OPEN, make_pdf(RED), pdf.COUNT, "it") == b"1"
    with pool.renderer() as second:
        assert second is first
        os.kill(second._process.pid, signal.SIGKILL)
        second._process.wait()
    with pool.renderer() as third:
        assert third.ask(pdf.OPEN, make_pdf(RED, BLACK), pdf.COUNT, "it") == b"2"
    pool.end()
    assert not third.is_alive()


@pytest.mark.parametrize("busy", [False, True])
def test_no_renderer_outlives_the_process_that_started_it(busy: bool) -> None:
    ask = "r.ask(pdf.OPEN, data, pdf.COUNT, 'it')"
    draw = "r._send(pdf.message(pdf.DRAW, b'0'))" if busy else "pass"
    program = (
        "import os, sys, signal; from cauldron.sources.formats import pdf\n"
        f"data = sys.stdin.buffer.read(); r = pdf._Renderer(); {ask}; {draw}\n"
        "print(r._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=make_bomb(), stdout=subprocess.PIPE, check=False
    )
    pid = int(done.stdout)
    deadline = time.monotonic() + 60
    while _runs(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    """Whether a process is there and has not ended; without an init process the ended stay."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL}")
def test_real_pdfs() -> None:
    outcomes: dict[str, int | str] = {}
    for file in sorted((REAL / "pdfs").glob("*.pdf")):
        try:
            pages = list(render_pdf(file.read_bytes(), 4))
        except PdfError as error:
            outcomes[file.name[:3]] = error.reason
            continue
        outcomes[file.name[:3]] = len(pages)
        for page in pages:
            image = opened(page.png)
            image.load()
            assert max(image.size) <= MAX_SIDE
            assert image.mode in ("L", "RGB")
    assert outcomes["001"] == 1
    assert outcomes["004"] == 4
    assert outcomes["005"] == "pdf_encrypted"
    assert "pdf_unreadable" not in outcomes.values()


def test_a_text_layer_is_read_page_by_page() -> None:
    data = pdf_of([[Block("text", (("Total due: 1,234.50",),))], []])
    with pdf.open_pdf(data, 4) as opened_pdf:
        texts = [opened_pdf.text(number) for number in range(opened_pdf.pages)]
    assert [text.strip() for text in texts] == ["Total due: 1,234.50", ""]
