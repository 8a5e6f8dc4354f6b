import io

import numpy as np
import pytest
from cauldron.transforms.matching.compare.pieces.rescaled import largest_error
from PIL import Image

from benchmarks.duplicates.pages_dpi.__main__ import drawn_pages, pdf_of_words, rendered

DPI = (144, 150)


def corner(words, dpi):
    """Two inches of the top left corner, which are whole pixels at both."""
    data = rendered(pdf_of_words(words, "Helvetica", 10), 0, dpi, 90)
    side = 2 * dpi
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"))[:side, :side].copy()


def page(amount):
    return [(20.0, 800.0, amount), (20.0, 780.0, "the account"), (30.0, 760.0, "1,204.75")]


@pytest.mark.parametrize("changed", ["8,417,73", "3,417.73", "8,417.13", "8 417.73"])
def test_a_changed_character_leaves_a_larger_residual(changed):
    coarser, finer = (corner(page("8,417.73"), dpi) for dpi in DPI)
    known = largest_error(finer, coarser)

    assert largest_error(finer, corner(page(changed), DPI[0])) > known + 10
    assert largest_error(corner(page(changed), DPI[1]), coarser) > known + 10


def test_a_blank_page_has_no_residual():
    assert largest_error(np.full((60, 50), 255, np.uint8), np.full((48, 40), 255, np.uint8)) == 0


def test_drawn_pages_have_one_word_changed_and_nothing_moved():
    for one in drawn_pages(4, 3):
        assert one.changed is not None
        pairs = zip(one.pdf.split(b"\n"), one.changed.split(b"\n"), strict=True)
        differing = [pair for pair in pairs if pair[0] != pair[1]]
        assert len(differing) == 1
        ((before, after),) = differing
        assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


def test_a_changed_word_has_two_other_characters_at_least_and_nothing_moved():
    for one in drawn_pages(8, 3):
        assert one.reworded is not None
        pairs = zip(one.pdf.split(b"\n"), one.reworded.split(b"\n"), strict=True)
        ((before, after),) = (pair for pair in pairs if pair[0] != pair[1])
        assert sum(a != b for a, b in zip(before, after, strict=True)) >= 2
