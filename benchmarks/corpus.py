"""The corpus that benchmarks read: photographs and A4 pages in the Cauldron's layout."""

from __future__ import annotations

import io
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont

REPO = os.path.join("HuggingFaceM4", "the_cauldron")
PHOTOS, PAGES = "vqav2", "docvqa"
_ROW_GROUP = 100  # as the publisher's image shards have
_SHARD_BYTES = 128 * 1024 * 1024

_STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_TURN = pa.struct([("user", pa.string()), ("assistant", pa.string()), ("source", pa.string())])
SCHEMA = pa.schema([("images", pa.list_(_STRUCT)), ("texts", pa.list_(_TURN))])


def photo(number: int) -> bytes:
    """A 640x480 JPEG of about 60-110 kB with detail at every scale, as photographs have."""
    rng = np.random.default_rng(number)
    picture = np.zeros((480, 640, 3))
    for cells in (4, 12, 40, 120, 320):
        noise = rng.normal(size=(cells * 3 // 4, cells, 3)) * 90 / cells**0.45
        layer = [
            np.asarray(Image.fromarray(noise[..., c]).resize((640, 480), Image.Resampling.BICUBIC))
            for c in range(3)
        ]
        picture += np.stack(layer, axis=-1)
    image = Image.fromarray(np.clip(picture + 120, 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def page(number: int) -> bytes:
    """An A4 page at 150 dpi, grey, anti-aliased text: a PNG of about 250 kB."""
    rng = np.random.default_rng(10_000_000 + number)
    image = Image.new("L", (1240, 1754), 255)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(22)
    letters = np.array(list("etaoinshrdlucmfwypvbgk      "))
    for line in range(54):
        text = "".join(rng.choice(letters, 84))
        draw.text((110, 110 + 28 * line), text, fill=20, font=font)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def write_corpus(root: str, size: int, distinct: int = 200) -> None:
    """Write about `size` bytes, half photographs and half pages, unless they are there.

    Args:
        distinct: different pictures of each kind; rows that share one ask different questions.
    """
    marker = os.path.join(root, f"{size}.done")
    if os.path.exists(marker):
        return
    for config, draw in ((PHOTOS, photo), (PAGES, page)):
        pictures = [draw(number) for number in range(distinct)]
        mean = sum(map(len, pictures)) / distinct
        rows = int(size / 2 / mean)
        shards = max(1, round(size / 2 / _SHARD_BYTES))
        folder = os.path.join(root, REPO, config)
        os.makedirs(folder, exist_ok=True)
        for shard in range(shards):
            name = f"train-{shard:05d}-of-{shards:05d}-{shard:016x}.parquet"
            numbers = range(shard, rows, shards)
            with pq.ParquetWriter(os.path.join(folder, name), SCHEMA) as writer:
                for start in range(0, len(numbers), _ROW_GROUP):
                    group = [row(n, pictures, config) for n in numbers[start : start + _ROW_GROUP]]
                    writer.write_table(pa.Table.from_pylist(group, schema=SCHEMA))
    with open(marker, "w"):
        pass


def row(number: int, pictures: list[bytes], source: str) -> dict[str, object]:
    texts = [
        {
            "user": f"What does sign {turn} on picture {number} say?\nGive a very brief answer.",
            "assistant": f"It says {number * 31 + turn}.",
            "source": source,
        }
        for turn in range(4)
    ]
    picture = pictures[number % len(pictures)]
    return {"images": [{"bytes": picture, "path": None}], "texts": texts}
