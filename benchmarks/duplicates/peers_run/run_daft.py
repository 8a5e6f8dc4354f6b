"""Daft with imagehash in a UDF, as its documentation shows a UDF: equal hashes are duplicates."""

import io
from itertools import combinations
from pathlib import Path

import daft
import imagehash
from clock import Found, main
from daft import DataType, col
from PIL import Image


@daft.func(return_dtype=DataType.string())
def phash(data: bytes) -> str:
    with Image.open(io.BytesIO(data)) as image:
        return str(imagehash.phash(image))


def find(folder: Path) -> Found:
    groups = (
        daft.from_glob_path(f"{folder}/*")
        .select(col("path"), phash(col("path").download()).alias("hash"))
        .groupby("hash")
        .agg(col("path").list_agg())
        .to_pydict()["path"]
    )
    pairs = [
        pair
        for group in groups
        for pair in combinations(sorted(int(Path(path).stem) for path in group), 2)
    ]
    return {"Daft, imagehash": pairs}, {}


if __name__ == "__main__":
    main("daft", find)
