"""Connected components of a graph whose edges no worker holds all of.

Alternating large-star and small-star (Kiveris et al., *Connected Components in MapReduce and
Beyond*, SoCC 2014), on packed arrays keyed by a hash of the vertex: a large-star links the larger
neighbours of a vertex with the smallest of its neighbourhood, a small-star the smaller ones. In
the end every component is a star around its smallest vertex. Added here: a component that has
become a star is known by its centre one round later and leaves at once, so what goes on is only
what is not finished.

Rounds are fixed, for a pipeline cannot loop: `ROUNDS`, two shuffles each. In every order of its
vertices that was tried, a path of n vertices was finished and known to be after ceil(log2 n) + 1
rounds at most (18 for 100,000), so components of any size and number with a diameter up to 500 are
finished in time. A star of a million takes 1 round, 20 random edges for each of 100,000 vertices
take 4, a binary tree of as many 8. The edges of longer ones are finished by one worker with
union-find, up to `REST` of them: a chain of a million pictures is, one of five million is told as
an error.

An edge costs 17 bytes for each of its ends; the worker of a vertex holds its whole neighbourhood,
in the end its component, and needs another 45 bytes an edge for a star.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from cauldron.transforms.arrays import Array, from_bytes, range_of, split_by
from cauldron.transforms.matching.join.kernel import compiled

from cauldron.core.errors import CauldronError

ROUNDS = 10
# Edges that one worker may be given of what is left after all rounds: 64 MB, and 430 MB more
# while they are joined.
REST = 1 << 22
# Runners refuse large elements.
_PIECE_BYTES = 8 * 1024 * 1024

# `large` > `small`; equal ends mark a vertex that has one neighbour, a smaller one.
EDGE = np.dtype([("large", "<u8"), ("small", "<u8")])
# An edge as one of its ends sees it. `leaf`: the larger end has no other neighbour.
END = np.dtype([("vertex", "<u8"), ("other", "<u8"), ("leaf", "u1")])
# The smallest vertex of a component is its root, and has a label too.
LABEL = np.dtype([("vertex", "<u8"), ("root", "<u8")])

_ODD = np.uint64(0x9E3779B97F4A7C15)

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]


def bucket_of(vertices: U64, buckets: int) -> I64:
    """Which worker a vertex belongs to. Roots are small numbers, so numbers are mixed first."""
    return range_of(vertices * _ODD, buckets)


def cut_by(records: Array, keys: npt.NDArray[Any]) -> Iterator[tuple[int, bytes]]:
    """`split_by`, in pieces of bounded size."""
    step = _PIECE_BYTES // records.itemsize * records.itemsize
    for key, data in split_by(records, keys):
        for start in range(0, len(data), step):
            yield key, data[start : start + step]


@compiled
def _join(first: I64, second: I64, parent: I64) -> None:
    for edge in range(len(first)):
        a, b = first[edge], second[edge]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a < b:
            parent[b] = a
        else:
            parent[a] = b
    # No parent is larger than its child.
    for vertex in range(len(parent)):
        parent[vertex] = parent[parent[vertex]]


def smallest_of_component(first: I64, second: I64, vertices: int) -> I64:
    """For each of the vertices 0, 1, ... the smallest that edges connect it with."""
    parent = np.arange(vertices)
    _join(np.ascontiguousarray(first), np.ascontiguousarray(second), parent)
    return parent


def label(edges: Array) -> Array:
    """The `LABEL` records of a graph that fits here, sorted by vertex."""
    vertices, places = np.unique(
        np.concatenate([edges["large"], edges["small"]]), return_inverse=True
    )
    root = smallest_of_component(places[: len(edges)], places[len(edges) :], len(vertices))
    return _records(LABEL, vertices, vertices[root])


def forest(edges: Array) -> Array:
    """As few edges as connect the same vertices: a star for each component."""
    labels = label(edges)
    labels = labels[labels["vertex"] != labels["root"]]
    return _records(EDGE, labels["vertex"], labels["root"])


def ends_of(edges: Array, leaf: Any = 0) -> Array:
    """Edges as both ends see them."""
    large, small = edges["large"], edges["small"]
    ends = _records(END, np.concatenate([large, small]), np.concatenate([small, large]))
    ends["leaf"] = np.tile(np.broadcast_to(leaf, len(edges)), 2)
    return ends


def large_star(ends: Array) -> tuple[Array, Array]:
    """Link every vertex' larger neighbours with the smallest of its neighbourhood.

    Args:
        ends: `END` records, those of each vertex complete; repeated ones do no harm.

    Returns:
        `EDGE` records for the small-star of their larger ends, with the marks of leaves; and the
        `LABEL` records of components that are finished.
    """
    ends = ends[np.lexsort((ends["leaf"], ends["other"], ends["vertex"]))]
    ends = ends[_starts(ends, "vertex", "other")]
    start = np.flatnonzero(_starts(ends, "vertex"))
    if not len(start):
        return np.zeros(0, dtype=EDGE), np.zeros(0, dtype=LABEL)
    count = np.diff([*start, len(ends)])
    vertex = ends["vertex"][start]
    lowest = np.minimum(ends["other"][start], vertex)
    # A leaf keeps its one neighbour through both stars, so a root with only leaves is all.
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
        edges: what `large_star` gave, for each larger end complete.

    Returns:
        `END` records, for the next large-star.
    """
    marks = edges["large"] == edges["small"]
    marked, edges = edges["large"][marks], _distinct(edges[~marks])
    start = np.flatnonzero(_starts(edges, "large"))
    count = np.diff([*start, len(edges)])
    vertex, lowest = edges["large"][start], edges["small"][start]
    leaf = np.isin(vertex, marked)
    to = np.repeat(lowest, count)
    others = edges["small"] != to
    between = _distinct(_records(EDGE, edges["small"][others], to[others]))
    return np.concatenate([ends_of(_records(EDGE, vertex, lowest), leaf), ends_of(between)])


def finish(pieces: Iterable[bytes]) -> Array:
    """The labels of what is left after all rounds. Raises CauldronError where that is too much."""
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
    return edges[_starts(edges, "large", "small")]


def _starts(records: Array, *names: str) -> npt.NDArray[np.bool_]:
    """Where one of the fields differs from the record before; true for the first."""
    new = np.ones(len(records), dtype=bool)
    new[1:] = np.any([records[name][1:] != records[name][:-1] for name in names], axis=0)
    return new


class _BothEnds(beam.DoFn):
    def __init__(self, buckets: int) -> None:
        self._buckets = buckets

    def process(self, element: bytes) -> Iterator[tuple[int, bytes]]:
        ends = ends_of(from_bytes([element], EDGE))
        yield from cut_by(ends, bucket_of(ends["vertex"], self._buckets))


class _LargeStar(beam.DoFn):
    def __init__(self, buckets: int) -> None:
        self._buckets = buckets

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[Any]:
        edges, labels = large_star(from_bytes(element[1], END))
        yield from cut_by(edges, bucket_of(edges["large"], self._buckets))
        for piece in _by_leading_half(labels):
            yield beam.pvalue.TaggedOutput("finished", piece)


class _SmallStar(beam.DoFn):
    def __init__(self, buckets: int) -> None:
        self._buckets = buckets

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, bytes]]:
        ends = small_star(from_bytes(element[1], EDGE))
        yield from cut_by(ends, bucket_of(ends["vertex"], self._buckets))


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


class ConnectedComponents(beam.PTransform):
    """Array `EDGE` arrays in; out packed `LABEL` arrays, by the leading half of the vertex.

    Args:
        buckets: workers that vertices are dealt out to; one joins all edges by itself.
    """

    def __init__(self, buckets: int) -> None:
        super().__init__()
        self._buckets = buckets

    def expand(self, edges: beam.PCollection[bytes]) -> beam.PCollection[tuple[int, bytes]]:
        pair = tuple[int, bytes]
        if self._buckets == 1:
            left = edges | "To one worker" >> beam.Map(_to_one).with_output_types(pair)
            return self._finished(left)
        found = []
        ends = edges | "Both ends" >> beam.ParDo(_BothEnds(self._buckets)).with_output_types(pair)
        # A star that the last round made is told by one more look at it.
        for number in range(ROUNDS + 1):
            name = f"Round {number + 1}"
            stars = (
                ends
                | f"{name}: neighbours" >> beam.GroupByKey()
                | f"{name}: large-star"
                >> beam.ParDo(_LargeStar(self._buckets))
                .with_output_types(pair)
                .with_outputs("finished", main="edges")
            )
            found.append(stars.finished)
            if number < ROUNDS:
                ends = (
                    stars.edges
                    | f"{name}: smaller neighbours" >> beam.GroupByKey()
                    | f"{name}: small-star"
                    >> beam.ParDo(_SmallStar(self._buckets)).with_output_types(pair)
                )
        left = stars.edges | "What is left" >> beam.FlatMap(_rest).with_output_types(pair)
        return (*found, self._finished(left)) | "All labels" >> beam.Flatten()

    def _finished(
        self, left: beam.PCollection[tuple[int, bytes]]
    ) -> beam.PCollection[tuple[int, bytes]]:
        return (
            left
            | "Group what is left" >> beam.GroupByKey()
            | "Finish" >> beam.FlatMap(_finish).with_output_types(tuple[int, bytes])
        )
