"""Merging changes no source's share: five sources on the same pictures, with weights far apart."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from cauldron.core.output.manifests import CurationManifest, MixtureManifest
from cauldron.core.sections.rules import Action
from cauldron.inspect.verify import verify
from tests.curated import LNQA, OKVQA, VQA, Row, World, row

VSR, TALLY = "the_cauldron/vsr", "the_cauldron/tallyqa"
PICTURES = 60
BUDGET = 1_500
# Weight, turns in a row, and every how many pictures it has a row. An answer has 2 tokens.
SETS = {
    VQA: (0.4, 9, 2),
    LNQA: (1.0, 1, 1),
    OKVQA: (2.0, 2, 3),
    VSR: (4.0, 1, 2),
    TALLY: (0.02, 8, 1),
}
WEIGHTS = {name: weight for name, (weight, _, _) in SETS.items()}


def rows_of(source: str) -> list[Row]:
    _, turns, step = SETS[source]
    asked = [(f"{source} {turn}?", f"{source} {turn}") for turn in range(turns)]
    return [row(source, asked, n, number=n) for n in range(0, PICTURES, step)]


def build(out: Path, action: Action, cap: float | None) -> tuple[World, CurationManifest]:
    world = World(str(out))
    rows = {source: rows_of(source) for source in SETS}
    for source, mine in rows.items():
        world.add(source, mine)
    same = {n: [(r, 0) for mine in rows.values() for r in mine if r[0].origin.row == n]
            for n in range(PICTURES)}  # fmt: skip
    curation = world.curate(same, action)
    settings = {"mixture": WEIGHTS, "budget": {"answer_tokens": BUDGET}, "turns": {"cap": cap}}
    world.mix(curation, **settings)
    return world, curation


def manifest_of(world: World) -> MixtureManifest:
    path = Path(world.out, "mixtures/test/sft/manifest.json")
    return MixtureManifest.model_validate_json(path.read_text())


@pytest.mark.parametrize("cap", [None, 7])
@pytest.mark.parametrize("action", ["merge", "drop", "keep"])
def test_reached_shares_are_the_asked_ones_to_one_row_of_each_source(tmp_path, action, cap):
    world, _ = build(tmp_path / "out", action, cap)
    manifest = manifest_of(world)
    for name, source in manifest.sources.items():
        # Only `drop` leaves nothing of a source whose pictures are all in earlier ones.
        assert (source.rows > 0) == (action != "drop" or name in (VQA, LNQA)), name
        one_row = 2 * min(SETS[name][1], cap or 99)
        assert abs(source.answer_tokens - source.share_asked * BUDGET) <= one_row, name
        assert abs(source.rows - source.epochs * source.pass_rows) <= 0.5
    assert verify(world.out) == []


def test_merging_asks_and_gives_what_keeping_does(tmp_path):
    """No question stands in two sources here, so no turn is lost."""
    kept, merged = (manifest_of(build(tmp_path / action, action, 7)[0])
                    for action in ("keep", "merge"))  # fmt: skip
    for name, source in kept.sources.items():
        other = merged.sources[name]
        assert (source.share_asked, source.epochs) == (other.share_asked, other.epochs)
        assert (source.pass_rows, source.rows) == (other.pass_rows, other.rows)
        assert source.answer_tokens == other.answer_tokens
    assert merged.totals.answer_tokens == kept.totals.answer_tokens
    assert merged.totals.rows < kept.totals.rows


def test_a_copy_shows_the_turns_of_the_sources_that_are_due(tmp_path):
    world, curation = build(tmp_path / "out", "merge", 7)
    manifest = manifest_of(world)
    copies = world.mixture()
    for name, source in manifest.sources.items():
        epochs: Counter[str] = Counter()
        for copy in copies:
            shown = copy["turn_sources"].count(name)
            assert shown in (0, min(SETS[name][1], 7))
            if shown:
                assert copy["epoch"] < source.epochs
                epochs[copy["id"]] += 1
        assert set(epochs.values()) <= {int(source.epochs), int(source.epochs) + 1}
    for copy in copies:
        assert copy["messages"]
        assert copy["repeat"] == sum(other["id"] == copy["id"] for other in copies)
    # What a row holds of each source is in its decision.
    made = world.decisions(curation).values()
    held = [r["contributions"] for r in made if r["decision"] == "keep"]
    assert next(parts for parts in held if len(parts) == 5) == [
        {"source": name, "turns": turns, "answer_tokens": 2 * turns}
        for name, (_, turns, _) in SETS.items()
    ]


def test_a_source_of_which_every_turn_is_a_repetition_is_named(tmp_path):
    world = World(str(tmp_path / "out"))
    one = row(VQA, [("What?", "a cat")], 1, size=(16, 12))
    two = row(OKVQA, [("what", "A cat.")], 2)
    world.add(VQA, [one])
    world.add(OKVQA, [two])
    manifest = world.mix(world.curate({0: [(one, 0), (two, 0)]}))
    assert manifest.empty == [OKVQA]
    card = Path(world.out, "mixtures/test/sft/README.md").read_text()
    assert f"No turn is left of {OKVQA}:" in card
    assert verify(world.out) == []


def test_turns_are_taken_from_a_row_whose_own_source_is_not_due(tmp_path):
    """The row that stays has no turn left in the mixture; its picture still counts for it."""
    world = World(str(tmp_path / "out"))
    one = row(VQA, [("What?", "a cat")], 1, size=(16, 12), system="Be brief.")
    two = row(OKVQA, [("Why?", "because")], 2, system="Be brief.")
    world.add(VQA, [one])
    world.add(OKVQA, [two])
    manifest = world.mix(world.curate({0: [(one, 0), (two, 0)]}), mixture={VQA: 0, OKVQA: 1})
    (copy,) = world.mixture()
    assert (copy["source"], copy["turn_sources"]) == (VQA, [OKVQA])
    vqa, okvqa = manifest.sources[VQA], manifest.sources[OKVQA]
    assert (vqa.rows, vqa.images, vqa.text_tokens) == (0, 1, 2)
    assert (okvqa.rows, okvqa.images, okvqa.text_tokens) == (1, 0, 4)
    assert verify(world.out) == []
