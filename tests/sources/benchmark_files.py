"""Small benchmarks in their published layouts, written and read."""

from __future__ import annotations

import base64
import io
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.sources.base import BadRow, Row
from cauldron.sources.benchmarks import BenchmarkSource, find_place
from cauldron.sources.roots import open_root
from PIL import Image

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def picture(number: int, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (number * 7 % 256, number * 31 % 256, 99)).save(buffer, form)
    return buffer.getvalue()


def struct(number: int, path: str | None = None) -> dict[str, Any]:
    return {"bytes": picture(number), "path": path}


def write_parquet(path: Path, columns: dict[str, list[Any]], **types: pa.DataType) -> Path:
    """A table whose columns named like images are structs; `types` says otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for name, values in columns.items():
        named = IMAGE if "image" in name and any(isinstance(v, dict) for v in values) else None
        arrays[name] = pa.array(values, types.get(name, named))
    pq.write_table(pa.table(arrays), path)
    return path


def write_tsv(path: Path, rows: list[dict[str, str]]) -> Path:
    def field(text: str) -> str:
        is_plain = not set(text) & set('"\t\n')
        return text if is_plain else '"' + text.replace('"', '""') + '"'

    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [list(rows[0]), *([row.get(name, "") for name in rows[0]] for row in rows)]
    path.write_text("".join("\t".join(map(field, line)) + "\n" for line in lines))
    return path


def encoded(number: int) -> str:
    return base64.b64encode(picture(number)).decode()


def source_of(name: str, path: Path | str, root: str | None = "/nonexistent") -> BenchmarkSource:
    place = find_place(str(path), open_root(root))
    return BenchmarkSource(name=name, repo=place.repo.id, title=name, license="", place=place)


def read(source: BenchmarkSource) -> list[Row | BadRow]:
    """All rows, with everything pickled on the way as it is to workers."""
    root = open_root("/nonexistent")
    pieces = source.pieces(root, source.place.repo, {})
    worker, repo, pieces = pickle.loads(pickle.dumps((source, source.place.repo, pieces)))
    return [row for piece in pieces for row in worker.read(root, repo, piece, {})]


def rows_of(name: str, path: Path | str, root: str | None = "/nonexistent") -> list[Row]:
    found = read(source_of(name, path, root))
    assert not [row for row in found if isinstance(row, BadRow)]
    return found  # type: ignore[return-value]


def one_turn(row: Row) -> tuple[str | None, str | None]:
    (turn,) = row.turns
    return turn.user, turn.assistant
