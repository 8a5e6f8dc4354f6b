"""``python -m benchmarks.duplicates.leaks``: leaked benchmark pictures, and rows that are clean.

Draws pictures of six classes as a benchmark, or reads a folder of pictures with ``--folder``. Each
is leaked in 19 kinds of copies, which are looked for among all. Clean are pictures that look like
one of the benchmark and are another (one digit, another amount, exchanged colours), files, real
tables and receipts of a hub, and with ``--clean-drawn`` pictures that are drawn with other seeds,
each with its own look-alikes. Every clean picture that is found is named.
Whole pictures are found by the hashes and the comparison of the build, parts by
`cauldron.transforms.matching.parts`; a copy counts as found if either does.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import count as count_up
from itertools import islice
from pathlib import Path

import numpy as np
from cauldron.transforms.matching.compare.comparer import verdict
from cauldron.transforms.matching.compare.prepared import prepare
from cauldron.transforms.matching.parts.records import STORED, unpacked
from cauldron.transforms.matching.parts.search import Search, describe
from cauldron.transforms.matching.records import OTHER_COLOURS, SAME, Limits
from cauldron.transforms.pictures.signatures import sign
from PIL import Image

from benchmarks.duplicates.labelled import CLASSES, labelled
from benchmarks.duplicates.leak_kinds import LEAKS
from benchmarks.duplicates.real import real

# As in a recipe by default; the aspect is 3.5 %.
LIMITS = Limits(8, 56, 51)
# After how many clean pictures progress is told.
_TOLD = 250
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def stored(number: int, data: bytes) -> np.void:
    """What the build knows of a picture."""
    with Image.open(io.BytesIO(data)) as image:
        narrow, signature = sign(image.convert("RGB"), False)
        size = image.size
    record = np.zeros(1, dtype=STORED)[0]
    record["number"], record["phash"] = number, narrow
    record["phash256"] = np.frombuffer(signature.phash256, dtype="<u8")
    record["width"], record["height"] = size
    return record


class Finder:
    """Looks for benchmark pictures as a build does.

    Args:
        tested: the stored bytes of the benchmark's pictures.
        parts: also in part, mirrored and in other colours.
    """

    def __init__(self, tested: Sequence[bytes], parts: bool) -> None:
        self._data = tested
        self._stored = np.array([stored(n, data) for n, data in enumerate(tested)])
        pieces = [describe(data, self._stored[n]) for n, data in enumerate(tested)] if parts else []
        self._search = Search(unpacked(pieces), LIMITS, lambda one: tested[int(one["number"])])
        self._prepared = [prepare(data) for data in tested]
        self.seconds = Counter[str]()

    def find(self, data: bytes) -> dict[int, str]:
        """The kind of leak by number of the benchmark picture."""
        record = stored(0, data)
        start = time.process_time()
        found = {one.benchmark: one.kind for one in self._search.find(data, record)}
        self.seconds["parts"] += time.process_time() - start
        self.seconds["pictures"] += 1
        proposed = self._whole(record)
        if proposed:
            ours = prepare(data)
            for number in proposed:
                _, same = verdict(ours, self._prepared[number])
                if same == SAME:
                    found[number] = "picture"
                elif same == OTHER_COLOURS:
                    found.setdefault(number, "colours")
        return found

    def _whole(self, record: np.void) -> list[int]:
        """The pictures that the join would propose."""
        near = np.bitwise_count(self._stored["phash"] ^ record["phash"]) <= LIMITS.radius
        wide = np.bitwise_count(self._stored["phash256"] ^ record["phash256"]).sum(axis=1)
        shape = np.log2(self._stored["width"] / self._stored["height"])
        apart = np.abs(shape - np.log2(record["width"] / record["height"])) * 1000
        near &= (wide <= LIMITS.radius256) & (apart <= LIMITS.aspect)
        return [int(number) for number in np.flatnonzero(near)]


def folder_pictures(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The pictures below a folder that have a use: at least 150 pixels a side."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in _SUFFIXES:
            data = path.read_bytes()
            with Image.open(io.BytesIO(data)) as image:
                plain = image.convert("RGB")
            if min(plain.size) >= 150:
                buffer = io.BytesIO()
                plain.save(buffer, "PNG", compress_level=1)
                yield str(path), buffer.getvalue()


def main() -> None:
    options = _options()
    if options.folder:
        tested = list(folder_pictures(options.folder))[: options.families * 6]
        clean = []
    else:
        drawn = list(labelled(options.seed, options.families, options.classes))
        tested = [(one.class_name, one.data) for one in drawn if one.variant == "base"]
        clean = [(one.name, one.data) for one in drawn if one.variant[:8] == "negative"]
    finder = Finder([data for _, data in tested], not options.whole)
    print(f"{len(tested)} benchmark pictures\n")
    if not options.only_clean:
        _recall(tested, finder, options.seed, options.kinds)
    _precision(clean, finder)
    for path in options.clean:
        _precision(folder_pictures(path), finder)
    for hub in options.clean_hub:
        _precision(((one.name, one.data) for one in real(hub, options.seed, 0)), finder)
    if options.clean_drawn:
        _precision(_drawn(options.clean_seed, options.clean_drawn, options.classes), finder)


def _drawn(seed: int, count: int, classes: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Pictures and their look-alikes, a family of each class for each seed."""
    pictures = (
        (family, one) for family in count_up(seed) for one in labelled(family, 1, classes, copies=0)
    )
    for family, one in islice(pictures, count):
        yield f"{one.class_name} of seed {family}, {one.variant}", one.data


def _recall(
    tested: Sequence[tuple[str, bytes]], finder: Finder, seed: int, kinds: Sequence[str]
) -> None:
    images = [Image.open(io.BytesIO(data)).convert("RGB") for _, data in tested]
    classes = sorted({name for name, _ in tested})
    print(
        "| kind | found | " + " | ".join(classes) + " | as |\n|---|" + "---|" * (len(classes) + 2)
    )
    for kind in kinds:
        rng, leak = np.random.default_rng([seed, list(LEAKS).index(kind)]), LEAKS[kind]
        found, total, how = Counter[str](), Counter[str](), Counter[str]()
        for number, (name, _) in enumerate(tested):
            others = [images[n] for n in rng.permutation(len(images))[:4] if n != number]
            answer = finder.find(leak(images[number], others, rng)).get(number)
            total[name] += 1
            found[name] += answer is not None
            how[answer or "missed"] += 1
        cells = " | ".join(f"{found[name]}/{total[name]}" for name in classes)
        share = 100 * found.total() / total.total()
        told = ", ".join(f"{name} {count}" for name, count in sorted(how.items()))
        print(f"| {kind} | {share:.1f} % | {cells} | {told} |", flush=True)
    per = 1000 * finder.seconds["parts"] / finder.seconds["pictures"]
    print(f"\n{per:.1f} ms of a core for a leaked picture")


def _precision(clean: Iterable[tuple[str, bytes]], finder: Finder) -> None:
    finder.seconds.clear()
    wrong = 0
    for number, (name, data) in enumerate(clean, 1):
        for benchmark, kind in finder.find(data).items():
            wrong += 1
            print(f"wrong: {name} as {kind} of benchmark picture {benchmark}", flush=True)
        if number % _TOLD == 0:
            print(f"{number:,} clean pictures, {wrong} wrong so far", file=sys.stderr, flush=True)
    if finder.seconds["pictures"]:
        count = int(finder.seconds["pictures"])
        per = 1000 * finder.seconds["parts"] / count
        print(f"{count:,} clean pictures, {per:.1f} ms of a core each; {wrong} wrong", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.duplicates.leaks", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--families", type=int, default=4, help="benchmark pictures of each class")
    parser.add_argument("--classes", nargs="+", choices=CLASSES, default=CLASSES, metavar="CLASS")
    parser.add_argument("--kinds", nargs="+", choices=LEAKS, default=list(LEAKS), metavar="KIND")
    parser.add_argument("--folder", type=Path, help="benchmark pictures from files")
    parser.add_argument("--clean", type=Path, nargs="*", default=[], help="folders, clean pictures")
    parser.add_argument("--clean-hub", type=Path, nargs="*", default=[], help="hubs, see real.py")
    parser.add_argument("--clean-drawn", type=int, default=0, help="clean pictures to draw")
    parser.add_argument("--clean-seed", type=int, default=1_000_000, help="of the first family")
    parser.add_argument("--only-clean", action="store_true", help="without the table of recall")
    parser.add_argument("--whole", action="store_true", help="without the search for parts")
    return parser.parse_args()


if __name__ == "__main__":
    main()
