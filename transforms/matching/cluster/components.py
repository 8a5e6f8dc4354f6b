"""Connected components of a graph whose edges do not fit into one worker.

Alternating large-star and small-star (Kiveris et al., *Connected Components in MapReduce and
Beyond*, SoCC 2014) on packed arrays, keyed by a hash of the vertex. A large-star links the larger
neighbours of a vertex with the smallest vertex of its neighbourhood, a small-star the smaller ones.
In the end every component is a star around its smallest vertex. Our addition: a finished star is
recognised one round later and leaves, so that later rounds process only what is not finished.

A pipeline cannot loop, so there are `ROUNDS` rounds of two shuffles each. Every path of n vertices
that was tried, in any order, was finished after at most ceil(log2 n) + 1 rounds (18 for 100,000),
so components with a diameter up to 500 are finished in time. A star of a million takes 1 round, 20
random edges for each of 100,000 vertices take 4, a binary tree of as many 8. Longer components are
finished by one worker with union-find, up to `REST` edges, enough for a chain of a million
pictures. More edges are an error.

An edge is 17 bytes for each of its ends. The worker of a vertex holds the neighbourhood, in the end
the component, and needs another 45 bytes an edge for a star.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import apache_beam as beam
import numpy as np
from cauldron.transforms.arrays import Array, from_bytes, range_of
from cauldron.transforms.matching.arrays import I64, U64, cut_by, smallest_of_component, starts

from cauldron.core.errors import CauldronError

ROUNDS = 10
# The most edges that may be left for one worker after all rounds: 64 MB, and 430 MB more while they
# are joined.
REST = 1 << 22

# `large` > `small`; equal ends mark a vertex whose only neighbour is smaller.
EDGE = np.dtype([("large", "<u8"), ("small", "<u8")])
# An edge seen from one of its ends. `leaf`: the larger end has no other neighbour.
END = np.dtype([("vertex", "<u8"), ("other", "<u8"), ("leaf", "u1")])
# The smallest vertex of a component is its root, and has a label as well.
LABEL = np.dtype([("vertex", "<u8"), ("root", "<u8")])

_ODD = np.uint64(0x9E3779B97F4A7C15)


def bucket_of(vertices: U64, buckets: int) -> I64:
    """The worker of each vertex. Numbers are hashed, because roots are small numbers."""
    return range_of(vertices * _ODD, buckets)


def label(edges: Array) -> Array:
    """The `LABEL` records of a graph that fits into memory, sorted by vertex."""
    vertices, places = np.unique(
        np.concatenate([edges["large"], edges["small"]]), return_inverse=True
    )
    root = smallest_of_component(places[: len(edges)], places[len(edges) :], len(vertices))
    return _records(LABEL, vertices, vertices[root])


def forest(edges: Array) -> Array:
    """The fewest edges that connect the same vertices: a star for each component."""
    labels = label(edges)
    labels = labels[labels["vertex"] != labels["root"]]
    return _records(EDGE, labels["vertex"], labels["root"])


def ends_of(edges: Array, leaf: Any = 0) -> Array:
    """Edges seen from both ends."""
    large, small = edges["large"], edges["small"]
    ends = _records(END, np.concatenate([large, small]), np.concatenate([small, large]))
    ends["leaf"] = np.tile(np.broadcast_to(leaf, len(edges)), 2)
    return ends


def large_star(ends: Array) -> tuple[Array, Array]:
    """Link the larger neighbours of every vertex with the smallest vertex of its neighbourhood.

    Args:
        ends: all `END` records of some vertices, possibly repeated.

    Returns:
        `EDGE` records for the small-star of their larger ends, with the marks of leaves; and the
        `LABEL` records of finished components.
    """
    ends = ends[np.lexsort((ends["leaf"], ends["other"], ends["vertex"]))]
    ends = ends[starts(ends, "vertex", "other")]
    start = np.flatnonzero(starts(ends, "vertex"))
    if not len(start):
        return np.zeros(0, dtype=EDGE), np.zeros(0, dtype=LABEL)
    count = np.diff([*start, len(ends)])
    vertex = ends["vertex"][start]
    lowest = np.minimum(ends["other"][start], vertex)
    # A leaf keeps its one neighbour through both stars: a root with only leaves is finished.
    whole = (lowest == vertex) & np.logical_and.reduceat(ends["leaf"] == 1, start)
    leaves = vertex[(count == 1) & (lowest < vertex)]
    at = np.repeat(np.arange(len(start)), count)
    goes = (ends["other"] > ends["vertex"]) & ~whole[at]
    edges = _records(
        EDGE,
        np.concatenate([ends["other"][goes], leaves]),
        np.concatenate([lowest[at][goes], leaves]),
    )
    stars, roots = ends[whole[at]], vertex[whole]
    labels = _records(
        LABEL,
        np.concatenate([stars["other"], roots]),
        np.concatenate([stars["vertex"], roots]),
    )
    return edges, labels


def small_star(edges: Array) -> Array:
    """Link every vertex and its smaller neighbours with the smallest of these.

    Args:
        edges: all results of `large_star` for some larger ends.

    Returns:
        `END` records, for the next large-star.
    """
    marks = edges["large"] == edges["small"]
    marked, edges = edges["large"][marks], _distinct(edges[~marks])
    start = np.flatnonzero(starts(edges, "large"))
    count = np.diff([*start, len(edges)])
    vertex, lowest = edges["large"][start], edges["small"][start]
    leaf = np.isin(vertex, marked)
    to = np.repeat(lowest, count)
    others = edges["small"] != to
    between = _distinct(_records(EDGE, edges["small"][others], to[others]))
    return np.concatenate([ends_of(_records(EDGE, vertex, lowest), leaf), ends_of(between)])


def finish(pieces: Iterable[bytes]) -> Array:
    """The labels of the edges left after all rounds. Raises CauldronError if there are too many."""
    taken, edges = [], 0
    for piece in pieces:
        edges += len(piece) // EDGE.itemsize
        if edges > REST:
            raise CauldronError(
                f"more than {REST:,} pictures are chained to each other over hundreds of steps; "
                "look at what they are, or set a smaller radius for duplicates"
            )
        taken.append(piece)
    return label(from_bytes(taken, EDGE))


def _records(dtype: np.dtype[np.void], first: Any, second: Any) -> Array:
    """Records from their first two fields."""
    records = np.zeros(len(first), dtype=dtype)
    names = dtype.names or ()
    records[names[0]], records[names[1]] = first, second
    return records


def _distinct(edges: Array) -> Array:
    edges = edges[np.lexsort((edges["small"], edges["large"]))]
    return edges[starts(edges, "large", "small")]


def _both_ends(element: bytes, buckets: int) -> Iterator[tuple[int, bytes]]:
    ends = ends_of(from_bytes([element], EDGE))
    yield from cut_by(ends, bucket_of(ends["vertex"], buckets))


def _large_star(element: tuple[int, Iterable[bytes]], buckets: int) -> Iterator[Any]:
    edges, labels = large_star(from_bytes(element[1], END))
    yield from cut_by(edges, bucket_of(edges["large"], buckets))
    for piece in _by_leading_half(labels):
        yield beam.pvalue.TaggedOutput("finished", piece)


def _small_star(element: tuple[int, Iterable[bytes]], buckets: int) -> Iterator[tuple[int, bytes]]:
    ends = small_star(from_bytes(element[1], EDGE))
    yield from cut_by(ends, bucket_of(ends["vertex"], buckets))


def _rest(element: tuple[int, bytes]) -> Iterator[tuple[int, bytes]]:
    """Edges without marks, all to one worker."""
    edges = from_bytes([element[1]], EDGE)
    edges = edges[edges["large"] != edges["small"]]
    if len(edges):
        yield 0, edges.tobytes()


def _to_one(element: bytes) -> tuple[int, bytes]:
    return 0, element


def _finish(element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
    yield from _by_leading_half(finish(element[1]))


def _by_leading_half(labels: Array) -> Iterator[tuple[int, bytes]]:
    return cut_by(labels, labels["vertex"] >> np.uint64(32))


Pieces: TypeAlias = "beam.PCollection[tuple[int, bytes]]"


class ConnectedComponents(beam.PTransform):
    """Array `EDGE` arrays in, packed `LABEL` arrays by the leading half of the vertex out.

    Args:
        buckets: the number of groups of vertices; if 1, one worker joins all edges.
    """

    def __init__(self, buckets: int) -> None:
        super().__init__()
        self._buckets = buckets

    def expand(self, edges: beam.PCollection[bytes]) -> Pieces:
        pair = tuple[int, bytes]
        if self._buckets == 1:
            left = edges | "To one worker" >> beam.Map(_to_one).with_output_types(pair)
            return self._finished(left)
        found = []
        ends = edges | "Both ends" >> beam.FlatMap(_both_ends, self._buckets).with_output_types(
            pair
        )
        # One more large-star recognises the stars that the last round finished.
        for number in range(ROUNDS + 1):
            name = f"Round {number + 1}"
            stars = (
                ends
                | f"{name}: neighbours" >> beam.GroupByKey()
                | f"{name}: large-star"
                >> beam.FlatMap(_large_star, self._buckets)
                .with_output_types(pair)
                .with_outputs("finished", main="edges")
            )
            found.append(stars.finished)
            if number < ROUNDS:
                ends = (
                    stars.edges
                    | f"{name}: smaller neighbours" >> beam.GroupByKey()
                    | f"{name}: small-star"
                    >> beam.FlatMap(_small_star, self._buckets).with_output_types(pair)
                )
        left = stars.edges | "What is left" >> beam.FlatMap(_rest).with_output_types(pair)
        return (*found, self._finished(left)) | "All labels" >> beam.Flatten()

    def _finished(self, left: Pieces) -> Pieces:
        return (
            left
            | "Group what is left" >> beam.GroupByKey()
            | "Finish" >> beam.FlatMap(_finish).with_output_types(tuple[int, bytes])
        )
