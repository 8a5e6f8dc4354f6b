"""``python -m benchmarks.duplicates.peer_hashes``: would imagehash propose leaks that we miss?

A leak must be proposed before it can be decided on pixels. Counted are leaked pictures whose
original is proposed: by imagehash's crop-resistant hash, by its colour hash, and by our features.
Crop-resistant hashes must have one segment in common, at the bit error rate of their documentation,
25 %, or at 8 bits. Proposals for clean pictures are counted too, as each costs a comparison.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import Counter
from collections.abc import Callable, Sequence

import imagehash
import numpy as np
from cauldron.transforms.matching.parts.features import LARGE, searched_features
from cauldron.transforms.matching.parts.index import MOST, MOST_LARGE, FeatureIndex
from cauldron.transforms.matching.parts.records import unpacked
from cauldron.transforms.matching.parts.search import describe
from PIL import Image

from benchmarks.duplicates.labelled import labelled
from benchmarks.duplicates.leak_kinds import LEAKS
from benchmarks.duplicates.leaks import stored

CLASSES = ("photograph", "screenshot", "chart")
KINDS = (
    "crop, 5 % an edge",
    "crop, 10 % an edge",
    "crop, 20 % an edge",
    "border of 12 %",
    "in a screenshot",
    "in a collage of four",
    "mirrored",
    "palette of 64 or 256",
)
# Bits of 42 in which colour hashes of copies may differ.
_COLOUR_BITS = 3

Proposer = Callable[[bytes], set[int]]


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def proposers(tested: Sequence[bytes]) -> dict[str, Proposer]:
    """Each gives the places in `tested` that a picture may show."""
    segments = [imagehash.crop_resistant_hash(opened(data)) for data in tested]
    colours = [imagehash.colorhash(opened(data)) for data in tested]
    described = unpacked([describe(data, stored(n, data)) for n, data in enumerate(tested)])
    index = FeatureIndex([t.points for t in described], [t.descriptors for t in described])

    def crops(data: bytes, **limits: float) -> set[int]:
        found = imagehash.crop_resistant_hash(opened(data))
        return {n for n, one in enumerate(segments) if found.matches(one, 1, **limits)}

    def colour(data: bytes) -> set[int]:
        found = imagehash.colorhash(opened(data))
        return {n for n, one in enumerate(colours) if found - one <= _COLOUR_BITS}

    def features(data: bytes) -> set[int]:
        size = opened(data).size
        found = searched_features(data, size)
        most = MOST_LARGE if max(size) >= LARGE else MOST
        return {p.picture for p in index.proposals(found.points, found.descriptors, most)}

    return {
        "crop-resistant, 25 %": lambda data: crops(data, bit_error_rate=0.25),
        "crop-resistant, 8 bits": lambda data: crops(data, hamming_cutoff=8),
        "colour, 3 bits": colour,
        "our features": features,
    }


class Timed:
    """Calls proposers and adds up core-seconds."""

    def __init__(self, tested: Sequence[bytes]) -> None:
        self._proposers = proposers(tested)
        self.seconds = Counter[str]()

    def __call__(self, data: bytes) -> dict[str, set[int]]:
        found = {}
        for name, proposer in self._proposers.items():
            start = time.process_time()
            found[name] = proposer(data)
            self.seconds[name] += time.process_time() - start
        return found


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.duplicates.peer_hashes")
    parser.add_argument("--seed", type=int, default=41)
    parser.add_argument("--families", type=int, default=4)
    options = parser.parse_args()
    tested = [
        one.data
        for one in labelled(options.seed, options.families, CLASSES, copies=0)
        if one.variant == "base"
    ]
    images, proposed = [opened(data) for data in tested], Timed(tested)
    for kind in KINDS:
        rng = np.random.default_rng([options.seed, list(LEAKS).index(kind)])
        right, missed_by_us = Counter[str](), Counter[str]()
        for number, image in enumerate(images):
            others = [images[n] for n in rng.permutation(len(images))[:4] if n != number]
            found = proposed(LEAKS[kind](image, others, rng))
            for name, numbers in found.items():
                right[name] += number in numbers
                missed_by_us[name] += number in numbers - found["our features"]
        print(f"{kind}, of {len(images)}: {dict(right)}; we miss {dict(missed_by_us)}", flush=True)
    proposed.seconds.clear()
    clean = [one.data for one in labelled(options.seed + 1, options.families, CLASSES, copies=0)]
    counts = Counter[str]()
    for data in clean:
        counts.update({name: len(numbers) for name, numbers in proposed(data).items()})
    for name, seconds in proposed.seconds.items():
        each, cost = counts[name] / len(clean), 1000 * seconds / len(clean)
        print(f"{name}: {each:.2f} proposals and {cost:.1f} core-ms a clean picture")


if __name__ == "__main__":
    main()
