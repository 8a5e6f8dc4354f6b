"""Which reviews are obeyed."""

from __future__ import annotations

import numpy as np
from cauldron.transforms.matching.reviews.resolve import _FOUND, decide
from cauldron.transforms.pictures.signatures import BLANK_GROUND


def decided(*reviews: tuple[int, int, bool], blank: frozenset[int] = frozenset()):
    """Reviews of pictures by number; negative numbers are not found."""
    rows = [{"same": same} for *_, same in reviews]
    found = []
    for place, (first, second, _) in enumerate(reviews):
        for side, number in enumerate((first, second)):
            if number >= 0:
                ground = BLANK_GROUND if number in blank else 10
                found.append((place, side, number, number, 0, 1 << number, ground))
    np.random.default_rng(0).shuffle(found)
    status, pairs = decide(rows, np.array(found, dtype=_FOUND))
    return status, [tuple(pair) for pair in pairs.tolist()]


def test_reviews_are_obeyed_with_the_pictures_in_order():
    status, pairs = decided((7, 2, True), (3, 9, False))
    assert status == ["obeyed", "obeyed"]
    assert pairs == [(2, 7, 2, 1), (3, 9, 2, 0)]


def test_the_same_pair_under_two_names_is_one_pair():
    assert decided((1, 2, True), (2, 1, True)) == (["obeyed"] * 2, [(1, 2, 2, 1)])


def test_pictures_that_are_not_there_or_blank_or_the_same_are_told():
    status, pairs = decided((1, -1, True), (4, 4, False), (5, 6, True), blank=frozenset({6}))
    assert status == ["unknown", "identical", "blank"]
    assert pairs == []


def test_in_doubt_pictures_are_not_the_same():
    """A is B, B is C, A is not C: the later of the two that join them is not obeyed."""
    status, pairs = decided((1, 2, True), (2, 3, True), (1, 3, False))
    assert status == ["obeyed", "contradicted", "obeyed"]
    assert [pair[:2] for pair in pairs] == [(1, 2), (1, 3)]


def test_groups_of_joined_pictures_stay_apart_as_wholes():
    status, _ = decided((1, 2, True), (3, 4, True), (2, 3, True), (1, 4, False))
    assert status == ["obeyed", "obeyed", "contradicted", "obeyed"]
