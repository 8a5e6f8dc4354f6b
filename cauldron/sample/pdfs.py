"""A folder of made PDFs: ``python -m cauldron.sample.pdfs FOLDER``.

Invoices and minutes of one to four pages, the same for the same seed, to try `cauldron docmatix`
on. Of twenty documents one has a password, one is cut off, one has five pages, and one holds no
text. On demand some are endless: a page that takes a renderer minutes to draw.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cauldron.sample.draw.page import Block
from cauldron.sample.publish.pdf import assembled, pdf_of

_FIRST = ("Mary", "Tom", "Ines", "Olga", "Peter", "Nadia", "Hugo", "Carla", "Sven", "Ruth")
_LAST = ("Hart", "Keller", "Moreau", "Lindqvist", "Okafor", "Rossi", "Novak", "Sato", "Brandt")
_TOWNS = ("Leeds", "Bergen", "Lyon", "Graz", "Porto", "Tartu", "Ghent", "Malmo", "Siena")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_GOODS = ("paper", "chairs", "lamps", "cables", "paint", "shelves", "filters", "pumps", "tiles")
# What is wrong with a document, by its number modulo 20.
_DAMAGE = {7: "password", 11: "cut", 13: "long", 17: "blank"}


class MadePdf(NamedTuple):
    """A made document.

    Attributes:
        damage: what is wrong with it, "" if nothing is.
        pages: the lines of each page.
    """

    name: str
    data: bytes
    damage: str
    pages: list[list[str]]


def made_pdfs(count: int, seed: int = 0, endless: int = 0, shrink: int = 1) -> Iterator[MadePdf]:
    """`count` documents, the last `endless` of them endless; `shrink` as in `pdf_of`."""
    for number in range(count):
        drawn = random.Random(f"{seed}/{number}")
        damage = "endless" if number >= count - endless else _DAMAGE.get(number % 20, "")
        pages = [_page(drawn, number, page) for page in range(drawn.choice((1, 1, 2, 2, 3, 4)))]
        if damage == "long":
            pages = [_page(drawn, number, page) for page in range(5)]
        if damage == "blank":
            pages = [[]]
        data = pdf_of(
            [[Block("text", ((line,),)) for line in page] for page in pages],
            damage == "password",
            shrink,
        )
        if damage == "cut":
            data = data[:40]
        if damage == "endless":
            data = endless_pdf(number)
        yield MadePdf(f"{number:05d}", data, damage, pages)


def _page(drawn: random.Random, number: int, page: int) -> list[str]:
    day, month = drawn.randrange(1, 29), drawn.choice(_MONTHS)
    person = f"{drawn.choice(_FIRST)} {drawn.choice(_LAST)}"
    amounts = [drawn.randrange(120, 9_900) for _ in range(3)]
    lines = [
        f"Invoice number: {2_000 + number}-{page + 1}",
        f"Date: {day} {month} {drawn.randrange(1995, 2024)}",
        f"Customer: {person}",
        f"Town: {drawn.choice(_TOWNS)}",
        *(f"{drawn.choice(_GOODS).capitalize()}: {amount:,} EUR" for amount in amounts),
        f"Total due: {sum(amounts):,} EUR",
        f"Payment is due within {drawn.choice((14, 30, 60))} days, by transfer to our account.",
        f"A discount of {drawn.randrange(2, 9)} % is given if it is paid within a week.",
    ]
    notes = [
        f"On {drawn.choice(_MONTHS)} {drawn.randrange(1, 29)} the goods were checked by "
        f"{drawn.choice(_FIRST)} {drawn.choice(_LAST)}, who found {drawn.randrange(2, 60)} faults."
        for _ in range(drawn.randrange(1, 6))
    ]
    return lines + notes


def endless_pdf(number: int = 0) -> bytes:
    """A page with a line of text and a shading: 20,000 multiplications for each of its pixels."""
    shading = b"{ pop " + b"2 mul 0.5 mul " * 10_000 + b"dup dup }"
    content = b"BT /F1 11 Tf 70 700 Td (Drawing number: %d) Tj ET /S sh" % (4_000 + number)
    return assembled(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
            b"/Resources << /Font << /F1 5 0 R >> /Shading << /S 6 0 R >> >> >>",
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            b"<< /ShadingType 1 /ColorSpace /DeviceRGB /Domain [0 600 0 900] /Function 7 0 R >>",
            b"<< /FunctionType 4 /Domain [0 600 0 900] /Range [0 1 0 1 0 1] /Length %d >>\n"
            b"stream\n%s\nendstream" % (len(shading), shading),
        ]
    )


def write_pdfa_tar(path: Path, documents: Iterator[MadePdf]) -> None:
    """Write documents as PDFA publishes them: ``<key>.json`` with lines, then ``<key>.pdf``."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for document in documents:
            key = document.name.zfill(7)
            pages = [{"lines": {"text": lines}, "words": {"text": []}} for lines in document.pages]
            for suffix, data in (
                ("json", json.dumps({"pages": pages}).encode()),
                ("pdf", document.data),
            ):
                info = tarfile.TarInfo(f"{key}.{suffix}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))


def write_pdfs(folder: Path, documents: Iterator[MadePdf]) -> None:
    """Write documents as single files."""
    folder.mkdir(parents=True, exist_ok=True)
    for document in documents:
        (folder / f"{document.name}.pdf").write_bytes(document.data)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a folder of made PDFs.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--endless", type=int, default=0, help="so many never end")
    options = parser.parse_args()
    write_pdfs(options.folder, made_pdfs(options.count, options.seed, options.endless))
    print(f"{options.count} PDFs are in {options.folder}")


if __name__ == "__main__":
    main()
