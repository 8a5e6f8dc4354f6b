"""Small mixtures of any shape, written the way builds write them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from cauldron.training.data.tokenization import Message
from cauldron.transforms.shards import ShardWriter, shard_name
from PIL import Image

from cauldron.core import storage
from cauldron.core.output.counts import RowCounts
from cauldron.core.output.manifests import (
    DATA,
    MANIFEST,
    MixtureManifest,
    MixtureTotals,
    RowFile,
    SourceInMixture,
    Tokenizer,
)
from cauldron.core.output.mixture import Mixture, load_mixture
from cauldron.core.schema import messages_of


def messages_of_row(messages: Sequence[dict[str, Any]]) -> list[Message]:
    """The `messages` of a row in the form that `TokenLayout` takes."""
    return [
        (
            message["role"],
            [None if part["type"] == "image" else part["text"] for part in message["content"]],
        )
        for message in messages
    ]


_VOCABULARY = "the house tree river red small twelve behind total answer picture first very"


def picture(seed: int, width: int, height: int, mode: str = "RGB", kind: str = "PNG") -> bytes:
    """A noisy image."""
    rng = np.random.Generator(np.random.Philox(seed))
    shape = (height, width) if mode == "L" else (height, width, 3)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def make_row(
    number: int,
    source: str = "pictures",
    sizes: Sequence[tuple[int, int]] = ((40, 30),),
    turns: Sequence[tuple[str, str]] | None = None,
    images: Sequence[bytes] | None = None,
) -> dict[str, Any]:
    """A row. Args: images: instead of pictures made to `sizes`."""
    rng = np.random.Generator(np.random.Philox(number + 1000))
    if turns is None:
        known = _VOCABULARY.split()
        words = [known[i] for i in rng.integers(0, len(known), int(rng.integers(3, 40)))]
        turns = [(f"What is {number}?", " ".join(words)), ("And more?", "Nothing more.")]
    if images is None:
        images = [picture(number * 10 + i, *size) for i, size in enumerate(sizes)]
    infos = [
        {
            "width": width,
            "height": height,
            "format": "PNG",
            "mode": "RGB",
            "sha256": hashlib.sha256(data).hexdigest(),
            "phash": number,
            "tiles": 1,
        }
        for data, (width, height) in zip(images, sizes, strict=True)
    ]
    return {
        "id": f"{number:032x}",
        "source": source,
        "images": [{"bytes": data, "path": None} for data in images],
        "messages": messages_of(None, list(turns), len(infos)),
        "image_info": infos,
        "tokens": {"answer": 1, "text": 1, "image": 1},
        "tiles": len(infos),
        "turn_sources": [source] * len(turns),
        "origin": {"file": "x", "row_group": 0, "row": number, "key": ""},
        "license": "cc0",
        "language": "en",
        "cluster": None,
        "epoch": 0,
        "repeat": 1,
    }


def mixed_rows(count: int) -> list[dict[str, Any]]:
    """Rows of three sources: one image, two images, none."""
    rows = []
    for number in range(count):
        if number % 5 == 4:
            rows.append(make_row(number, "words", ()))
        elif number % 7 == 3:
            rows.append(make_row(number, "pairs", ((50, 60), (25, 20))))
        else:
            sizes = ((20 + number * 7 % 90, 15 + number * 11 % 80),)
            rows.append(make_row(number, "pictures", sizes))
    return rows


def write_mixture(
    folder: Path | str,
    rows: Sequence[dict[str, Any]],
    group_rows: int = 10,
    shards: int = 2,
    upscale: Any = "never",
) -> Mixture:
    """Write rows in order as a finished mixture.

    Args:
        group_rows: rows of a row group.
        upscale: of its recipe's stage.
    """
    stage = {"budget": {"samples": len(rows)}, "mixture": {"x": 1}, "upscale": upscale}
    entries, out = [], str(folder)
    per_shard = -(-len(rows) // shards)
    for shard in range(shards):
        mine = rows[shard * per_shard : (shard + 1) * per_shard]
        name = shard_name(shard, shards)
        with storage.atomic_write(storage.join(out, DATA, "fff111", name)) as file:
            writer = ShardWriter(file)
            for start in range(0, len(mine), group_rows):
                writer.write_row_group(mine[start : start + group_rows])
            writer.close()
        entries.append(RowFile(name=name, bytes=file.size, sha256=file.sha256, rows=len(mine)))
    manifest = MixtureManifest(
        stage="sft",
        fingerprint="fff111",
        seed=0,
        code_version="0",
        recipe={"stages": {"sft": stage}},
        recipe_name="test",
        tokenizer=Tokenizer(name=None, estimated=True),
        corpora={},
        curation="ccc",
        sources=_sources(rows),
        totals=MixtureTotals(
            rows=len(rows), answer_tokens=0, text_tokens=0, image_tokens=0, images=0, bytes=0
        ),
        shards=entries,
    )
    storage.write_json(storage.join(out, MANIFEST), manifest.model_dump(mode="json"))
    return load_mixture(out)


def _sources(rows: Sequence[dict[str, Any]]) -> dict[str, SourceInMixture]:
    names = sorted({row["source"] for row in rows})
    return {
        name: SourceInMixture(
            counts=RowCounts(rows_in=1, kept=1),
            weight=1.0,
            share_asked=0,
            share_reached=0,
            epochs=1,
            rows=sum(row["source"] == name for row in rows),
            answer_tokens=0,
            text_tokens=0,
            image_tokens=0,
            images=0,
            license="cc0",
            repo="x",
            commit=None,
        )
        for name in names
    }
