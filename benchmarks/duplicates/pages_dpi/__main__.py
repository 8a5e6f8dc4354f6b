"""``python -m benchmarks.duplicates.pages_dpi``: pages of a PDF rendered at two resolutions.

Each page is rendered at both by PDFium, as Docmatix has its pages, and so is a page with one
character changed, and one with a whole word changed: another word of as many letters, or an amount
with other digits. The project's own functions go from bytes to clusters. Counted are pages whose
two renderings end in one cluster or get the verdict of another rendering, and changed pages that
end in the cluster of an unchanged one or get that verdict.

Pages are drawn: dense text and amounts, four fonts, 8 to 12 points. With ``--pdfs`` those of real
PDFs are read as well, whose characters are not changed. With ``--residuals`` the statistic of
`compare/pieces/rescaled.py` is told, for pages unchanged and changed.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pypdfium2 as pdfium
from cauldron.transforms.matching.compare.pieces.rescaled import greys_of, largest_error

from benchmarks.duplicates.ours import find
from cauldron.sample.publish.pdf import assembled

_FONTS = ("Helvetica", "Times-Roman", "Courier", "Helvetica-Bold")
_SIZES = (8, 9, 10, 12)
_WORDS = (
    *("the", "amount", "of", "each", "account", "is", "due", "before", "the", "end", "of", "the"),
    *("month", "no", "later", "than", "date", "that", "office", "gave", "to", "customer", "in"),
    *("letter", "where", "price", "service", "agreed", "and", "balance", "quantity", "number"),
)
# Characters of one width, or the last of a word, so that nothing else moves.
_CHANGES = {"3": "8", "0": "6", "1": "7", "5": "6", ",": ".", ".": ",", "-": " "}
_LAST = {"e": "c", "n": "h"}
# Pages of a real PDF that are read, and the least side of a page in points.
_MOST_PAGES, _LEAST_SIDE = 4, 100
# Quality of JPEG.
_COARSE, _FINE = 85, 90


class Page(NamedTuple):
    """A page of a PDF; `changed` and `reworded` are the PDF with one character and one word
    changed, None if there is none."""

    name: str
    pdf: bytes
    number: int
    changed: bytes | None
    reworded: bytes | None = None


def drawn_pages(count: int, seed: int, grey: float = 0) -> Iterator[Page]:
    """Args: grey: of the text, from black to white."""
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        font, size = _FONTS[number % 4], _SIZES[number // 4 % 4]
        words = _words(rng, size)
        text = [word for *_, word in words]
        at = rng.choice([i for i, word in enumerate(text) if _altered(rng, word) != word])
        changed = [*words[:at], (*words[at][:2], _altered(rng, text[at])), *words[at + 1 :]]
        reworded = _reworded(rng, words)
        pdfs = (pdf_of_words(text, font, size, grey) for text in (words, changed, reworded))
        pdf, other, worded = pdfs
        yield Page(f"{font} {size}", pdf, 0, other, worded)


def _reworded(
    rng: random.Random, words: list[tuple[float, float, str]]
) -> list[tuple[float, float, str]]:
    """With another word of three letters or more, or an amount with at least two other digits."""
    while True:
        at = rng.randrange(len(words))
        x, y, old = words[at]
        if sum(one.isdigit() for one in old) >= 3:
            new = "".join(rng.choice("123456789") if one.isdigit() else one for one in old)
        else:
            new = rng.choice([one for one in _WORDS if len(one) == len(old)] or [old])
        if len(old) >= 3 and sum(a != b for a, b in zip(old, new, strict=True)) >= 2:
            return [*words[:at], (x, y, new), *words[at + 1 :]]


def _words(rng: random.Random, size: int) -> list[tuple[float, float, str]]:
    """Left, baseline and text of every word."""
    found = []
    for y in range(790, 60, -round(size * 1.25)):
        x = 50.0
        while x < 500:
            word = rng.choice(_WORDS)
            if rng.random() < 0.2:
                word = (
                    f"{rng.choice(('', '-'))}{rng.randrange(1, 9_999):,}.{rng.randrange(100):02d}"
                )
            found.append((x, float(y), word))
            x += (len(word) + 1) * size * 0.6
    return found


def _altered(rng: random.Random, word: str) -> str:
    """With one character changed; the word itself if none of it can be."""
    places = [i for i, one in enumerate(word) if one in _CHANGES]
    if places:
        at = rng.choice(places)
        return word[:at] + _CHANGES[word[at]] + word[at + 1 :]
    return word[:-1] + _LAST.get(word[-1], word[-1])


def pdf_of_words(
    words: list[tuple[float, float, str]], font: str, size: int, grey: float = 0
) -> bytes:
    """A page of A4. Args: words: as `_words` returns them."""
    text = "".join(f"1 0 0 1 {x:.2f} {y:.2f} Tm ({word}) Tj\n" for x, y, word in words)
    content = f"{grey} g BT /F1 {size} Tf\n{text}ET".encode()
    return assembled(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
            b"/Resources << /Font << /F1 5 0 R >> >> >>",
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /%s >>" % font.encode(),
        ]
    )


def real_pages(folder: Path) -> Iterator[Page]:
    """Pages with something on them; PDFs that cannot be opened are left out."""
    seen = set()
    for path in sorted(folder.glob("*.pdf")):
        data = path.read_bytes()
        try:
            with pdfium.PdfDocument(data) as document:
                sizes = [document[at].get_size() for at in range(min(len(document), _MOST_PAGES))]
        except pdfium.PdfiumError:
            continue
        for number, size in enumerate(sizes):
            small = rendered(data, number, 50, 90)
            if min(size) >= _LEAST_SIDE and small not in seen and _has_ink(data, number):
                yield Page(f"{path.stem} {number + 1}", data, number, None)
            seen.add(small)


def _has_ink(data: bytes, number: int) -> bool:
    with pdfium.PdfDocument(data) as document:
        pixels = document[number].render(scale=50 / 72).to_numpy()
    return bool(np.ptp(pixels) > 0)


def rendered(data: bytes, number: int, dpi: int, quality: int) -> bytes:
    """A page as JPEG."""
    with pdfium.PdfDocument(data) as document:
        image = document[number].render(scale=dpi / 72).to_pil().convert("RGB")
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


class Rendered(NamedTuple):
    """The renderings of a page: unchanged at both resolutions; changed at one, if it is, and with
    a word changed at the same one."""

    coarse: bytes
    fine: bytes
    changed: bytes | None
    changed_is_coarse: bool
    reworded: bytes | None = None


def renderings(pages: list[Page], coarse: int, fine: int) -> list[Rendered]:
    found = []
    for number, page in enumerate(pages):
        # In turn the coarser and the finer one is changed.
        dpi, quality = ((coarse, _COARSE), (fine, _FINE))[number % 2]
        found.append(
            Rendered(
                rendered(page.pdf, page.number, coarse, _COARSE),
                rendered(page.pdf, page.number, fine, _FINE),
                rendered(page.changed, page.number, dpi, quality) if page.changed else None,
                number % 2 == 0,
                rendered(page.reworded, page.number, dpi, quality) if page.reworded else None,
            )
        )
    return found


def joined(pages: list[Rendered]) -> list[int]:
    """What became of pages and of changed ones.

    Returns:
        pages; those whose renderings are candidates, are the same, are in one cluster, and have the
        verdict of another rendering. Then of the pages with one character changed, and of those
        with a word changed: how many there are, are the same as an unchanged one, are in its
        cluster, and have the verdict.
    """
    datas: list[bytes] = []
    pairs: list[tuple[int, int]] = []
    changed: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
    for page in pages:
        start = len(datas)
        datas += [page.coarse, page.fine]
        pairs.append((start, start + 1))
        for other, wrong in zip((page.changed, page.reworded), changed, strict=True):
            if other is not None:
                wrong.append((start, len(datas)))
                datas.append(other)
    run = find(datas)
    known = [
        set(map(tuple, found.tolist()))
        for found in (run.found.candidates, run.found.accepted, run.found.merged, run.rerendered)
    ]
    told = [len(pairs), *(sum(pair in found for pair in pairs) for found in known)]
    for wrong in changed:
        both = [((start, at), (start + 1, at)) for start, at in wrong]
        told += [
            len(both),
            *(sum(any(p in found for p in pp) for pp in both) for found in known[1:]),
        ]
    return told


def residuals(pages: list[Rendered]) -> str:
    same, changed = [], []
    for page in pages:
        coarse, fine = greys_of(page.coarse), greys_of(page.fine)
        same.append(largest_error(fine, coarse))
        if page.changed is not None:
            other = greys_of(page.changed)
            pair = (fine, other) if page.changed_is_coarse else (other, coarse)
            changed.append(largest_error(*pair))
    told = [f"unchanged {_quantiles(same)}"]
    if changed:
        told.append(f"changed {_quantiles(changed)}")
    return "; ".join(told)


def _quantiles(values: list[float]) -> str:
    found = np.quantile(values, [0, 0.05, 0.5, 0.95, 1])
    return " ".join(f"{value:.0f}" for value in found)


_COUNTS = ("number", "same", "one cluster", "rendering")
_HEAD = (
    *("pages", "dpi", "number", "candidates", "same", "one cluster", "rendering"),
    *(f"character: {name}" for name in _COUNTS),
    *(f"word: {name}" for name in _COUNTS),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.duplicates.pages_dpi", description=__doc__
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pages", type=int, default=32, help="drawn ones")
    parser.add_argument("--grey", type=float, default=0, help="of drawn text, 0 is black, 1 white")
    parser.add_argument("--pdfs", type=Path, metavar="FOLDER", help="real PDFs as well")
    parser.add_argument("--dpi", nargs="+", default=["144/150", "150/200", "96/150"])
    parser.add_argument("--residuals", action="store_true", help="0, 5, 50, 95, 100 % of each")
    options = parser.parse_args()
    kinds = {"drawn": list(drawn_pages(options.pages, options.seed, options.grey))}
    if options.pdfs:
        kinds["real"] = list(real_pages(options.pdfs))
    print("|", " | ".join(_HEAD), "|")
    print("|---|---|" + "---:|" * (len(_HEAD) - 2))
    for pair in options.dpi:
        coarse, fine = map(int, pair.split("/"))
        for kind, pages in kinds.items():
            if not pages:
                continue
            made = renderings(pages, coarse, fine)
            print("|", " | ".join([kind, pair, *map(str, joined(made))]), "|", flush=True)
            if options.residuals:
                print(f"{kind} {pair}, levels: {residuals(made)}", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
