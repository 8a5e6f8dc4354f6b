"""Documents longer than a sequence: where they are cut, and that nothing of them is lost."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from cauldron.training.data.packing import (
    MeasuredRow,
    PackRules,
    RowRef,
    cut_document,
    extent,
    pack_window,
)
from cauldron.training.data.sampler import RowGroup

from cauldron.core.schema import document_messages
from cauldron.core.tiles import tile_grid
from tests.training.data.conftest import LAYOUT
from tests.training.data.mixtures import make_row, messages_of_row, write_mixture
from tests.training.data.tiny import TILE, TOKENS_PER_TILE

GROUP = RowGroup(0, 0, 10)
EDGE = 4 * TILE
RULES = PackRules(LAYOUT, 200, "never", 0, cut_documents=True)
BLOCK = LAYOUT.block_length(1, 1)


def measured(runs: Sequence[int], side: int = TILE, span: Any = None) -> MeasuredRow:
    text = sum(runs)
    sizes = ((side, side),) * (len(runs) - 1)
    return MeasuredRow(RowRef(GROUP, 0, span), "obelics", text, text, sizes, tuple(runs))


def spans(parts: Sequence[MeasuredRow]) -> list[tuple[int, int]]:
    return [part.ref.span for part in parts if part.ref.span is not None]


def test_a_document_that_fits_is_not_cut():
    row = measured([10, 200 - 10 - BLOCK])
    assert list(cut_document(row, EDGE, RULES)) == [row]


def test_a_cut_is_before_an_image():
    row = measured([30, 80, 90, 120])
    parts = list(cut_document(row, EDGE, RULES))
    # Two images with their texts would be too long.
    assert spans(parts) == [(0, 111), (111, 202), (202, 323)]
    assert [part.runs for part in parts] == [(30, 80), (0, 90), (0, 120)]
    assert [len(part.sizes) for part in parts] == [1, 1, 1]
    assert [part.supervised for part in parts] == [109, 90, 120]


def test_a_text_that_alone_is_too_long_is_cut_inside():
    parts = list(cut_document(measured([450, 20]), EDGE, RULES))
    assert spans(parts) == [(0, 200), (200, 400), (400, 471)]
    assert [part.runs for part in parts] == [(200,), (200,), (50, 20)]


@pytest.mark.parametrize("seed", range(20))
def test_parts_fit_and_add_up_to_the_document(seed):
    rng = np.random.Generator(np.random.Philox(seed))
    runs = [int(n) for n in rng.integers(0, [20, 90, 300][seed % 3], int(rng.integers(1, 9)))]
    row = measured(runs, side=TILE * int(rng.integers(1, 4)))
    parts = list(cut_document(row, EDGE, RULES))
    assert all(extent(part, EDGE, RULES)[0] <= RULES.sequence_length for part in parts)
    assert sum(part.text for part in parts) == row.text
    assert [size for part in parts for size in part.sizes] == list(row.sizes)
    found = spans(parts)
    if found:
        assert found[0][0] == 0
        assert found[-1][1] == row.text + len(row.sizes)
        assert all(a[1] == b[0] for a, b in itertools.pairwise(found))


def test_a_part_is_cut_again_for_larger_images():
    row = measured([0, 30, 30], side=2 * TILE)
    small = list(cut_document(row, TILE, RULES))
    assert small == [row]
    again = list(cut_document(row, 2 * TILE, PackRules(LAYOUT, 100, "never", 0, True)))
    assert len(again) > 1
    assert spans(again)[-1][1] == 62


def test_an_image_longer_than_a_sequence_is_never_cut():
    row = measured([10, 10], side=4 * TILE)
    rules = PackRules(LAYOUT, 60, "never", 0, cut_documents=True)
    assert list(cut_document(row, EDGE, rules)) == [row]
    assert pack_window([row], EDGE, rules, 0).too_long == [0]


def test_conversations_are_never_cut_nor_are_documents_without_the_option():
    chat = MeasuredRow(RowRef(GROUP, 0), "lnqa", 900, 100, ())
    assert pack_window([chat], EDGE, RULES, 0).too_long == [0]
    whole = PackRules(LAYOUT, 200, "never", 0)
    assert pack_window([measured([900])], EDGE, whole, 0).too_long == [0]


def long_row(number: int, images: int) -> dict[str, Any]:
    """A document with a text before, between and after its images."""
    row = make_row(number, "obelics", ((TILE * 2, TILE),) * images, turns=[("", "")])
    texts = [f"Part {n} of {number}. " + "small red house " * (7 * n) for n in range(images + 1)]
    parts = [part for text in texts for part in (text, None)][:-1]
    return row | {"messages": document_messages(parts), "turn_sources": ["obelics"]}


ROWS = [long_row(number, number % 6) for number in range(30)]
SEQUENCE = 150


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    return write_mixture(tmp_path_factory.mktemp("documents"), ROWS)


def epoch(loader) -> list[Any]:
    packs = []
    for step in loader:
        found = list(step)
        packs += [pack for pack in found if pack.position.epoch == 0]
        if any(pack.position.epoch > 0 for pack in found):
            return packs
    raise AssertionError("a loader has no end")


def tokens_of(rows: list[dict[str, Any]]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for row in rows:
        text = LAYOUT.encode(messages_of_row(row["messages"]))
        sizes = [(info["width"], info["height"]) for info in row["image_info"]]
        grids = [tile_grid(*size, EDGE, TILE) for size in sizes]
        counts.update(LAYOUT.expand(text, grids).ids.tolist())
    return counts


def test_every_token_of_a_cut_document_is_in_one_pack(documents, opened):
    loader = opened(of=documents, sequence_length=SEQUENCE, cut_documents=True)
    packs = epoch(loader)
    assert not loader.too_long
    assert all(len(pack.input_ids) <= SEQUENCE for pack in packs)
    found = Counter(token for pack in packs for token in pack.input_ids.tolist())
    assert found == tokens_of(ROWS)
    tiles = sum(len(pack.tiles) for pack in packs)
    assert tiles * TOKENS_PER_TILE == sum(len(pack.image_positions) for pack in packs)
    assert sum(len(pack.document_sources) for pack in packs) > len(ROWS)


def test_without_the_option_long_documents_are_left_out_and_counted(documents, opened):
    loader = opened(of=documents, sequence_length=SEQUENCE)
    epoch(loader)
    assert loader.too_long["obelics"] > 0


def test_a_larger_edge_in_the_middle_of_a_round_loses_no_part(documents, opened):
    edges = ((0, TILE), (2, EDGE))
    loader = opened(of=documents, sequence_length=SEQUENCE, cut_documents=True, longest_edge=edges)
    packs = epoch(loader)
    layout = LAYOUT.encode([("assistant", ["x"])])
    end = int(layout.ids[-1])
    # Each document has one end; its text is there once, at whatever edge its images are.
    assert sum(pack.input_ids.tolist().count(end) for pack in packs) == len(ROWS)
    image_free = sum(
        len(LAYOUT.encode(messages_of_row(row["messages"])).ids) - len(row["images"])
        for row in ROWS
    )
    blocks = {
        edge: LAYOUT.block_length(*tile_grid(TILE * 2, TILE, edge, TILE)) for edge in (TILE, EDGE)
    }
    total = sum(len(pack.input_ids) for pack in packs)
    images = sum(len(row["images"]) for row in ROWS)
    assert any(
        total == image_free + small * blocks[TILE] + (images - small) * blocks[EDGE]
        for small in range(images + 1)
    )


def test_a_resumed_run_goes_on_in_the_middle_of_a_document(documents, opened):
    changes = {"of": documents, "sequence_length": SEQUENCE, "cut_documents": True}
    loader = opened(**changes)
    for _ in range(2):
        step = next(loader)
        assert list(step)
    state = loader.state()
    expected = [[p.input_ids.tolist() for p in next(loader)] for _ in range(2)]
    resumed = opened(**changes, state=state)
    assert [[p.input_ids.tolist() for p in next(resumed)] for _ in range(2)] == expected
