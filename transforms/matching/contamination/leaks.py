"""Which training pictures are a benchmark's: links between pictures, from contents and verdicts.

A training picture is linked with a benchmark picture

  - that has the same content: distance 0, score 1;
  - that a verdict calls the same;
  - that a verdict calls the same as another training picture which a verdict calls the same as
    this one. Only pictures without a link of the first two kinds are looked at for this, and only
    one step is taken; the link has distance and score of the weaker verdict.

The third kind is there because a leak is often an altered copy of an altered copy: a crop of a
re-encoding may miss the bar against the benchmark's own file, its hash may lie outside the
radius, or a crowded picture may not be compared with it at all. It also keeps near-duplicates
together: what merges with a contaminated row shows the same picture. More than one step would
add up small differences until pages of one form or near-blank pages are "the same". The price of
a wrong step is a training row, the price of a missing one a leaked test.

Benchmarks are small: the numbers of their pictures, 9 bytes each, are held by every worker, and
so are those of the training pictures that are linked by a verdict, 8 bytes each. Verdicts
themselves, of which there may be several a picture, never cross a shuffle unless they lead to
a link.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from cauldron.transforms.arrays import Array, from_table, read_array
from cauldron.transforms.matching.records import BENCHMARK, TRAINING, VERDICT, MatchJob

from cauldron.core import storage

# A training picture keeps its strongest links, over all benchmarks. Only near-blank pictures have
# more: everything else that is the same as one picture of a benchmark is that picture.
LINKS = 16

# A training picture that is the same as a benchmark's. A step towards one has the training
# picture between in the place of `benchmark`.
LINK = np.dtype([("training", "<u8"), ("benchmark", "<u8"), ("distance", "u1"), ("score", "<f4")])
# A benchmark's picture.
KNOWN = np.dtype([("number", "<u8"), ("kind", "u1")])

_KIND = np.dtype([("kind", "u1")])
_VERDICT = np.dtype([(name, VERDICT[name]) for name in ("first", "second", "distance", "score")])
_READ = np.dtype([*_VERDICT.descr, ("same", "u1")])

U64 = npt.NDArray[np.uint64]


def benchmark_pictures(number: int, job: MatchJob) -> Array:
    """The benchmarks' pictures of a range, as `KNOWN` records."""
    kinds = read_array(job.pictures(number), _KIND)["kind"]
    places = np.flatnonzero(kinds & BENCHMARK)
    known = np.zeros(len(places), dtype=KNOWN)
    known["number"] = places + (number << 32)
    known["kind"] = kinds[places]
    return known


def same_pairs(path: str) -> Iterator[Array]:
    """The verdicts of a file that found one picture: first, second, distance, score."""
    with storage.open_read(path) as source:
        file = pq.ParquetFile(source)
        for group in range(file.num_row_groups):
            verdicts = from_table(file.read_row_group(group, list(_READ.names or ())), _READ)
            verdicts = verdicts[verdicts["same"] == 1]
            if len(verdicts):
                yield verdicts[list(_VERDICT.names or ())].astype(_VERDICT)


def kinds_of(numbers: U64, known: Array) -> npt.NDArray[np.uint8]:
    """`TRAINING` and `BENCHMARK` bits of pictures; those that are not known are training.

    Args:
        known: `KNOWN` records sorted by number.
    """
    kinds = np.full(len(numbers), TRAINING, dtype=np.uint8)
    here = is_in(numbers, known["number"])
    kinds[here] = known["kind"][np.searchsorted(known["number"], numbers[here])]
    return kinds


def is_in(numbers: U64, found: U64) -> npt.NDArray[np.bool_]:
    """Whether each number is among `found`, which is sorted."""
    if not len(found):
        return np.zeros(len(numbers), dtype=bool)
    places = np.minimum(np.searchsorted(found, numbers), len(found) - 1)
    result: npt.NDArray[np.bool_] = found[places] == numbers
    return result


def equal_links(known: Array) -> Array:
    """`LINK` records of pictures that stand in training rows and in a benchmark alike."""
    both = known["number"][known["kind"] == TRAINING | BENCHMARK]
    return _link(both, both, 0, 1.0)


def verdict_links(pairs: Array, known: Array) -> Array:
    """`LINK` records of pairs of a training picture and a benchmark's."""
    kinds = {side: kinds_of(pairs[side], known) for side in ("first", "second")}
    return _between(
        pairs,
        {side: kind & TRAINING != 0 for side, kind in kinds.items()},
        {side: kind & BENCHMARK != 0 for side, kind in kinds.items()},
    )


def steps(pairs: Array, known: Array, linked: U64) -> Array:
    """Pairs of a training picture without a link and one with, as `LINK` records.

    Args:
        linked: numbers of the training pictures that are linked already, sorted.
    """
    done = {side: is_in(pairs[side], linked) for side in ("first", "second")}
    open_ = {side: ~done[side] & ~is_in(pairs[side], known["number"]) for side in done}
    return _between(pairs, open_, done)


def _between(pairs: Array, starts: dict[str, Any], ends: dict[str, Any]) -> Array:
    """Pairs as links, one way or both.

    Args:
        starts, ends: for either side, of which pairs it may be linked, and linked with.
    """
    links = []
    for start, end in (("first", "second"), ("second", "first")):
        chosen = pairs[starts[start] & ends[end]]
        links.append(_link(chosen[start], chosen[end], chosen["distance"], chosen["score"]))
    return np.concatenate(links)


def _link(training: Any, benchmark: Any, distance: Any, score: Any) -> Array:
    links = np.zeros(len(training), dtype=LINK)
    links["training"], links["benchmark"] = training, benchmark
    links["distance"], links["score"] = distance, score
    return links


def further_links(steps: Array, links: Array) -> Array:
    """Walk steps to the benchmark pictures behind them; `links` are those of where they lead."""
    links = strongest(links)
    start = np.searchsorted(links["training"], steps["benchmark"], side="left")
    count = np.searchsorted(links["training"], steps["benchmark"], side="right") - start
    # Every step, once for each link that goes on from its end.
    step = np.repeat(np.arange(len(steps)), count)
    place = np.arange(len(step)) - np.repeat(np.cumsum(count) - count, count)
    near, far = steps[step], links[start[step] + place]
    weaker = np.where(_weaker(near, far), near, far)
    return _link(near["training"], far["benchmark"], weaker["distance"], weaker["score"])


def _weaker(near: Array, far: Array) -> npt.NDArray[np.bool_]:
    further = (near["score"] == far["score"]) & (near["distance"] > far["distance"])
    result: npt.NDArray[np.bool_] = (near["score"] < far["score"]) | further
    return result


def strongest(links: Array, limit: int = LINKS) -> Array:
    """The best link of each two pictures, and of those the best `limit` of a training picture.

    Better is a higher score, then a smaller distance, then the benchmark picture's number.

    Returns:
        sorted by training picture, best first.
    """
    worse = -links["score"].astype(np.float64)
    order = np.lexsort((links["distance"], worse, links["benchmark"], links["training"]))
    links, worse = links[order], worse[order]
    best = _starts(links, "training", "benchmark")
    links, worse = links[best], worse[best]
    links = links[np.lexsort((links["benchmark"], links["distance"], worse, links["training"]))]
    places = np.arange(len(links))
    first = np.maximum.accumulate(np.where(_starts(links, "training"), places, 0))
    return links[places - first < limit]


def _starts(links: Array, *names: str) -> npt.NDArray[np.bool_]:
    """Where one of the fields differs from the record before."""
    new = np.ones(len(links), dtype=bool)
    new[1:] = np.any([links[name][1:] != links[name][:-1] for name in names], axis=0)
    return new


def sorted_numbers(pieces: Iterable[bytes]) -> U64:
    """Picture numbers from packed pieces in any order, each once, sorted."""
    return np.unique(np.frombuffer(b"".join(pieces), dtype="<u8").astype(np.uint64))


def sorted_known(pieces: Iterable[bytes]) -> Array:
    """`KNOWN` records from packed pieces in any order, sorted by number."""
    known = np.frombuffer(b"".join(pieces), dtype=KNOWN)
    return known[np.argsort(known["number"], kind="stable")]
