"""Which rows a fractional epoch takes: the same as by sorting all hashes in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from cauldron.transforms.mixing import thresholds
from cauldron.transforms.mixing.select import Take
from cauldron.transforms.mixing.selection import Passes
from cauldron.transforms.mixing.thresholds import (
    count_prefixes,
    find_edge,
    find_threshold,
    hashes_at_edge,
)

import tests.mixing
from tests.mixing import decision, merged_decision, takes_in_memory, write_curation

Find = Callable[..., Any]


def takes(paths: list[str], passes: Mapping[str, Passes], seed: int) -> dict[str, Take]:
    """The takes as the job finds them, in two passes over the files."""
    edges = {
        name: find_edge(pieces, passes[name].extra)
        for name, pieces in gathered(count_prefixes, paths, passes, seed).items()
    }
    found = {
        name: find_threshold(pieces, edges[name])
        for name, pieces in gathered(hashes_at_edge, paths, passes, seed, edges).items()
    }
    return {name: Take(p.whole, p.extra, found.get(name, 0)) for name, p in passes.items()}


def gathered(find: Find, paths: list[str], *arguments: Any) -> dict[str, list[bytes]]:
    pieces = defaultdict(list)
    for path in reversed(paths):  # in any order
        for name, piece in find(path, *arguments):
            pieces[name].append(piece)
    return pieces


def passes_of(rows: Mapping[str, int], epochs: float) -> dict[str, Passes]:
    copies = {name: round(epochs * number) for name, number in rows.items()}
    return {name: Passes(*divmod(n, rows[name])) for name, n in copies.items() if n}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, int]]:
    """Random rows of three sources in four files, merged ones among them; and rows by source."""
    rng = np.random.default_rng(1)
    rows: dict[str, int] = defaultdict(int)
    made: list[list[dict[str, Any]]] = [[], [], [], []]
    for number in range(900):
        holders = ["a"] if number < 600 else ["b", "a"] if number % 5 else ["one"][: number == 605]
        if not holders:
            continue
        row = (
            decision(holders[0], number)
            if len(holders) == 1
            else merged_decision(number, dict.fromkeys(holders, (1, 5)))
        )
        made[rng.integers(0, 3)].append(row)  # the fourth file has no row
        for name in holders:
            rows[name] += 1
    made[0].append(decision("a", 1000, decision="drop"))
    folder = tmp_path_factory.mktemp("curation") / "c"
    return write_curation(folder, made), dict(rows)


@pytest.mark.parametrize("epochs", [0, 0.001, 0.3, 1, 2.7])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_takes_are_those_of_a_sort_in_memory(
    files: tuple[list[str], dict[str, int]], epochs: float, seed: int
) -> None:
    paths, rows = files
    passes = passes_of(rows, epochs)
    assert takes(paths, passes, seed) == takes_in_memory(paths, passes, seed)


def test_the_number_of_copies_is_exact(files: tuple[list[str], dict[str, int]]) -> None:
    paths, rows = files
    passes = passes_of(rows, 2.7)
    for name, take in takes(paths, passes, 3).items():
        copies = sum(
            int(take.copies(kept.ids[kept.held.row[mine]], 3).sum())
            for kept in tests.mixing.kept_rows(paths)
            for holder, mine in kept.holders()
            if holder == name
        )
        assert copies == round(2.7 * rows[name])


@pytest.mark.parametrize("kind", ["one prefix", "last prefix", "few values"])
@pytest.mark.parametrize("extra", [1, 299, 600])
def test_hashes_that_share_leading_bits_are_told_apart(
    files: tuple[list[str], dict[str, int]], monkeypatch: pytest.MonkeyPatch, kind: str, extra: int
) -> None:
    def hashes(ids: Any, *_: Any) -> Any:
        number = ids[:, 1]
        return {
            "one prefix": number * np.uint64(977) % np.uint64(1009),
            "last prefix": ~(number * np.uint64(977) % np.uint64(1009)),
            "few values": (number % np.uint64(3)) << np.uint64(62),
        }[kind]

    monkeypatch.setattr(thresholds, "mix64", hashes)
    monkeypatch.setattr(tests.mixing, "mix64", hashes)
    passes = {"a": Passes(0, extra)}
    assert takes(files[0], passes, 0) == takes_in_memory(files[0], passes, 0)


def test_what_a_file_sends_is_bounded_whatever_its_rows(
    files: tuple[list[str], dict[str, int]],
) -> None:
    paths, _ = files
    ((_, piece),) = count_prefixes(paths[0], {"a": Passes(0, 1)}, 0)
    assert len(piece) <= 6 * 4096
    edges = {"a": find_edge([piece], 1)}
    found = hashes_at_edge(paths[0], {"a": Passes(0, 1)}, 0, edges)
    assert sum(len(piece) for _, piece in found) <= 8 * 5  # of some 200 rows
