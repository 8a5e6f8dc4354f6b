"""Pages at another resolution: a verdict of their own, and what it never may be given to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cauldron.transforms.matching.compare.comparer import PictureComparer
from cauldron.transforms.matching.compare.comparison import BAR
from cauldron.transforms.matching.compare.pieces import rendering
from cauldron.transforms.matching.compare.pieces.rendering import (
    compare_renderings,
    least_alike,
    may_be_other_rendering,
    rest_of,
)
from cauldron.transforms.matching.compare.pieces.rescaled import greys_of
from cauldron.transforms.matching.compare.prepared import prepare
from cauldron.transforms.matching.records import DIFFERENT, OTHER_RENDERING, PAIR

from benchmarks.duplicates.pages_dpi.__main__ import drawn_pages, pdf_of_words, rendered
from tests.transforms.matching.compare.stored_job import stored_job

LINES = (
    *("Invoice 2024-0417", "Date 12.03.2024", "Account of the month 4,318.20"),
    *("Balance due before the end", "Service agreed with the customer", "Amount 7,905.36"),
)
CHANGED = {
    "date": (1, "Date 27.11.2024"),
    "amount": (2, "Account of the month 6,907.51"),
    "word": (3, "Balance due after the end"),
}


def page(lines: tuple[str, ...], dpi: int, grey: float = 0) -> bytes:
    """Lines of 9 points, each word placed by itself."""
    words = [
        (60.0 + 45 * across, 780.0 - 14 * down, word)
        for down, line in enumerate(lines)
        for across, word in enumerate(line.split())
    ]
    return rendered(pdf_of_words(words, "Helvetica", 9, grey), 0, dpi, 85)


def changed(name: str) -> tuple[str, ...]:
    at, line = CHANGED[name]
    return (*LINES[:at], line, *LINES[at + 1 :])


def verdict(folder: Path, first: bytes, second: bytes) -> tuple[int, float]:
    pairs = np.zeros(1, dtype=PAIR)
    pairs["second"] = 1
    (found,) = PictureComparer(stored_job(folder, [first, second])).compare(pairs)
    return int(found["same"]), float(found["score"])


@pytest.mark.parametrize("dpi", [80, 110])
def test_a_page_at_another_resolution_has_a_verdict_of_its_own(tmp_path, dpi):
    (dense,) = drawn_pages(1, 7)
    coarse, fine = (rendered(dense.pdf, 0, one, 85) for one in (60, dpi))
    same, score = verdict(tmp_path, coarse, fine)
    assert same == OTHER_RENDERING
    assert BAR <= score <= 1


@pytest.mark.parametrize("grey", [0, 0.6])
@pytest.mark.parametrize("name", CHANGED)
def test_another_word_or_amount_is_another_page(tmp_path, name, grey):
    coarse, fine = page(LINES, 72, grey), page(changed(name), 108, grey)
    assert verdict(tmp_path, coarse, fine)[0] == DIFFERENT
    assert compare_renderings(greys_of(coarse), greys_of(fine)) is None


def test_a_short_word_of_small_letters_is_another_page():
    """`the` and `due`, 8 points at 96 dpi: of 137 changed words and amounts the least different."""
    *_, one = drawn_pages(2, 5)
    assert one.reworded is not None
    coarse, fine = rendered(one.pdf, 0, 96, 85), rendered(one.pdf, 0, 150, 90)
    assert compare_renderings(greys_of(coarse), greys_of(fine)) is not None
    reworded = rendered(one.reworded, 0, 150, 90)
    assert compare_renderings(greys_of(coarse), greys_of(reworded)) is None


def test_rows_in_another_order_are_another_page(tmp_path):
    lines = (*LINES[:4], LINES[5], LINES[4])
    assert verdict(tmp_path, page(LINES, 72), page(lines, 108))[0] == DIFFERENT


def test_which_page_comes_first_does_not_matter():
    a, b = greys_of(page(LINES, 72)), greys_of(page(LINES, 100))
    assert rest_of(a, b) == rest_of(b, a)


def test_only_sizes_of_one_page_are_looked_at():
    assert may_be_other_rendering((1191, 1684), (794, 1123))
    assert not may_be_other_rendering((794, 1123), (794, 1123)), "one size"
    assert not may_be_other_rendering((1191, 1684), (794, 1127)), "another shape"
    assert not may_be_other_rendering((1191, 1684), (500, 707)), "less than half"
    assert not may_be_other_rendering((12000, 16000), (9000, 12000)), "too large"


def test_other_text_is_refused_before_anything_is_moved():
    (dense,) = drawn_pages(1, 7)
    (other,) = drawn_pages(1, 8)
    coarse, fine, another = (
        prepare(rendered(pdf, 0, dpi, 85))
        for pdf, dpi in ((dense.pdf, 60), (dense.pdf, 110), (other.pdf, 110))
    )
    assert least_alike(coarse, fine) is not None
    assert least_alike(coarse, fine) == least_alike(fine, coarse)
    assert least_alike(coarse, another) is None


def test_the_likeliest_rows_are_looked_at_first(monkeypatch):
    """A page with another last line ends after one look, if it is known where."""
    looked: list[int] = []
    rest = rendering._rest
    monkeypatch.setattr(rendering, "_rest", lambda *rows: looked.append(1) or rest(*rows))
    lines = tuple(f"Line {number} of many" for number in range(50))
    coarse, fine = page(lines, 72), page((*lines[:-1], "Another last line"), 108)
    assert compare_renderings(greys_of(coarse), greys_of(fine)) is None
    first = len(looked)
    look_at = least_alike(prepare(coarse), prepare(fine))
    assert compare_renderings(greys_of(coarse), greys_of(fine), look_at or 0.9) is None
    assert len(looked) - first == 1 < first
