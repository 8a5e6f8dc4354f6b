"""How many pages a second two cores draw and encode.

    python benchmarks/pages.py --real FOLDER --documents 60

Pages of PDFs as `cauldron docmatix` draws them: 150 dpi, longest side 2,940 at most, PNG. Each
thread has a process that draws. Of the real documents those that cannot be drawn are left out. On a
machine that does other work too, the processor time of a page says more than the clock: from it the
last figure is computed. See README.md for the figures.
"""

from __future__ import annotations

import argparse
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

from cauldron.sources.formats import pdf
from cauldron.sources.formats.pdf import render_pdf
from cauldron.sources.formats.pdf_pages import PdfError

from cauldron.sample.pdfs import made_pdfs

MOST_PAGES = 4


def drawn(data: bytes) -> list[int]:
    """Bytes of each page's PNG."""
    try:
        return [len(page.png) for page in render_pdf(data, MOST_PAGES)]
    except PdfError:
        return []


def processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(item.ru_utime + item.ru_stime for item in used)


def measure(name: str, documents: list[bytes], processes: int) -> None:
    pdf._POOL.end()  # what its processes use counts when they have ended
    wall, used = time.monotonic(), processor_seconds()
    with ThreadPoolExecutor(processes) as pool:
        sizes = [size for found in pool.map(drawn, documents) for size in found]
    wall = time.monotonic() - wall
    pdf._POOL.end()
    used = processor_seconds() - used
    number, size = len(sizes), sum(sizes) / len(sizes) / 1e3
    print(f"{name}: {number} pages of {size:.0f} kB, {number / wall:.1f} a second by the clock")
    print(f"{used / number * 1e3:.0f} ms of a core each: {number / used * processes:.1f} a second")


def main() -> None:
    parser = argparse.ArgumentParser(description="Pages a second, drawn and encoded.")
    parser.add_argument("--real", type=Path)
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    made = [item.data for item in made_pdfs(options.documents) if not item.damage]
    measure("made", made, options.processes)
    if options.real is not None:
        real = [path.read_bytes() for path in sorted(options.real.glob("*.pdf"))]
        usable = [data for data in real if drawn(data)]
        measure("real", list(islice(cycle(usable), options.documents)), options.processes)


if __name__ == "__main__":
    main()
