"""From an image's bytes to all that ingest stores of it, against ``imagehash.phash`` alone.

    python benchmarks/signatures.py [--real HUB]

In each round every variant goes once through all images of a kind, in one process, the order
changing from round to round. Times are of the processor, so that others on the machine count
little. See README.md for what the columns stand for.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import statistics
import sys
import time
from collections.abc import Callable
from itertools import islice, permutations
from pathlib import Path

import imagehash
from PIL import Image

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cauldron.sources.base import RawImage
from cauldron.transforms.pictures.hashes import SHORTEST_SIDE
from cauldron.transforms.pictures.prepare import prepare_image

from benchmarks.corpus import page, photo
from benchmarks.duplicates.real import real
from cauldron.core.sections.rules import ImageRules
from cauldron.sample import rows
from cauldron.sample.studio import Studio

RULES = ImageRules()


def floor(data: bytes) -> None:
    """What nobody can leave out: the digest of the bytes and one decode, scaled where it can be."""
    hashlib.sha256(data).digest()
    image = Image.open(io.BytesIO(data))
    image.draft("L", (SHORTEST_SIDE, SHORTEST_SIDE))
    image.load()


def signature(data: bytes) -> None:
    """The whole of ingest's work on an image: checks, digests, decode, hashes, ground."""
    prepare_image(RawImage(data), RULES)


def reference(data: bytes) -> None:
    imagehash.phash(Image.open(io.BytesIO(data)))


VARIANTS: dict[str, Callable[[bytes], None]] = {
    "floor": floor,
    "signature": signature,
    "imagehash": reference,
}


def in_colour(data: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def drawn(name: str, count: int) -> list[bytes]:
    """Pictures of one set of the generated hub."""
    studio = Studio(seed=0, rows=count)
    items = rows.items(name, studio, studio.rng(name))
    return [picture.data for item in items for picture in item.pictures][:count]


def corner(data: bytes) -> bytes:
    """The upper left of a table, as large as the average one of TabMWP."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).crop((0, 0, 250, 213)).save(buffer, "PNG")
    return buffer.getvalue()


def small_tables(hub: Path | None, count: int) -> list[bytes]:
    """Real ones of TabMWP from a hub in folders, every eighth, or drawn ones."""
    if hub is None:
        return [corner(data) for data in drawn("robut_wtq", count)]
    return [picture.data for picture in islice(real(hub, 0, copies=0), 0, 8 * count, 8)]


def images(count: int, hub: Path | None) -> dict[str, tuple[list[bytes], float]]:
    """Kinds of images and the ratio that is wanted of each."""
    pages = [page(number) for number in range(max(1, count // 4))]
    return {
        "photographs 640x480, JPEG": ([photo(number) for number in range(count)], 2.5),
        "A4 pages at 150 dpi, grey PNG": (pages, 1.0),
        "the same in colour mode, PNG": ([in_colour(data) for data in pages], 1.0),
        "charts, PNG": (drawn("chartqa", count), 1.0),
        "tables, PNG": (drawn("robut_wtq", count), 1.0),
        f"{'real' if hub else 'small'} tables of 0.05 MP, PNG": (small_tables(hub, count), 1.0),
    }


def one_round(pictures: list[bytes], turn: int) -> dict[str, float]:
    """Microseconds an image for each variant."""
    orders = list(permutations(VARIANTS))
    cost = {}
    for name in orders[turn % len(orders)]:
        start = time.process_time()
        for data in pictures:
            VARIANTS[name](data)
        cost[name] = (time.process_time() - start) / len(pictures) * 1e6
    return cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=40, help="of each kind; pages a quarter")
    parser.add_argument("--rounds", type=int, default=18)
    parser.add_argument("--real", type=Path, metavar="HUB", help="with real TabMWP tables")
    options = parser.parse_args()
    heads = ("images, microseconds each", *VARIANTS, "ratio", "of floor", "wanted")
    print(f"{heads[0]:32}" + "".join(f"{head:>11}" for head in heads[1:]))
    for kind, (pictures, wanted) in images(options.images, options.real).items():
        rounds = [one_round(pictures, turn) for turn in range(options.rounds)]
        cost = {name: statistics.median(r[name] for r in rounds) for name in VARIANTS}
        ratio = statistics.median(r["imagehash"] / r["signature"] for r in rounds)
        best = statistics.median(r["imagehash"] / r["floor"] for r in rounds)
        figures = "".join(f"{cost[name]:11.0f}" for name in VARIANTS)
        print(f"{kind:32}{figures}{ratio:11.2f}{best:11.2f}{wanted:11.1f}", flush=True)


if __name__ == "__main__":
    main()
