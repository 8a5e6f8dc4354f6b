"""Pictures of a hub on one sheet, for people: a look at every set."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from cauldron.core import storage
from cauldron.sample.ink import canvas, write

CELL = 200


def contact_sheet(folder: str, out_png: str, per_set: int = 4) -> int:
    """Write a PNG with the first pictures of each of the Cauldron's configurations in a hub.

    Returns:
        How many pictures are on it.
    """
    base = storage.join(folder, "HuggingFaceM4/the_cauldron")
    rows = [
        (name, list(_pictures(storage.join(base, name), per_set)))
        for name in storage.list_folders(base)
    ]
    columns = 3
    deep = -(-len(rows) // columns)
    image, draw = canvas(columns * (per_set * CELL + 20), deep * (CELL + 24), (236, 236, 236))
    for i, (name, pictures) in enumerate(rows):
        left, top = i // deep * (per_set * CELL + 20), i % deep * (CELL + 24)
        write(draw, (left + 4, top + 3), name, 14, bold=True)
        for number, picture in enumerate(pictures):
            picture.thumbnail((CELL - 6, CELL - 6))
            image.paste(picture.convert("RGB"), (left + number * CELL + 3, top + 22))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    storage.write_bytes(out_png, buffer.getvalue())
    return sum(len(pictures) for _, pictures in rows)


def _pictures(folder: str, count: int) -> Iterator[Image.Image]:
    for path in storage.list_files(folder, ".parquet")[:1]:
        with storage.open_read(path) as file:
            table: pa.Table = pq.read_table(file, columns=["images"])
        found = [image for row in table["images"].to_pylist() for image in row or []]
        for image in [image for image in found if image["bytes"]][:count]:
            yield Image.open(io.BytesIO(image["bytes"]))
