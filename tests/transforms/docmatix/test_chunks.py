"""Chunks: within the limits, every page in one, and the roles of the prompts."""

from __future__ import annotations

from collections import Counter

import pytest
from cauldron.transforms.docmatix.chunks import cut, joined
from cauldron.transforms.docmatix.prompts import ROLES, messages, request_key, role_of, uniform

from cauldron.core.sections.docmatix import DocmatixRules


@pytest.mark.parametrize(
    ("tokens", "chunks"),
    [
        ([100, 200, 300, 400], [range(4)]),
        ([5_000], [range(1)]),
        ([3_000, 1_500, 400, 3_000], [range(3), range(2, 4)]),
        ([3_000, 3_000, 3_000], [range(1), range(1, 2), range(2, 3)]),
        ([10] * 7, [range(5), range(4, 7)]),
        ([0, 0], [range(2)]),
        ([], []),
    ],
)
def test_a_chunk_holds_what_its_limits_allow_and_repeats_a_page(
    tokens: list[int], chunks: list[range]
) -> None:
    assert cut(tokens, DocmatixRules()) == chunks


def test_every_page_is_in_a_chunk_and_no_chunk_is_too_long() -> None:
    rules = DocmatixRules(chunk_tokens=100, max_page_tokens=100, chunk_pages=3, overlap_pages=2)
    for number in range(200):
        tokens = [uniform(number, str(page)) % 101 for page in range(number % 9)]
        chunks = cut(tokens, rules)
        assert {page for chunk in chunks for page in chunk} == set(range(len(tokens)))
        assert all(0 < len(chunk) <= 3 for chunk in chunks)
        assert all(sum(tokens[page] for page in chunk) <= 100 for chunk in chunks)


def test_pages_are_joined_as_published() -> None:
    assert joined(["a", "b", "c"], range(1, 3)) == "b\nNEW PAGE\nc"


def test_roles_follow_from_seed_document_and_chunk_and_are_even() -> None:
    drawn = Counter(role_of(1, str(key), 0) for key in range(5_000))
    assert sorted(drawn) == list(range(len(ROLES)))
    assert all(abs(number - 1_000) < 150 for number in drawn.values())
    assert [role_of(1, "k", n) for n in range(9)] == [role_of(1, "k", n) for n in range(9)]
    assert [role_of(1, "k", n) for n in range(9)] != [role_of(2, "k", n) for n in range(9)]


def test_every_role_has_its_own_request() -> None:
    requests = [messages("Text", role) for role in range(len(ROLES))]
    assert len({request[0].parts for request in requests}) == len(ROLES)
    for system, user in requests:
        assert (system.role, user.role, user.parts) == ("system", "user", ("Text",))
        (said,) = system.parts
        assert "Q1: " in said
        assert "{" not in said
    assert len({request_key("Text", role) for role in range(len(ROLES))}) == len(ROLES)


@pytest.mark.parametrize(
    "values", [{"max_page_tokens": 9_000}, {"overlap_pages": 5}, {"share": 0}, {"max_missing": 2}]
)
def test_rules_that_cannot_hold_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"raise|less|greater"):
        DocmatixRules.model_validate(values)
