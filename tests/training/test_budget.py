"""A budget of sequences is what the trainer consumes: built mixtures, packed by its own loader."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from cauldron.training.data.loader import PackLoader
from cauldron.training.data.settings import LoaderSettings
from cauldron.training.data.tokenization import TokenLayout

from cauldron.core.output.mixture import load_mixture
from tests.curated import VQA, World, document, row
from tests.training.data.tiny import fast_tokenizer

WEB = "obelics"
SEQUENCE = 4_096


def rows_of(count: int) -> tuple[list[Any], list[Any]]:
    """Documents and conversations whose words are about a token each in the test's tokenizer."""
    pages = [
        document(WEB, "the house " * (20 + 7 * n % 90), n, "tree " * (n % 50 + 1), number=n)
        for n in range(count)
    ]
    asked = [
        row(VQA, [(f"What is {n}?", "red " * (n % 20 + 1))], 1_000 + n, size=(500, 300), number=n)
        for n in range(count)
    ]
    return pages, asked


@pytest.mark.parametrize("edges", [364, [[0, 364], [0.5, 728]]])
def test_the_loader_makes_as_many_sequences_as_the_budget_says(tmp_path: Path, edges: Any) -> None:
    world = World(str(tmp_path / "out"))
    pages, asked = rows_of(150)
    world.add(WEB, pages)
    world.add(VQA, asked)
    curation = world.curate(action=None, matches="m1")
    budget, mixture = 24, {WEB: {"share": 0.9}, VQA: {"share": 0.1}}
    world.mix(
        curation,
        budget={"sequences": budget},
        sequence_length=SEQUENCE,
        longest_edge=edges,
        mixture=mixture,
        row_group_bytes=16_384,
    )
    made = load_mixture(f"{world.out}/mixtures/test/sft")
    layout = TokenLayout(fast_tokenizer(), 364, 169)
    steps = 364 if isinstance(edges, int) else ((0, 364), (budget // 2, 728))
    rounds = {} if isinstance(edges, int) else {"window_rows": 60, "windows": 1}
    filled = []
    # When the images grow, what is left of a round is packed again: so rounds are small. Which rows
    # come before depends on the order, and here they are few.
    for seed in range(1 if isinstance(edges, int) else 3):
        settings = LoaderSettings(
            batch=1,
            sequence_length=SEQUENCE,
            longest_edge=steps,
            workers=0,
            cut_documents=True,
            seed=seed,
            **rounds,
        )
        loader = PackLoader(made, layout, settings, 0, 1, None)
        packs = (next(iter(step)) for step in loader)
        first = list(itertools.takewhile(lambda pack: pack.position.epoch == 0, packs))
        # Small rounds waste room, which is not the budget's fault.
        tokens = sum(len(pack.input_ids) for pack in first) / SEQUENCE
        filled.append(tokens if rounds else len(first))
        loader.close()
    assert sum(filled) / len(filled) == pytest.approx(budget, rel=0.12), filled
