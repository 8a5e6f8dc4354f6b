"""Where shards begin: equal bytes, none empty."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cauldron.transforms.mixing import bounds as module
from cauldron.transforms.mixing.bounds import (
    bin_bits,
    bounds_at,
    cut_range,
    fill_bins,
    shard_bytes,
    sum_bins,
    total_of,
)
from cauldron.transforms.mixing.select import Take, kept_rows
from cauldron.transforms.mixing.shuffle import MixJob, MixSource, placed, references

from cauldron.core.schema import DECISION_SCHEMA
from cauldron.core.sections.stage import StageRecipe

STAGE = StageRecipe.model_validate(
    {"budget": {"epochs_of": {"a": 1}}, "mixture": {"a": 1}, "turns": {"cap": 7}}
)


def job(passes: int = 1) -> MixJob:
    return MixJob((MixSource("a", "corpus", 1, False, Take(passes, 0, 0)),), STAGE, 3, "data")


def bounds(paths: list[str], job: MixJob, shards: int) -> tuple[int, ...]:
    """As the job finds them: ranges of bins, added up and cut apart from each other."""
    pieces = defaultdict(list)
    for path in paths:
        for number, piece in fill_bins(path, job, shards):
            pieces[number].append(piece)
    summed = {number: sum_bins(number, found, shards) for number, found in pieces.items()}
    totals = [total_of(number, found) for number, found in summed.items()]
    cuts = [cut_range(number, found, totals, shards) for number, found in summed.items()]
    return bounds_at(cuts, shards)


def equal_cuts(sizes: Any, parts: int) -> list[int]:
    """The cuts of all bins at once."""
    filled = np.flatnonzero(sizes)
    if len(filled) < 2:
        return []
    before = np.cumsum(sizes[filled])[:-1]
    wanted = sizes.sum() / parts * np.arange(1, parts)
    right = np.searchsorted(before, wanted)
    left = np.maximum(right - 1, 0)
    right = np.minimum(right, len(before) - 1)
    nearest = np.where(wanted - before[left] <= before[right] - wanted, left, right)
    return filled[np.unique(nearest) + 1].tolist()


def write(path: Path, images: list[int], text: int = 2048, turns: int = 1, first: int = 0) -> str:
    """Decisions that keep rows with so many bytes of images each."""
    rows = [
        {
            "source": "a",
            "id": f"{first + number:032x}",
            "decision": "keep",
            "answer_tokens": 5,
            "turns": turns,
            "part": 0,
            "row": number,
            "offset": 0,
            "length": size + text,
            "image_bytes": size,
        }
        for number, size in enumerate(images)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=DECISION_SCHEMA), path)
    return str(path)


def planned(paths: list[str], found: tuple[int, ...], job: MixJob) -> list[int]:
    """The bytes of images in each shard."""
    copies = np.concatenate([found for path in paths for found in references(path, job)])
    cuts = np.array(found, dtype=np.uint64)
    shard = np.searchsorted(cuts, copies["position"], side="right")
    return np.bincount(shard, weights=copies["length"], minlength=len(found) + 1).tolist()


def test_shards_of_a_few_large_rows_among_many_small_ones_are_equal(tmp_path: Path) -> None:
    sizes = [400_000] * 100 + [3_000] * 5_000
    paths = [write(tmp_path / "all.parquet", sizes)]
    shards = planned(paths, bounds(paths, job(2), 8), job(2))
    assert len(shards) == 8
    assert max(shards) < 1.1 * min(shards)


def test_equal_ranges_of_positions_would_not_be_equal(tmp_path: Path) -> None:
    """Otherwise the test above proves nothing."""
    paths = [write(tmp_path / "all.parquet", [400_000] * 100 + [3_000] * 5_000)]
    eighths = tuple(part << 61 for part in range(1, 8))
    shards = planned(paths, eighths, job(2))
    assert max(shards) > 1.1 * min(shards)


def test_the_cut_is_the_same_however_the_decisions_are_split(tmp_path: Path) -> None:
    sizes = [1_000 * (1 + number % 50) for number in range(600)]
    whole = [write(tmp_path / "all.parquet", sizes)]
    parts = [
        write(tmp_path / f"{start}.parquet", sizes[start : start + 150], first=start)
        for start in (450, 0, 300, 150)
    ]
    assert bounds(whole, job(), 5) == bounds(parts, job(), 5)


def test_text_beyond_the_cap_on_turns_is_not_planned(tmp_path: Path) -> None:
    """One row with a megabyte of turns, of which a copy shows seven."""
    plain = write(tmp_path / "plain.parquet", [5_000] * 400)
    long = write(tmp_path / "long.parquet", [5_000], text=1 << 20, turns=5_000, first=400)
    with_long, without = bounds([plain, long], job(), 4), bounds([plain], job(), 4)
    shards = planned([plain], with_long, job())
    assert max(shards) < 1.1 * min(shards)
    assert len(with_long) == len(without) == 3


@pytest.mark.parametrize("rows", [1, 2, 3, 20])
def test_no_shard_is_empty(tmp_path: Path, rows: int) -> None:
    paths = [write(tmp_path / "few.parquet", [10_000] * rows)]
    shards = planned(paths, bounds(paths, job(), 8), job())
    assert len(shards) <= min(rows, 8)
    assert min(shards) > 0


@pytest.mark.parametrize(
    ("sizes", "parts", "cuts"),
    [
        ([5, 5, 5, 5], 2, [2]),
        ([5, 0, 0, 5], 2, [3]),
        ([1, 1, 98], 3, [2]),
        ([98, 1, 1], 3, [1]),
        ([0, 0, 7, 0], 4, []),
        ([0, 0], 3, []),
        ([4, 3, 3, 2], 4, [1, 2, 3]),
    ],
)
def test_cuts_are_before_filled_bins_and_nearest_to_equal_parts(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], parts: int, cuts: list[int]
) -> None:
    assert equal_cuts(np.array(sizes), parts) == cuts
    for width in (1, 2, 3, 100):
        assert cut_in_ranges(monkeypatch, sizes, parts, width) == cuts


def cut_in_ranges(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], parts: int, width: int
) -> list[int]:
    """The cuts of bins in ranges of `width`."""
    monkeypatch.setattr(module, "range_bins", lambda shards: width)
    filled = np.array(
        [(number, size) for number, size in enumerate(sizes) if size], dtype=module._FILLED
    )
    summed = {
        number: sum_bins(number, [filled[filled["bin"] // width == number].tobytes()], parts)
        for number in sorted({*(filled["bin"] // width).tolist()})
    }
    totals = [total_of(number, found) for number, found in summed.items()]
    cuts = [cut_range(number, found, totals, parts) for number, found in summed.items()]
    return sorted({cut for found in cuts for cut in found})


@pytest.mark.parametrize("seed", range(30))
def test_ranges_are_cut_apart_as_they_would_be_together(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, [1, 3, 100][seed % 3] + 1, 60) * rng.integers(0, 2, 60)
    for parts in (2, 3, 7, 50):
        assert cut_in_ranges(monkeypatch, sizes.tolist(), parts, 8) == equal_cuts(sizes, parts)


def test_the_bounds_are_those_of_all_bins_in_memory(tmp_path: Path) -> None:
    sizes = [1_000 * (1 + number % 50) for number in range(600)]
    paths = [write(tmp_path / "all.parquet", sizes)]
    (kept,) = kept_rows(paths)
    copies, shift = placed(kept, job(3)), np.uint64(64 - bin_bits(9))
    bins = np.zeros(1 << bin_bits(9), dtype=np.int64)
    np.add.at(bins, copies.position >> shift, shard_bytes(kept, 7)[copies.row])
    expected = tuple(cut << int(shift) for cut in equal_cuts(bins, 9))
    assert len(expected) == 8
    assert bounds(paths, job(3), 9) == expected
