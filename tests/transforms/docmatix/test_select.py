"""The text of a page as a request holds it."""

from __future__ import annotations

import time

import pytest
from cauldron.transforms.docmatix.select import _clean


def test_white_space_at_line_ends_and_empty_lines_are_left_out() -> None:
    assert _clean("a  \t\nb\r\n \n\n\nc  d\n") == "a\nb\n\nc  d"


@pytest.mark.parametrize("sign", " \t\r\n")
def test_a_page_of_white_space_takes_no_time(sign: str) -> None:
    start = time.process_time()
    assert _clean("a" + sign * 200_000 + "b")
    assert time.process_time() - start < 2
