"""Budgets of sequences: rows are measured and packed as the trainer does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cauldron.transforms.mixing.lengths import (
    LengthRules,
    Lengths,
    add_lengths,
    measure,
    packed,
    typical,
    with_sequences,
)
from cauldron.transforms.mixing.selection import Terms
from cauldron.transforms.parts import table_file

from cauldron.core.errors import CauldronError
from cauldron.core.output.manifests import corpus_folder
from cauldron.core.packing import pack
from cauldron.core.sections.stage import StageRecipe
from cauldron.core.shares import SourceCounts, row_parts, solve
from cauldron.core.tiles import tile_count
from tests.curated import VQA, World, document, row

WEB = "obelics"
RULES = LengthRules((364, 728), 364, "never", 1_000, 7, "estimate")


def stage(**changes: Any) -> StageRecipe:
    values: dict[str, Any] = {
        "mixture": {"a": {"share": 0.5}, "b": {"share": 0.5}},
        "budget": {"sequences": 100},
        "sequence_length": 1_000,
    }
    return StageRecipe.model_validate(values | changes)


def counts(tokens: float, *sequences: float, rows: int = 100) -> SourceCounts:
    return SourceCounts(rows, tokens, tokens, sequences)


def parts_of(tmp_path: Path, *rows: Any, source: str = WEB) -> str:
    world = World(str(tmp_path / "out"))
    world.add(source, list(rows))
    return table_file(corpus_folder(world.out, source, "f0"), 0, 1)


def test_a_document_is_its_text_its_images_and_two_tokens(tmp_path):
    path = parts_of(tmp_path, document(WEB, "One two.", 1, "Three.", 2))
    found = measure(path, RULES)
    block = found.totals[0] - 3 - 2
    assert block % 2 == 0
    # 169 tokens of the one tile, and some for the marks around it.
    assert 169 < block // 2 < 185
    assert found.totals[0] == found.totals[1]  # the pictures are smaller than one tile


def test_larger_images_take_more_tokens(tmp_path):
    world = World(str(tmp_path / "out"))
    world.add(VQA, [row(VQA, [("Which?", "One")], 1, size=(900, 700))])
    found = measure(table_file(corpus_folder(world.out, VQA, "f0"), 0, 1), RULES)
    tiles = [tile_count(900, 700, edge, 364) for edge in RULES.edges]
    assert tiles == [1, 5]
    assert 169 * 4 < found.totals[1] - found.totals[0] < 180 * 4 + 40


def test_a_conversation_too_long_for_a_sequence_counts_nothing_and_a_document_does(tmp_path):
    text = "word " * 1_200
    first = measure(parts_of(tmp_path / "1", row(VQA, [("Which?", text)]), source=VQA), RULES)
    other = measure(parts_of(tmp_path / "2", document(WEB, text, 1)), RULES)
    assert first.totals == (0, 0)
    assert other.totals[0] > 1_200


def test_the_cap_on_turns_shortens_a_conversation(tmp_path):
    talk = [(f"Question {n}?", "one two three four") for n in range(14)]
    path = parts_of(tmp_path, row(VQA, talk, 1), source=VQA)
    every = LengthRules((364,), 364, "never", 1_000, None, "estimate")
    half = LengthRules((364,), 364, "never", 1_000, 7, "estimate")
    text = 14 * (3 + 4)
    assert measure(path, every).totals[0] - measure(path, half).totals[0] >= text // 2


def test_lengths_add_up_in_any_order():
    rng = np.random.default_rng(0)
    rows = [[(int(n), (10, 20)) for n in sorted(rng.integers(1 << 60, size=3))] for _ in range(5)]
    parts = [Lengths(3, (30, 60), tuple(sample)) for sample in rows]
    assert add_lengths(parts) == add_lengths(parts[::-1])
    assert add_lengths([add_lengths(parts[:2]), add_lengths(parts[2:])]) == add_lengths(parts)
    assert add_lengths(parts).totals == (150, 300)


def test_sequences_are_as_full_as_packing_makes_them():
    rules = LengthRules((364,), 364, "never", 1_000, None, "estimate")
    lengths = {"a": Lengths(10, (6_000,), tuple((n, (600,)) for n in range(10)))}
    whole = with_sequences({"a": counts(100.0, rows=10)}, lengths, rules)
    assert whole["a"].sequences == (6.0,)
    found = packed(whole, lengths, solve(stage(mixture={"a": 1}), whole), rules)
    # Two rows of 600 do not fit into 1,000: a sequence each.
    assert len(pack([600] * 10, 1_000)) == 10
    assert found["a"].sequences == pytest.approx((10.0,))


def test_a_budget_of_sequences_is_met():
    given = {"a": counts(1_000.0, 20.0), "b": counts(1_000.0, 60.0)}
    found = solve(stage(), given)
    filled = sum(item.epochs * item.counts.sequences[0] for item in found)
    assert filled == pytest.approx(100)
    assert [item.planned_share for item in found] == pytest.approx([0.5, 0.5])


def test_a_stage_whose_images_grow_divides_its_sequences_as_the_recipe_says():
    grows = stage(longest_edge=[[0, 364], [0.25, 728]])
    given = {"a": counts(1_000.0, 10.0, 40.0), "b": counts(1_000.0, 30.0, 60.0)}
    found = solve(grows, given)
    parts = row_parts(grows, found)
    filled = [
        part * sum(item.epochs * item.counts.sequences[n] for item in found)
        for n, part in enumerate(parts)
    ]
    assert filled == pytest.approx([25, 75])
    assert sum(parts) == pytest.approx(1)
    assert parts[0] > 0.25  # more rows fit into a sequence


def test_a_capped_source_leaves_its_sequences_to_the_others():
    grows = stage(longest_edge=[[0, 364], [0.5, 728]], max_epochs=2)
    given = {"a": counts(1_000.0, 5.0, 5.0), "b": counts(9_000.0, 60.0, 120.0)}
    found = solve(grows, given)
    parts = row_parts(grows, found)
    assert (found[0].capped, found[1].capped) == (True, False)
    filled = sum(
        item.epochs * part * n
        for item in found
        for part, n in zip(parts, item.counts.sequences, strict=True)
    )
    assert filled == pytest.approx(100, rel=1e-6)


def test_without_lengths_no_budget_of_sequences_is_solved():
    with pytest.raises(CauldronError, match="lengths of rows"):
        solve(stage(), {"a": counts(1_000.0), "b": counts(1_000.0)})


@pytest.mark.parametrize("edges", [[], [[0.5, 364]], [[0, 364], [0, 728]], [[0, 364], [1, 728]]])
def test_edges_that_do_not_start_at_0_or_ascend_are_refused(edges):
    with pytest.raises(ValueError, match="start at 0 and ascend"):
        stage(longest_edge=edges)


def test_what_is_expected_of_a_source_is_its_average_row():
    found = typical(100.0, 0, 2.5, (640, 480), RULES)
    assert found.rows == 1
    assert 100 + 2.5 * 169 < found.totals[0] < 100 + 2.5 * 185 + 3
    assert found.totals[1] > 4 * found.totals[0] - 400


def test_edges_begin_where_rows_fill_the_part_of_the_stage(tmp_path):
    grows = stage(longest_edge=[[0, 364], [0.5, 728]], mixture={WEB: 1})
    terms = Terms(grows, (WEB,), {}, tokenizer="estimate")
    allocations = terms.solve({WEB: counts(1_000.0, 10.0, 30.0)})
    (first, small), (start, large) = terms.edges(allocations)
    assert (first, small, large) == (0, 364, 728)
    assert start / 2**64 == pytest.approx(0.75)


def test_rows_are_counted_at_the_edge_at_which_they_are_trained(tmp_path):
    world = World(str(tmp_path / "out"))
    rows = [row(VQA, [(f"Which {n}?", "One two three")], n, size=(700, 500)) for n in range(60)]
    world.add(VQA, rows)
    world.mix(
        world.curate(action=None, matches="m1"),
        budget={"sequences": 4},
        sequence_length=4_096,
        longest_edge=[[0, 364], [0.5, 728]],
        mixture={VQA: 1},
    )
    tiles = [made["tiles"] for made in world.mixture()]
    # In the order of the mixture: all small ones first.
    assert tiles == sorted(tiles)
    assert set(tiles) == {1, 5}
    filled = [sum(made["tokens"]["image"] + made["tokens"]["text"] for made in world.mixture()
                  if made["tiles"] == kind) for kind in (1, 5)]  # fmt: skip
    assert filled[0] == pytest.approx(filled[1], rel=0.2)
