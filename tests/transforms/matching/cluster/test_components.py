"""Connected components: the same as union-find, in few rounds, without one worker for all."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from cauldron.transforms.arrays import from_bytes, split_by
from cauldron.transforms.matching import arrays
from cauldron.transforms.matching.arrays import cut_by
from cauldron.transforms.matching.cluster import components as module
from cauldron.transforms.matching.cluster.components import (
    EDGE,
    END,
    LABEL,
    ROUNDS,
    ConnectedComponents,
    bucket_of,
    ends_of,
    finish,
    forest,
    label,
    large_star,
    small_star,
)

from cauldron.core.errors import CauldronError
from tests.transforms.matching.cluster.plain import components


def edges(one, other) -> np.ndarray:
    records = np.zeros(len(one), dtype=EDGE)
    records["large"], records["small"] = np.maximum(one, other), np.minimum(one, other)
    return records


def path(order) -> np.ndarray:
    order = np.asarray(order)
    return edges(order[:-1], order[1:])


def shuffled(records: np.ndarray, name: str, buckets: int, seed: int) -> list[list[bytes]]:
    """Records by worker, as a shuffle might bring them: in pieces and in any order."""
    if buckets == 1:
        return [[records.tobytes()]]
    keys = bucket_of(records[name], buckets)
    random = np.random.default_rng(seed)
    order = random.permutation(len(records))
    found: dict[int, list[bytes]] = {}
    for part in np.array_split(order, 3):
        for key, piece in split_by(records[part], keys[part]):
            found.setdefault(key, []).append(piece)
    return list(found.values())


class Run:
    """Stars in turn until nothing is left, or for some rounds.

    Attributes:
        labels: by vertex. rest: edges that are left. sizes: of the edges after each large-star.
    """

    def __init__(self, graph: np.ndarray, rounds: int = 99, buckets: int = 1) -> None:
        ends, labels, self.sizes = ends_of(graph), [np.zeros(0, dtype=LABEL)], []
        for number in range(rounds + 1):
            pieces = shuffled(ends, "vertex", buckets, number)
            stars = [large_star(from_bytes(piece, END)) for piece in pieces]
            labels += [done for _, done in stars]
            found = np.concatenate([np.zeros(0, dtype=EDGE), *(found for found, _ in stars)])
            self.rest = found[found["large"] != found["small"]]
            if not len(self.rest) or number == rounds:
                break
            self.sizes.append(len(self.rest))
            pieces = shuffled(found, "large", buckets, number)
            ends = np.concatenate([small_star(from_bytes(piece, EDGE)) for piece in pieces])
        self.labels = np.concatenate(labels)
        self.labels = self.labels[np.argsort(self.labels["vertex"])]

    @property
    def rounds(self) -> int:
        return len(self.sizes)


def plain_labels(graph: np.ndarray) -> list[tuple[int, int]]:
    pairs = [tuple(edge) for edge in graph.tolist()]
    groups = components({vertex for pair in pairs for vertex in pair}, pairs)
    return sorted((vertex, min(group)) for group in groups for vertex in group)


@pytest.mark.parametrize("density", [0.3, 0.5, 0.7, 2.0])
@pytest.mark.parametrize("seed", range(5))
def test_labels_are_those_of_union_find(seed, density):
    random = np.random.default_rng(seed)
    drawn = random.integers(0, 400, (int(400 * density), 2))
    names = np.unique(random.integers(0, 1 << 63, 500, dtype=np.uint64))
    drawn = names[drawn[drawn[:, 0] != drawn[:, 1]]]
    graph = edges(drawn[:, 0], drawn[:, 1])
    wanted = plain_labels(graph)
    assert label(graph).tolist() == wanted
    assert label(forest(graph)).tolist() == wanted
    for buckets in (1, 3, 50):
        assert Run(graph, buckets=buckets).labels.tolist() == wanted


def test_a_forest_has_an_edge_for_every_vertex_but_the_roots():
    graph = edges(*np.triu_indices(30, 1))
    assert forest(graph).tolist() == [(n, 0) for n in range(1, 30)]
    assert len(forest(graph[:0])) == 0


def orders(count: int) -> dict[str, np.ndarray]:
    """Orders that are hard for one star or the other."""
    numbers, half = np.arange(count), count // 2
    zigzag = np.empty(count, dtype=int)
    zigzag[::2], zigzag[1::2] = numbers[: count - half], numbers[count - half :][::-1]
    return {
        "ascending": numbers,
        "random": np.random.default_rng(0).permutation(count),
        "zigzag": zigzag,
        "saw": numbers.reshape(-1, 10)[:, ::-1].ravel(),
    }


@pytest.mark.parametrize("name", orders(10))
def test_a_path_of_a_hundred_thousand_takes_as_many_rounds_as_its_length_has_bits(name):
    run = Run(path(orders(100_000)[name]))
    assert run.rounds <= 18
    assert run.labels["vertex"].tolist() == list(range(100_000))
    assert not run.labels["root"].any()


def test_rounds_are_enough_for_any_number_of_chains_of_five_hundred():
    random = np.random.default_rng(1)
    names = random.permutation(200 * 500).reshape(200, 500)
    names[:4] = np.sort(names[:4])
    run = Run(np.concatenate([path(chain) for chain in names]), ROUNDS)
    assert len(run.rest) == 0
    assert len(np.unique(run.labels["root"])) == 200


def test_a_longer_chain_is_finished_by_one_worker_after_the_rounds():
    run = Run(path(np.random.default_rng(2).permutation(20_000)), ROUNDS)
    assert 0 < len(run.rest) < 20_000
    found = np.concatenate(
        [run.labels, finish([run.rest[::2].tobytes(), run.rest[1::2].tobytes()])]
    )
    assert sorted(found.tolist()) == [(n, 0) for n in range(20_000)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ascending", "random"])
def test_a_long_path_is_connected(name):
    run = Run(path(orders(300_000)[name]), ROUNDS)
    found = np.concatenate([run.labels, finish([run.rest.tobytes()])])
    assert np.array_equal(np.sort(found["vertex"]), np.arange(300_000))
    assert not found["root"].any()


def test_too_many_long_chains_are_an_error_in_one_line(monkeypatch):
    monkeypatch.setattr(module, "REST", 1000)
    graph = path(np.arange(1002))
    pieces = (piece.tobytes() for piece in np.array_split(graph, 10))
    with pytest.raises(CauldronError, match=r"more than 1,000 pictures are chained") as caught:
        finish(pieces)
    assert "\n" not in str(caught.value)
    assert len(finish([graph[:1000].tobytes()])) == 1001


def test_components_that_are_finished_leave_the_rounds():
    """A thousand pairs and triangles, and a path of 300."""
    base = 300 + 3 * np.arange(1000)
    small = [edges(base + 1, base), edges(base + 2, base), edges(base + 2, base + 1)]
    run = Run(np.concatenate([path(np.arange(300)), *small]))
    # Triangles are stars after one round, and known to be when two are over.
    assert min(run.sizes[:2]) > 2000
    assert max(run.sizes[2:]) < 600


def test_many_pictures_around_one_are_one_round():
    """Near-blank pictures that are all the same as one that stands for them."""
    count = 100_000
    for centre in (0, count):
        others = np.arange(1, count)
        run = Run(edges(np.full(count - 1, centre), others))
        assert run.rounds <= 2
        assert max(run.sizes) < count
        assert len(run.labels) == count
        assert np.unique(run.labels["root"]).tolist() == [min(centre, 1)]


@pytest.mark.slow
def test_many_pictures_with_their_neighbours_are_a_few_rounds():
    """Near-blank pictures, each the same as four of the others."""
    count = 300_000
    random = np.random.default_rng(0)
    one, other = np.repeat(np.arange(count), 4), random.integers(0, count, 4 * count)
    graph = edges(one, other)
    graph = graph[graph["large"] != graph["small"]]
    run = Run(graph, ROUNDS)
    assert run.rounds <= 6
    assert max(run.sizes) <= len(graph)
    assert len(run.rest) == 0
    assert not run.labels["root"][run.labels["vertex"] < count].any()


def test_elements_of_a_shuffle_are_of_bounded_size(monkeypatch):
    monkeypatch.setattr(arrays, "_PIECE_BYTES", 100)
    graph = path(np.arange(40))
    pieces = list(cut_by(graph, graph["small"] % 2))
    assert max(len(piece) for _, piece in pieces) == 96
    for key in (0, 1):
        joined = from_bytes([piece for own, piece in pieces if own == key], EDGE)
        assert joined["small"].tolist() == list(range(key, 39, 2))


def test_roots_are_spread_over_workers():
    keys = bucket_of(np.arange(30_000, dtype=np.uint64), 30)
    assert np.bincount(keys, minlength=30).min() > 800


@pytest.mark.parametrize("buckets", [1, 3])
def test_the_pipeline_finds_them_and_finishes_what_its_rounds_leave(buckets, tmp_path: Path):
    random = np.random.default_rng(3)
    drawn = random.integers(0, 1000, (700, 2))
    drawn = drawn[drawn[:, 0] != drawn[:, 1]].astype(np.uint64) + np.uint64(7 << 32)
    graph = np.concatenate([edges(drawn[:, 0], drawn[:, 1]), path(random.permutation(3000))])
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        _ = (
            pipeline
            | beam.Create([piece.tobytes() for piece in np.array_split(graph, 4)])
            | ConnectedComponents(buckets)
            | beam.MapTuple(lambda half, piece: f"{half} {piece.hex()}")
            | beam.io.WriteToText(str(tmp_path / "labels"))
        )
    lines = [line.split() for file in tmp_path.iterdir() for line in file.read_text().split("\n")]
    found = [(int(line[0]), from_bytes([bytes.fromhex(line[1])], LABEL)) for line in lines if line]
    assert all((labels["vertex"] >> np.uint64(32) == half).all() for half, labels in found)
    assert sorted(np.concatenate([labels for _, labels in found]).tolist()) == plain_labels(graph)


def test_the_pipeline_needs_no_one_worker_for_chains_of_five_hundred(monkeypatch):
    monkeypatch.setattr(module, "REST", 0)
    graph = path(np.arange(500))
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        labels = pipeline | beam.Create([graph.tobytes()]) | ConnectedComponents(2)
        sizes = labels | beam.MapTuple(lambda half, piece: len(piece)) | beam.CombineGlobally(sum)
        assert_that(sizes, equal_to([500 * LABEL.itemsize]))
