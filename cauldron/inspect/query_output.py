"""Writing a query's result as a table for the terminal, as JSON, CSV or parquet.

A result is a stream of record batches and is never held as a whole. Bytes are shown as their size,
``<12,345 bytes>``; only parquet holds the bytes themselves.
"""

from __future__ import annotations

import csv
import datetime
import json
import math
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.console import Console
from rich.table import Table

from cauldron.core import storage
from cauldron.core.errors import CauldronError, UsageError

# Most rows of a table; JSON, CSV and parquet have no limit.
TABLE_ROWS = 1000
_CELL_WIDTH = 60
# If there is less room than this for a column, rows are shown one below the other.
_NARROWEST_COLUMN = 9
_PIPE_WIDTH = 160
_ROW_GROUP_BYTES = 32 * 1024 * 1024


def console(stream: TextIO | None = None, **settings: Any) -> Console:
    """A console on the terminal, or `_PIPE_WIDTH` wide on a pipe or a file."""
    result = Console(file=stream, **settings)
    if not result.is_terminal:
        result.width = _PIPE_WIDTH
    return result


def write_table(batches: pa.RecordBatchReader, stream: TextIO) -> None:
    """A table as wide as the terminal, or a block per row if the columns do not fit."""
    columns = batches.schema.names
    rows = list(islice(_rows(batches), TABLE_ROWS + 1))
    more = len(rows) > TABLE_ROWS
    rows = rows[:TABLE_ROWS]
    printer = console(stream, highlight=False, markup=False, emoji=False)
    if columns == ["explain_key", "explain_value"]:
        stream.writelines(f"{plan}\n" for _, plan in rows)
        return
    if len(columns) * _NARROWEST_COLUMN <= printer.width:
        printer.print(_grid(batches.schema, rows))
    else:
        _print_blocks(printer, columns, rows)
    if more:
        printer.print(f"the first {TABLE_ROWS:,} rows; --csv, --json or --parquet FILE take all")
    else:
        printer.print(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}")


def _grid(schema: pa.Schema, rows: list[list[Any]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for field in schema:
        is_number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        is_number = is_number or pa.types.is_decimal(field.type)
        justify = "right" if is_number else "left"
        table.add_column(_printable(field.name), justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    return table


def _print_blocks(printer: Console, columns: list[str], rows: list[list[Any]]) -> None:
    for number, row in enumerate(rows, 1):
        printer.rule(f"row {number}", align="left", characters="─")
        block = Table(box=None, show_header=False, pad_edge=False)
        block.add_column(style="bold", no_wrap=True)
        block.add_column(overflow="fold")
        for name, value in zip(columns, row, strict=True):
            block.add_row(_printable(name), _cell(value, 4 * _CELL_WIDTH))
        printer.print(block)


def _cell(value: Any, width: int = _CELL_WIDTH) -> str:
    if value is None:
        return "·"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = value if isinstance(value, str) else _text(value)
    text = _printable(text[: width + 1])
    return text if len(text) <= width else text[: width - 1] + "…"


def _printable(text: str) -> str:
    """Escape control characters: published text must not control the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def write_json(batches: pa.RecordBatchReader, stream: TextIO) -> None:
    """A JSON array of objects, one row per line."""
    columns = _distinct(batches.schema.names)
    stream.write("[")
    for number, row in enumerate(_rows(batches)):
        stream.write(",\n " if number else "\n ")
        record = dict(zip(columns, row, strict=True))
        stream.write(json.dumps(record, ensure_ascii=False, allow_nan=False))
    stream.write("\n]\n")


def write_csv(batches: pa.RecordBatchReader, stream: TextIO) -> None:
    """A header and a line per row. Lists and structs are written as JSON, null as nothing."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(batches.schema.names)
    for row in _rows(batches):
        writer.writerow(["" if value is None else _text(value) for value in row])


def write_parquet(batches: pa.RecordBatchReader, target: str) -> None:
    """Write a parquet file atomically; on an error an existing file is kept.

    Raises:
        UsageError: parquet does not support the type of a column.
        CauldronError: the file cannot be written.
    """
    columns = _distinct(batches.schema.names)
    schema = pa.schema([f.with_name(n) for f, n in zip(batches.schema, columns, strict=True)])
    try:
        with (
            storage.atomic_write(target) as file,
            pq.ParquetWriter(file, schema, compression="zstd") as writer,
        ):
            for table in _row_groups(batches, schema):
                writer.write_table(table)
    except (pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise UsageError(f"{target}: {error}; CAST the column to a type of parquet") from None
    except OSError as error:
        raise CauldronError(f"{target}: {error.strerror or error}") from None


def _row_groups(batches: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
        if sum(item.nbytes for item in held) >= _ROW_GROUP_BYTES:
            yield pa.Table.from_batches(held)
            held = []
    yield pa.Table.from_batches(held, schema=schema)


def _distinct(names: list[str]) -> list[str]:
    """Make column names unique: ``a, a`` becomes ``a, a_1``."""
    result: list[str] = []
    for name in names:
        number, candidate = 0, name
        while candidate in result:
            number += 1
            candidate = f"{name}_{number}"
        result.append(candidate)
    return result


def _rows(batches: pa.RecordBatchReader) -> Iterator[list[Any]]:
    """Rows as JSON values."""
    for batch in batches:
        columns = [column.to_pylist(maps_as_pydicts="lossy") for column in batch.columns]
        for row in zip(*columns, strict=True):
            yield [_plain(value) for value in row]


def _plain(value: Any) -> Any:
    """A value that JSON can hold; NaN and infinity become null."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    if isinstance(value, Decimal):
        # Sums of integers come as decimals of 38 digits.
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value)


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
