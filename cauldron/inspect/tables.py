"""Tables for people: mixtures, plans, sources."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from cauldron.core.manifests import MixtureManifest, mixture_folder
from cauldron.inspect.plan import CORE_HOUR_PRICE, Plan, misprint_note
from cauldron.sources.base import Source
from cauldron.sources.catalog import registry


def _console() -> Console:
    console = Console()
    if not console.is_terminal:
        # A pipe or a log has no width to fit; cut columns would only hide figures.
        return Console(width=160)
    return console


def _table(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are figures."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=number > 0)
    return table


def print_mixture(manifest: MixtureManifest, output: str) -> None:
    """The mixture table, the totals, where it is and the query to look at it."""
    console = _console()
    estimated = " (tokens estimated from bytes)" if manifest.tokenizer.estimated else ""
    table = _table(
        f"Mixture {manifest.stage}{estimated}",
        "source", "in", "kept", "merged", "dropped", "quarantined",
        "epochs", "rows", "answer tokens", "asked %", "reached %",
    )  # fmt: skip
    for name, source in manifest.sources.items():
        counts = source.counts
        table.add_row(
            name,
            f"{counts.rows_in:,}",
            f"{counts.kept:,}",
            f"{sum(counts.merged.values()):,}",
            f"{sum(counts.dropped.values()):,}",
            f"{sum(counts.quarantined.values()):,}",
            f"{source.epochs:.3f}",
            f"{source.rows:,}",
            f"{source.answer_tokens:,}",
            f"{100 * source.share_asked:.2f}",
            f"{100 * source.share_reached:.2f}",
        )
    console.print(table)
    if manifest.unavailable:
        console.print(
            f"Built without {len(manifest.unavailable)} sources of the recipe that were not "
            "there; the manifest and the card name them.",
            highlight=False,
        )
    totals = manifest.totals
    folder = mixture_folder(output, manifest.stage)
    console.print(
        f"{totals.rows:,} rows, {totals.answer_tokens:,} answer tokens, {totals.images:,} images, "
        f"{totals.bytes / 1e6:,.1f} MB in {len(manifest.shards)} shards: {folder}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    query = f"SELECT source, count(*) AS rows FROM {manifest.stage} GROUP BY 1 ORDER BY 2 DESC"
    console.print(f'Look at it: cauldron query {output} "{query}"', highlight=False, soft_wrap=True)


def print_plan(plan: Plan, price: float = CORE_HOUR_PRICE) -> None:
    console = _console()
    table = _table(
        f"Plan of stage {plan.stage}",
        "source", "rows", "answer tokens", "weight", "share %", "epochs", "published %", "counts",
        "read GB",
    )  # fmt: skip
    for line in plan.sources:
        allocation, published = line.allocation, line.published
        basis = f"{line.basis}, estimated" if line.estimated else line.basis
        table.add_row(
            allocation.source,
            f"{allocation.counts.rows:,}",
            f"{allocation.counts.answer_tokens:,.0f}",
            "-" if allocation.weight is None else f"{allocation.weight:g}",
            f"{100 * allocation.share:.2f}",
            f"{allocation.epochs:.3f}{' (cap)' if allocation.capped else ''}",
            "-" if published is None else f"{published.percent_printed:.2f}",
            basis,
            "?" if line.read_bytes is None else f"{line.read_bytes / 1e9:.2f}",
        )
    console.print(table)
    note = misprint_note(plan)
    if note:
        console.print(note, highlight=False, soft_wrap=True)
    if plan.missing:
        console.print(f"Nothing is known yet of: {', '.join(plan.missing)}", highlight=False)
    estimate = plan.to_json(price)["estimate"]
    unknown = len(estimate["sources_of_unknown_size"])
    console.print(
        f"A full build reads about {estimate['read_bytes'] / 1e9:,.0f} GB"
        + (f" and {unknown} sources of unknown size" if unknown else "")
        + f": about {estimate['core_hours']:,.0f} core-hours, "
        f"{estimate['cost_usd']:,.2f} USD at {price:g} USD per core-hour.",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def source_lines() -> list[dict[str, Any]]:
    """Every source as plain values, for ``--json``."""
    return [_source_line(source) for source in registry().values()]


def _source_line(source: Source) -> dict[str, Any]:
    return {
        "source": source.name,
        "title": source.title,
        "repo": source.repo,
        "license": source.license,
        "rows": source.published_rows,
        "bytes": source.published_bytes,
        "gated": source.gated,
        "images": {None: "none", True: "included", False: "elsewhere"}[source.ships_images],
    }


def print_sources() -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("source", "what", "licence", "images"):
        table.add_column(column)
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
    _console().print(table)
