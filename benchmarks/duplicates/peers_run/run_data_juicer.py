"""Data-Juicer's op `image_deduplicator`, method phash: map, then filter, in this process.

The op keeps the first of every hash; what it takes for duplicates are the samples of one hash,
which it leaves in the data set.
"""

from collections import defaultdict
from itertools import combinations
from pathlib import Path

from clock import Found, main
from data_juicer.core.data import NestedDataset
from data_juicer.ops.deduplicator.image_deduplicator import ImageDeduplicator
from data_juicer.utils.constant import HashKeys
from datasets import disable_caching


def find(folder: Path) -> Found:
    paths = sorted(folder.iterdir())
    operator = ImageDeduplicator(method="phash")
    samples = NestedDataset.from_list([{"images": [str(path)]} for path in paths])
    hashed = samples.map(operator.compute_hash)
    kept, _ = operator.process(hashed)
    groups = defaultdict(list)
    for path, code in zip(paths, hashed[HashKeys.imagehash], strict=True):
        groups[code].append(int(path.stem))
    assert len(kept) == len(groups)
    pairs = [pair for group in groups.values() for pair in combinations(group, 2)]
    return {"Data-Juicer": pairs}, {}


if __name__ == "__main__":
    disable_caching()
    main("py-data-juicer", find)
