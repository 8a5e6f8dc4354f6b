"""Tallies add up in any order to the same figures, to the last bit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from cauldron.transforms.mixing.selection import Passes, Terms, select, tallies_of
from cauldron.transforms.mixing.tallies import Tally, tally, total

from cauldron.core.sections.stage import StageRecipe
from cauldron.core.shares import SourceCounts
from tests.mixing import decision, merged_decision, write_curation

STAGE = StageRecipe.model_validate(
    {"promise": "epochs", "mixture": {"a": {"epochs": 1.5}, "b": {"epochs": 2}}}
)


def test_a_merged_row_counts_for_all_that_it_holds(tmp_path: Path) -> None:
    rows = [
        decision("a", 0, turns=3, answer_tokens=30),
        decision("a", 1, decision="drop"),
        merged_decision(2, {"a": (1, 7), "b": (14, 50)}),
        merged_decision(3, {"b": (2, 4)}),
    ]
    found = tallies_of(write_curation(tmp_path / "c", [rows]), STAGE)
    assert found == {
        "a": Tally(2, {7: 37}, 1000, {("a", "b"): 1100}),
        "b": Tally(2, {7: 4, 14: 50}, 0, {("b",): 1100}),
    }
    assert found["b"].counts(7) == SourceCounts(2, 54.0, 29.0)
    assert found["b"].counts(None) == SourceCounts(2, 54.0, 54.0)
    # 3 copies of two rows of a, of which one is merged; 2 of the merged rows, b's epochs.
    allocations = Terms(STAGE, ["a", "b"], {}).solve(Terms(STAGE, ["a", "b"], {}).counts(found))
    selection = select(found, allocations)
    assert selection.passes == {"a": Passes(1, 1), "b": Passes(2, 0)}
    assert selection.bytes == 1500 + 2 * 1100 + 2 * 1100


def test_without_a_cap_every_token_is_delivered(tmp_path: Path) -> None:
    paths = write_curation(tmp_path / "c", [[decision("a", 0, turns=90, answer_tokens=91)]])
    ((_, found),) = tally(paths[0], None)
    assert found.counts(None) == SourceCounts(1, 91.0, 91.0)


def test_a_fractional_cap_delivers_its_part_of_the_longer_rows(tmp_path: Path) -> None:
    rows = [decision("a", n, turns=turns, answer_tokens=60) for n, turns in enumerate((1, 2, 3))]
    ((_, found),) = tally(write_curation(tmp_path / "c", [rows])[0], 1.5)
    assert found.tokens == {1: 60, 2: 60, 3: 60}
    assert found.counts(1.5) == SourceCounts(3, 180.0, 60 + 60 * 1.5 / 2 + 60 * 1.5 / 3)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_files_changes_no_bit(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    rows = [
        decision("a", n, turns=rng.randrange(1, 40), answer_tokens=rng.randrange(1, 10**6))
        for n in range(300)
    ]
    whole = tallies_of(write_curation(tmp_path / "one", [rows]), STAGE)["a"]
    files = write_curation(tmp_path / "many", [rows[n::7] for n in range(7)])
    rng.shuffle(files)
    parts = [item for path in files for _, item in tally(path, 7)]
    assert total(parts).counts(7) == whole.counts(7)
    assert total([total(parts[:3]), total(parts[3:])]) == total(parts) == whole
