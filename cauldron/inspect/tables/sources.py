"""The table of all sources."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from cauldron.inspect.tables.layout import print_table
from cauldron.sources.catalog import registry


def source_lines() -> list[dict[str, Any]]:
    """Every source as plain values, for ``--json``."""
    return [
        {
            "source": source.name,
            "title": source.title,
            "repo": source.repo,
            "license": source.license,
            "license_note": source.license_note,
            "rows": source.published_rows,
            "bytes": source.published_bytes,
            "gated": source.gated,
            "images": {None: "none", True: "included", False: "elsewhere"}[source.ships_images],
        }
        for source in registry().values()
    ]


def print_sources() -> None:
    """Print a line for every source."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("source", "what", "licence", "images"):
        table.add_column(column, no_wrap=column == "source")
    for column in ("rows", "GB"):
        table.add_column(column, justify="right")
    table.add_column("access")
    for line in source_lines():
        table.add_row(
            line["source"],
            line["title"],
            line["license"],
            line["images"],
            "?" if line["rows"] is None else f"{line['rows']:,}",
            "?" if line["bytes"] is None else f"{line['bytes'] / 1e9:.2f}",
            "gated" if line["gated"] else "open",
        )
    print_table(table, spare=("GB", "rows", "images", "access"))
