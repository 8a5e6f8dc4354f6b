"""Packs hold what their rows say, each row once an epoch."""

from __future__ import annotations

import itertools
import logging
from collections import Counter

import numpy as np
import pytest
import torch
from cauldron.training.data.tiles import decode, split_into_tiles

from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.output.manifests import Tokenizer
from cauldron.core.output.mixture import Mixture
from cauldron.core.tiles import resize_steps, tile_count, tile_grid
from tests.doubles.gcs import FakeGcs
from tests.training.data.conftest import LAYOUT, numbers_of, take
from tests.training.data.mixtures import (
    make_row,
    messages_of_row,
    mixed_rows,
    picture,
    write_mixture,
)
from tests.training.data.tiny import TILE, TOKENS_PER_TILE, tiny_tokenizer

ROWS = mixed_rows(200)
EDGE = 4 * TILE


def epoch_of(loader, epoch: int = 0) -> list:
    """All packs of an epoch."""
    packs = []
    for step in loader:
        found = list(step)
        packs += [pack for pack in found if pack.position.epoch == epoch]
        if any(pack.position.epoch > epoch for pack in found):
            return packs
    raise AssertionError("a loader has no end")


def test_a_pack_is_its_rows_one_after_the_other(opened):
    for pack in itertools.chain(*take(opened(), 3)):
        documents = []
        tiles = []
        for number in numbers_of(pack):
            row = ROWS[number]
            sizes = [(info["width"], info["height"]) for info in row["image_info"]]
            text = LAYOUT.encode(messages_of_row(row["messages"]))
            grids = [tile_grid(*size, EDGE, TILE) for size in sizes]
            documents.append(LAYOUT.expand(text, grids))
            for image, size in zip(row["images"], sizes, strict=True):
                out = torch.empty((tile_count(*size, EDGE, TILE), TILE, TILE, 3), dtype=torch.uint8)
                split_into_tiles(
                    decode(image["bytes"], *size), resize_steps(*size, EDGE, TILE), out
                )
                tiles.append(out)
        lengths = [len(document.ids) for document in documents]
        assert pack.input_ids.tolist() == [i for d in documents for i in d.ids.tolist()]
        assert pack.labels.tolist() == [i for d in documents for i in d.labels.tolist()]
        assert pack.boundaries.tolist() == [0, *np.cumsum(lengths).tolist()]
        assert pack.position_ids.tolist() == [i for n in lengths for i in range(n)]
        assert torch.equal(pack.tiles, torch.cat(tiles).permute(0, 3, 1, 2))
        assert len(pack.input_ids) <= 512
        assert pack.document_sources == tuple(ROWS[n]["source"] for n in numbers_of(pack))


def test_the_types_and_shapes_are_those_the_model_reads(opened):
    (pack,) = itertools.islice(next(opened()), 1)
    int64 = (pack.input_ids, pack.labels, pack.position_ids, pack.image_positions)
    assert {tensor.dtype for tensor in int64} == {torch.int64}
    assert (pack.boundaries.dtype, pack.tiles.dtype) == (torch.int32, torch.uint8)
    assert len(pack.image_positions) == len(pack.tiles) * TOKENS_PER_TILE
    image = tiny_tokenizer().token_to_id("<image>")
    places = torch.nonzero(pack.input_ids == image).squeeze(1)
    assert torch.equal(pack.image_positions, places)
    assert pack.supervised == int((pack.labels != -100).sum()) > 0
    assert (pack.labels[pack.boundaries[1:].long() - 1] == -100).all()


def test_an_epoch_has_every_row_once_and_the_next_another_order(opened):
    loader = opened()
    first = [number for pack in epoch_of(loader) for number in numbers_of(pack)]
    assert sorted(first) == list(range(200))
    second = [number for pack in epoch_of(opened(), 1) for number in numbers_of(pack)]
    assert sorted(second) == list(range(200))
    assert first != second


def test_a_mixture_in_a_bucket_gives_the_same_packs(opened, monkeypatch):
    with FakeGcs(["bucket"]) as store:
        store.use(monkeypatch)
        there = write_mixture("gs://bucket/out/mixtures/sft", ROWS)
        (step,) = take(opened(of=there), 1)
        (expected,) = take(opened(), 1)
        for pack, other in zip(step, expected, strict=True):
            assert torch.equal(pack.input_ids, other.input_ids)
            assert torch.equal(pack.tiles, other.tiles)


def test_tokens_are_counted_by_the_models_tokenizer_and_not_by_the_mixtures(opened, tmp_path):
    """Mistral-7B's counts decide shares only: no length and no pack follows from them."""
    wrong = {"answer": 100_000, "text": 300_000, "image": 7}
    other = write_mixture(tmp_path, [row | {"tokens": wrong} for row in ROWS])
    counted = Tokenizer(name="mistral-7b", estimated=False, digest="0" * 16)
    by = Mixture(other.folder, other.manifest.model_copy(update={"tokenizer": counted}))
    (step,) = take(opened(of=by), 1)
    (expected,) = take(opened(), 1)
    for pack, mine in zip(step, expected, strict=True):
        assert torch.equal(pack.input_ids, mine.input_ids)
        assert torch.equal(pack.boundaries, mine.boundaries)


def test_another_seed_is_another_order(opened):
    first, other = (take(opened(seed=seed), 1)[0] for seed in (0, 1))
    assert [numbers_of(pack) for pack in first] != [numbers_of(pack) for pack in other]


def test_positions_count_the_packs_of_a_round(opened):
    packs = epoch_of(opened(batch=1))
    rounds = [(pack.position.round, pack.position.index) for pack in packs]
    assert rounds == sorted(rounds)
    sizes = Counter(number for number, _ in rounds)
    assert rounds == [(number, i) for number in sorted(sizes) for i in range(sizes[number])]
    assert len(sizes) > 1


def test_step_totals_are_those_of_all_ranks(opened):
    steps = [next(opened(rank, 3)) for rank in range(3)]
    packs = [pack for step in steps for pack in step]
    assert len({(step.number, step.tokens, step.supervised) for step in steps}) == 1
    assert steps[0].tokens == sum(len(pack.input_ids) for pack in packs)
    assert steps[0].supervised == sum(pack.supervised for pack in packs)
    assert [len(step) for step in steps] == [2, 2, 2]


def test_packs_that_the_trainer_does_not_take_are_passed_over(opened):
    hasty, patient = opened(), opened()
    next(iter(next(hasty)))
    take(patient, 1)
    assert [numbers_of(p) for p in next(hasty)] == [numbers_of(p) for p in next(patient)]


def test_the_longest_edge_changes_at_its_step_and_no_row_is_lost(opened):
    edges = ((0, TILE), (2, 2 * TILE), (3, EDGE))
    loader = opened(longest_edge=edges, upscale="published", batch=2)
    seen, tiles = [], []
    for step in loader:
        packs = list(step)
        if any(pack.position.epoch for pack in packs):
            break
        seen += [number for pack in packs for number in numbers_of(pack)]
        for pack in packs:
            sizes = [
                (info["width"], info["height"])
                for number in numbers_of(pack)
                for info in ROWS[number]["image_info"]
            ]
            edge = [pixels for first, pixels in edges if first <= step.number][-1]
            counts = [tile_count(*size, edge, TILE, "published") for size in sizes]
            assert len(pack.tiles) == sum(counts)
            tiles.append(max(counts, default=0))
    assert max(tiles) > 1
    last = set(range(200)) - set(seen)
    assert len(seen) == len(set(seen))
    assert len(last) < 40


def test_rows_longer_than_a_sequence_are_dropped_and_counted(opened):
    loader = opened(upscale="published", sequence_length=100)
    seen = {number for pack in epoch_of(loader) for number in numbers_of(pack)}
    longest = {
        number
        for number, row in enumerate(ROWS)
        if len(
            LAYOUT.expand(
                LAYOUT.encode(messages_of_row(row["messages"])),
                [
                    tile_grid(i["width"], i["height"], EDGE, TILE, "published")
                    for i in row["image_info"]
                ],
            ).ids
        )
        > 100
    }
    assert seen == set(range(200)) - longest
    counted = Counter(ROWS[number]["source"] for number in longest)
    # The round after the epoch is planned already.
    assert all(loader.too_long[source] >= count for source, count in counted.items())


@pytest.mark.parametrize("workers", [0, 2])
def test_sources_can_be_taken_alone_or_left_out(opened, workers):
    alone = epoch_of(opened(only=("pairs",), workers=workers))
    assert {source for pack in alone for source in pack.document_sources} == {"pairs"}
    without = epoch_of(opened(exclude=("pairs", "words"), workers=workers))
    assert {source for pack in without for source in pack.document_sources} == {"pictures"}
    numbers = [number for pack in (*alone, *without) for number in numbers_of(pack)]
    words = sum(row["source"] == "words" for row in ROWS)
    assert len(numbers) == len(set(numbers)) == 200 - words


@pytest.mark.parametrize("workers", [0, 1])
def test_packs_of_text_alone_have_no_tiles(opened, workers):
    for pack in epoch_of(opened(only=("words",), workers=workers)):
        assert pack.tiles.shape == (0, 3, TILE, TILE)
        assert len(pack.image_positions) == 0
        assert pack.supervised > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"only": ("picture",)}, "no source 'picture'; it has: pairs, pictures, words"),
        ({"exclude": ("x",)}, "no source 'x'"),
        ({"exclude": ("pairs", "pictures", "words")}, "no source of .* is left"),
        ({"longest_edge": 7 * TILE}, "more than 6 tiles"),
        ({"batch": 7, "world": 3}, "batch of 7 sequences does not divide by 3 ranks; take 9"),
    ],
)
def test_settings_that_make_no_sense_are_refused(opened, changes, message):
    with pytest.raises(UsageError, match=message):
        opened(**changes)


class TestBadRows:
    """Rows that cannot be used are skipped, counted and named."""

    @pytest.fixture
    def spoilt(self, tmp_path):
        rows = mixed_rows(60)
        rows[7] = make_row(7, images=[b"no image"])
        rows[8] = make_row(8, sizes=((41, 30),), images=[picture(8, 40, 30)])
        rows[9] = make_row(9, turns=[("What is 9?", " ")])
        return write_mixture(tmp_path, rows)

    @pytest.mark.parametrize("workers", [0, 1])
    def test_they_are_left_out_and_the_rest_is_whole(self, opened, spoilt, workers, caplog):
        with caplog.at_level(logging.WARNING):
            packs = epoch_of(opened(of=spoilt, workers=workers))
        assert sorted(n for pack in packs for n in numbers_of(pack)) == [
            n for n in range(60) if n not in (7, 8, 9)
        ]
        for pack in packs:
            assert len(pack.image_positions) == len(pack.tiles) * TOKENS_PER_TILE
        text = caplog.text
        assert f"{7:032x} of pictures (train-00000-of-00002.parquet row group 0, row 7)" in text
        assert "image_unreadable" in text
        assert "40 x 30, recorded 41 x 30" in text
        assert "no_answer" in text

    def test_they_are_counted_by_source_and_reason(self, opened, spoilt):
        loader = opened(of=spoilt, batch=1)
        while loader.state()["position"] is None or loader.state()["position"]["epoch"] == 0:
            list(next(loader))
        found = {key for key, count in loader.bad_rows.items() if count}
        assert found == {
            ("pictures", "image_unreadable"),
            ("pictures", "image_size_differs"),
            ("pictures", "no_answer"),
        }

    def test_other_ranks_do_not_repeat_what_all_of_them_find(self, opened, spoilt, caplog):
        with caplog.at_level(logging.WARNING):
            next(opened(1, 2, of=spoilt))
        assert "no_answer" not in caplog.text

    def test_a_pack_of_bad_rows_alone_has_nothing_to_learn(self, opened, tmp_path):
        rows = [make_row(number, images=[b"no image"]) for number in range(3)]
        (pack,) = next(opened(of=write_mixture(tmp_path, rows), batch=1))
        assert pack.supervised == 0
        assert len(pack.tiles) == len(pack.image_positions) == 0
        assert pack.boundaries.tolist() == [0, len(pack.input_ids)]

    def test_too_many_in_a_row_are_an_error(self, opened, tmp_path):
        rows = [make_row(number, images=[b"no image"]) for number in range(30)]
        loader = opened(of=write_mixture(tmp_path, rows), max_bad_rows=5)
        with pytest.raises(CauldronError, match="6 bad rows in a row, more than max_bad_rows"):
            take(loader, 3)

    def test_no_answers_at_all_are_too_many_in_a_row(self, opened, tmp_path):
        rows = [make_row(number, turns=[("What?", "")]) for number in range(30)]
        with pytest.raises(CauldronError, match="6 bad rows in a row"):
            next(opened(of=write_mixture(tmp_path, rows), max_bad_rows=5))

    def test_a_mixture_without_a_usable_row_does_not_loop_for_ever(self, opened):
        with pytest.raises(CauldronError, match="no row of the mixture can be trained on"):
            next(opened(sequence_length=10))
