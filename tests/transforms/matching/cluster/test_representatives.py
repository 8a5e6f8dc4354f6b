"""The guard: every picture of a cluster is known to be the same as its representative."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cauldron.transforms.matching.cluster.members import as_compared
from cauldron.transforms.matching.cluster.representatives import ALONE, MEMBER, advance
from cauldron.transforms.matching.records import (
    DIFFERENT,
    OTHER_COLOURS,
    OTHER_RENDERING,
    SAME,
    VERDICT,
)

from tests.transforms.matching.cluster.plain import (
    JOB,
    Judge,
    Plain,
    compared,
    drive,
    leads,
    members,
    unsettled,
)


def never(one: int, other: int) -> bool:
    raise AssertionError(f"{one} and {other} were asked for")


def alike(count: int) -> np.ndarray:
    """Pictures with equal stored numbers, the best first."""
    records = np.zeros(count, dtype=MEMBER)
    records["number"] = np.arange(count) + 100
    records["key_high"] = records["number"] * 7
    records["id_low"] = np.arange(count)
    return records


def test_those_known_to_be_the_same_follow_without_being_asked_for():
    records = alike(3)
    settled = drive(records, compared((0, 1), (0, 2)), Judge(never))
    assert leads(settled, records) == {
        100: (100, 0, 1.0),
        101: (100, 4, 0.75),
        102: (100, 4, 0.75),
    }


@pytest.mark.parametrize(
    ("same", "name"), [(OTHER_COLOURS, "other_colours"), (OTHER_RENDERING, "other_rendering")]
)
def test_a_picture_that_follows_altered_is_marked(same, name):
    records = alike(3)
    pairs = compared((0, 1), (0, 2))
    pairs["same"][1] = same
    settled = drive(records, pairs, Judge(never))
    assert set(leads(settled, records)) == {100, 101, 102}
    settled = settled[np.argsort(settled["number"])]
    columns = ("other_colours", "other_rendering")
    assert {one: settled[one].tolist() for one in columns if settled[one].any()} == {
        name: [0, 0, 1]
    }


@pytest.mark.parametrize("colours", [True, False])
@pytest.mark.parametrize("rendering", [True, False])
def test_an_altered_picture_is_the_same_only_where_the_recipe_says_so(colours, rendering):
    verdicts = np.zeros(4, dtype=VERDICT)
    verdicts["same"] = DIFFERENT, SAME, OTHER_COLOURS, OTHER_RENDERING
    job = replace(JOB, other_colours=colours, other_rendering=rendering)
    assert as_compared(verdicts, job)["same"].tolist() == [
        DIFFERENT,
        SAME,
        OTHER_COLOURS if colours else DIFFERENT,
        OTHER_RENDERING if rendering else DIFFERENT,
    ]


@pytest.mark.parametrize("same", [True, False])
def test_a_picture_never_compared_with_the_representative_is_judged_now(same):
    records = alike(3)
    judge = Judge(lambda one, other: same)
    settled = drive(records, compared((0, 1), (1, 2)), judge)
    assert judge.asked == [frozenset((100, 102))]
    found = leads(settled, records)
    assert (found.get(102) == (100, 0, 0.5)) is same
    assert settled["splits"].tolist() == [0, 0, int(not same)]
    assert (settled["place"][2] == ALONE) is not same


def test_a_pair_that_was_found_different_is_not_judged_again():
    records = alike(3)
    settled = drive(records, compared((0, 1), (1, 2), (0, 2, False)), Judge(never))
    assert set(leads(settled, records)) == {100, 101}


@pytest.mark.parametrize(
    ("field", "value"), [("phash", 0x1FF), ("phash256", [(1 << 57) - 1, 0, 0, 0]), ("aspect", 52)]
)
def test_what_the_stored_numbers_rule_out_is_not_asked_for(field, value):
    """The second, which is the same as both, leads: nothing says that they differ."""
    records = alike(3)
    records[field][2] = value
    settled = drive(records, compared((0, 1), (1, 2)), Judge(never))
    assert {lead for lead, *_ in leads(settled, records).values()} == {101}
    assert len(settled) == 3


def bordered() -> tuple[np.ndarray, np.ndarray]:
    """A bordered copy, the base, and three crops, which are the same as the base alone."""
    records = alike(5)
    records["pixels"] = [120, 100, 90, 90, 90]
    records["aspect"][0] = 60
    return records, compared((0, 1), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4))


def test_where_the_best_is_not_the_same_as_all_the_one_that_most_are_the_same_as_leads():
    records, pairs = bordered()
    settled = drive(records, pairs, Judge(never))
    assert {lead for lead, *_ in leads(settled, records).values()} == {101}
    assert len(settled) == 5


def test_a_thumbnail_never_leads():
    """It is the same as two pictures that cannot be compared."""
    records = alike(3)
    records["aspect"][1], pairs = 60, compared((0, 2), (1, 2))
    records["pixels"] = [100, 100, 49]
    assert leads(drive(records, pairs, Judge(never)), records).keys() == {100, 102}
    records["pixels"][2] = 50
    assert leads(drive(records, pairs, Judge(never)), records).keys() == {100, 101, 102}


def test_the_best_that_is_the_same_as_all_represents_whoever_led():
    records = alike(4)
    records["aspect"][3] = 60
    pairs = compared((0, 1), (0, 2), (1, 2), (1, 3, False), (2, 3))
    assert leads(drive(records, pairs, Judge(never)), records) == {
        100: (100, 0, 1.0),
        101: (100, 4, 0.75),
        102: (100, 4, 0.75),
    }


def test_one_wrong_verdict_does_not_join_what_other_verdicts_keep_apart():
    """Of two tables with three copies each, a copy is taken for one of the other table."""
    records = alike(6)
    same = [(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5), (1, 3)]
    others = [(a, b) for a in range(3) for b in range(3, 6) if (a, b) != (1, 3)]
    pairs = compared(*same, *((*pair, False) for pair in others))
    found = leads(drive(records, pairs, Judge(never)), records)
    assert {number: lead for number, (lead, *_) in found.items()} == {
        100: 100, 101: 100, 102: 100, 103: 103, 104: 103, 105: 103,
    }  # fmt: skip


def test_the_best_is_asked_about_first_and_then_the_other():
    records = alike(4)
    pairs = compared((0, 1), (1, 2), (2, 3))
    judge = Judge(lambda one, other: (one, other) == (101, 103))
    settled = drive(records, pairs, judge)
    assert judge.asked[:2] == [frozenset((100, 102)), frozenset((100, 103))]
    assert judge.asked[2:] == [frozenset((101, 103))]
    assert {lead for lead, *_ in leads(settled, records).values()} == {101}


def test_the_numbers_at_the_limits_are_judged():
    records = alike(3)
    records["phash"][2] = 0xFF
    records["phash256"][2] = [(1 << 56) - 1, 0, 0, 0]
    records["aspect"][2] = 51
    judge = Judge(lambda one, other: True)
    settled = drive(records, compared((0, 1), (1, 2)), judge)
    assert leads(settled, records)[102] == (100, 8, 0.5)


def test_what_is_split_off_makes_clusters_of_its_own():
    """A chain of six, of which only neighbours are the same: 0-1, 2-3, 4-5."""
    records = alike(6)
    pairs = compared(*((n, n + 1) for n in range(5)))
    settled = drive(records, pairs, Judge(lambda one, other: False))
    found = leads(settled, records)
    assert {number: lead for number, (lead, *_) in found.items()} == {
        100: 100, 101: 100, 102: 102, 103: 102, 104: 104, 105: 104,
    }  # fmt: skip
    assert settled["splits"].tolist() == [0, 0, 1, 1, 2, 2]


def test_the_best_is_the_largest_then_of_the_first_source_then_the_smallest_id_then_image():
    def lead_of(**changes) -> int:
        records = alike(3)
        records["pixels"], records["source"], records["id_high"] = 10, 5, 5
        records["id_low"], records["image"] = 5, [2, 1, 3]
        for name, values in changes.items():
            records[name] = values
        settled = drive(records, compared((0, 1), (0, 2), (1, 2)), Judge(never))
        (lead,) = {lead for lead, *_ in leads(settled, records).values()}
        return lead - 100

    assert lead_of() == 1
    assert lead_of(id_low=[5, 6, 5]) == 0
    assert lead_of(id_low=[0, 6, 0], id_high=[2, 1, 2]) == 1
    assert lead_of(id_high=[0, 1, 2], source=[3, 3, 2]) == 2
    assert lead_of(source=[0, 1, 2], pixels=[9, 11, 10]) == 1


def test_after_the_last_split_nothing_is_asked_and_the_rest_is_counted():
    """A chain of 20 whose best is always its first; asking never helps."""
    records = alike(20)
    judge = Judge(lambda one, other: False)
    settled = drive(records, compared(*((n, n + 1) for n in range(19))), judge)
    # Two splits take a pair off the front each, and it is asked for all that are left, first on
    # behalf of the best, then of the next; then it has waited often enough.
    assert len(judge.asked) == 18 + 17 + 16 + 15
    assert settled["splits"].tolist() == [0, 0, 1, 1, *[2] * 16]
    assert len(leads(settled, records)) == 20
    # With an odd number one stays alone, though its neighbour is the same.
    settled = drive(alike(21), compared(*((n, n + 1) for n in range(20))), judge)
    assert unsettled(settled) == {120}


@pytest.mark.parametrize("seed", range(30))
def test_clusters_are_those_of_a_plain_search(seed):
    random = np.random.default_rng(seed)
    count = int(random.integers(5, 60))
    records = members(count, seed)
    chain = [(n, n + 1) for n in range(count - 1) if random.random() < 0.8]
    drawn = random.integers(0, count, (int(count * random.random() * 3), 2)).tolist()
    known = {tuple(sorted(pair)): True for pair in chain}
    known |= {tuple(sorted(p)): bool(random.random() < 0.4) for p in drawn if p[0] != p[1]}
    pairs = compared(*((one, other, same) for (one, other), same in known.items()))
    pairs["score"] = random.integers(1, 9, len(pairs)) / 8

    def truth(one: int, other: int) -> bool:
        return (one * 31 + other * 17) % 3 == 0

    judge, plain = Judge(truth), Plain(records, pairs, truth)
    settled = drive(records, pairs, judge)
    assert leads(settled, records) == plain.lead
    assert unsettled(settled) == plain.unsettled
    assert set(settled["number"][settled["splits"] > 0].tolist()) == plain.split
    assert len(judge.asked) == len(set(judge.asked))
    assert set(judge.asked) == plain.asked
    # In another order, with pictures and pairs of others around.
    others = members(7, 1)
    others["number"] += 1000
    others["key_high"] += 1
    mixed = np.concatenate([others, records])[random.permutation(count + 7)]
    again = drive(mixed, pairs[random.permutation(len(pairs))], Judge(truth))
    assert again.tobytes() == settled.tobytes()


def test_components_wait_for_themselves_alone():
    """One that has to ask keeps no other from being settled."""
    records = np.concatenate([alike(3), alike(2)])
    records["number"][3:] += 50
    pairs = compared((0, 1), (1, 2), (50, 51), (0, 50, False))
    done = advance(records, pairs, JOB, last=False)
    assert done.settled["number"].tolist() == [150, 151]
    assert done.members["number"].tolist() == [100, 101, 102]
    assert [(int(p["first"]), int(p["second"])) for p in done.missing] == [(100, 102)]
    assert [(int(p["first"]), int(p["second"])) for p in done.compared] == [(100, 101), (101, 102)]
