"""Files as publishers write them: parquet with footer features, JSON, zips, a tarball.

Bytes depend on the content alone: archive entries carry one fixed time, nothing else is dated.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cauldron.sample.model import Turn

ROW_GROUP = 10
ZIP_TIME = (2024, 1, 1, 0, 0, 0)

_STRING = pa.string()
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", _STRING)])


def _texts(*names: str) -> pa.DataType:
    return pa.list_(pa.struct([(name, _STRING) for name in names]))


def _feature(kind: pa.DataType) -> Any:
    """A type as `datasets` describes it."""
    if kind == _IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {kind.field(i).name: _feature(kind.field(i).type) for i in range(kind.num_fields)}
    return {"dtype": str(kind), "_type": "Value"}


def _schema(columns: dict[str, pa.DataType], **features: Any) -> pa.Schema:
    """A schema with the footer of `datasets`; `features` replace those of their columns."""
    described = {name: _feature(kind) for name, kind in columns.items()} | features
    info = json.dumps({"info": {"features": described}})
    return pa.schema(list(columns.items()), metadata={b"huggingface": info.encode()})


_TURNS = _texts("user", "assistant", "source")
# The Cauldron's 50 configurations and Docmatix' page images; written by an older `datasets`,
# hence "Sequence".
CAULDRON = _schema(
    {"images": pa.list_(_IMAGE), "texts": _TURNS},
    images={"feature": {"_type": "Image"}, "_type": "Sequence"},
)
DOCMATIX_PDF = _schema({"pdf": pa.binary(), "texts": _TURNS})
CORD = _schema({"image": _IMAGE, "ground_truth": _STRING})
LNQA = _schema(
    {"image": _IMAGE, "qa": _texts("question", "answer")},
    image={"decode": False, "_type": "Image"},
)
GEO170K = _schema({"image": _STRING, "conversations": _texts("from", "value")})
ORCA_MATH = _schema({"question": _STRING, "answer": _STRING})
WEBSIGHT_V1 = _schema({"image": _IMAGE, "text": _STRING})
WEBSIGHT_V2 = _schema({"image": _IMAGE, "text": _STRING, "llm_generated_idea": _STRING})
_LINES = {"feature": {"dtype": "string", "_type": "Value"}, "_type": "Sequence"}
OBELICS = _schema(
    {
        "images": pa.list_(_STRING),
        "metadata": _STRING,
        "general_metadata": _STRING,
        "texts": pa.list_(_STRING),
    },
    images=_LINES,
    texts=_LINES,
)
CHARTGEMMA = _schema({"image": pa.binary(), "input": _STRING, "output": _STRING})


def _laion(size: pa.DataType) -> pa.Schema:
    """As Spark wrote it, so without the footer of `datasets`."""
    texts = [(name, _STRING) for name in ("URL", "TEXT", "top_caption")]
    lists = [("all_captions", pa.list_(_STRING)), ("all_similarities", pa.list_(pa.float64()))]
    sizes = [("WIDTH", size), ("HEIGHT", size)]
    return pa.schema(
        [*texts, *lists, *sizes, ("similarity", pa.float64()), ("punsafe", pa.float64())]
    )


LAION, LAION_FLOATS = _laion(pa.int64()), _laion(pa.float64())


def _pixelprose(community: pa.DataType) -> pa.Schema:
    texts = ("uid", "url", "key", "status", "original_caption", "vlm_model", "vlm_caption")
    return _schema(
        {
            **dict.fromkeys(texts, _STRING),
            "toxicity": pa.float64(),
            "watermark_class_id": pa.float64(),
            "width": pa.int64(),
            "height": pa.int64(),
            "sha256": _STRING,
            "subreddit": community,
            "score": community,
        }
    )


PIXELPROSE, PIXELPROSE_REDCAPS = _pixelprose(pa.int64()), _pixelprose(_STRING)
OTHER_COLUMNS = pa.schema([("img", pa.binary()), ("caption", _STRING)])


def parquet(rows: Sequence[dict[str, Any]], schema: pa.Schema, group: int = ROW_GROUP) -> bytes:
    """A file of `rows` in row groups of `group`."""
    buffer = io.BytesIO()
    table = pa.Table.from_pylist(list(rows), schema=schema)
    pq.write_table(table, buffer, row_group_size=group, compression="snappy")
    return buffer.getvalue()


def with_ruined_group(data: bytes, group: int) -> bytes:
    """Overwrite the pages of one row group; the footer and the other groups stay readable."""
    meta = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(group)
    ruined = bytearray(data)
    for column in range(meta.num_columns):
        chunk = meta.column(column)
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        stop = start + chunk.total_compressed_size
        ruined[start:stop] = b"\xff" * (stop - start)
    return bytes(ruined)


def json_lines(values: Iterable[Any]) -> tuple[bytes, list[int]]:
    """(file, byte offset of each line). A value that is bytes is written as it is."""
    lines = [value if isinstance(value, bytes) else json.dumps(value).encode() for value in values]
    offsets = [0, *accumulate(len(line) + 1 for line in lines)]
    return b"".join(line + b"\n" for line in lines), offsets[:-1]


def json_array(values: Sequence[Any]) -> tuple[bytes, list[int]]:
    """(file of one array, number of each element), an element a line."""
    lines, _ = json_lines(values)
    return b"[\n" + lines[:-1].replace(b"\n", b",\n") + b"\n]\n", list(range(len(values)))


def talk(*turns: Turn) -> list[dict[str, Any]]:
    """A conversation as LLaVA and ShareGPT write it."""
    texts = [text for turn in turns for text in turn]
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]


def zipped(members: Iterable[tuple[str, bytes | int]]) -> bytes:
    """A zip of stored members in order. A number stands for that many zeros, deflated."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name, ZIP_TIME)
            info.create_system = 3  # Unix, whatever wrote it
            info.external_attr = 0o644 << 16
            kind = zipfile.ZIP_DEFLATED if isinstance(content, int) else zipfile.ZIP_STORED
            archive.writestr(info, bytes(content), kind)
    return buffer.getvalue()


def tarred(members: Iterable[tuple[str, bytes | str]]) -> bytes:
    """A ``.tar.gz`` in order. A string instead of bytes is the target of a symbolic link."""
    return gzip.compress(plain_tar(members), 1, mtime=0)


def plain_tar(members: Iterable[tuple[str, bytes | str]]) -> bytes:
    """A ``.tar`` in order; see `tarred`."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname, content = tarfile.SYMTYPE, content, b""
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return plain.getvalue()
