"""The miniature hub as files: where each source's rows go, and where each row came to stand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import yaml

from cauldron.core import storage
from cauldron.sample.model import Item
from cauldron.sample.publish import layouts


@dataclass(frozen=True)
class Placed:
    """A row and where it stands.

    Attributes:
        source: the source's name.
        file: path inside the repository.
        row: as `cauldron.core.schema.Origin.row` counts: row of a parquet file or JSON array, byte
            offset of a JSON line, member of an archive; -1 for a whole file.
        rows: published rows behind it.
    """

    source: str
    file: str
    row: int
    item: Item
    rows: int = 1


@dataclass
class Hub:
    """What has been written so far."""

    folder: str
    seed: int
    placed: list[Placed] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def put(self, path: str, data: bytes) -> None:
        """Write a file, by its path under the hub's folder."""
        storage.write_bytes(storage.join(self.folder, path), data)

    def place(self, source: str, file: str, row: int, item: Item, rows: int = 1) -> None:
        self.placed.append(Placed(source, file, row, item, rows))

    def note(self, source: str, text: str) -> None:
        self.notes.setdefault(source, []).append(text)

    def shards(
        self,
        source: str,
        repo: str,
        stem: str,
        items: Sequence[Item],
        rows: Sequence[dict[str, Any]],
        schema: pa.Schema,
        count: int = 1,
        of: int = 0,
        hashed: bool = True,
    ) -> None:
        """Write `rows` into `count` shards named ``<stem>-<i>-of-<of>[-<hash>].parquet``."""
        of = of or count
        cut = [round(len(rows) * i / count) for i in range(count + 1)]
        for i in range(count):
            path = self.shard_name(stem, i, of, hashed)
            part = slice(cut[i], cut[i + 1])
            self.put(f"{repo}/{path}", layouts.parquet(rows[part], schema))
            for row, item in enumerate(items[part]):
                self.place(source, path, row, item)

    def json_rows(
        self, source: str, repo: str, path: str, pairs: Sequence[tuple[Item, Any]]
    ) -> None:
        """Write a file of one JSON value per row: lines, or one array."""
        values = [value for _, value in pairs]
        data, places = (layouts.json_lines if path.endswith("l") else layouts.json_array)(values)
        self.put(f"{repo}/{path}", data)
        for place, (item, _) in zip(places, pairs, strict=True):
            self.place(source, path, place, item)

    def shard_name(self, stem: str, number: int, of: int, hashed: bool = True) -> str:
        """As `push_to_hub` names a shard: with 16 hex digits, unless `hashed` is false."""
        text = f"{self.seed}/{stem}/{number}/{of}".encode()
        tail = f"-{hashlib.blake2b(text, digest_size=8).hexdigest()}" if hashed else ""
        return f"{stem}-{number:05d}-of-{of:05d}{tail}.parquet"


def card(name: str, header: dict[str, Any]) -> bytes:
    """A README with a YAML header."""
    plain = json.loads(json.dumps(header))  # or the dump would refer to shared parts by anchors
    told = f"# {name}, in miniature\n\nDrawn by `cauldron sample`.\n"
    return f"---\n{yaml.dump(plain, sort_keys=False)}---\n\n{told}".encode()
