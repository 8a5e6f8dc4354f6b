"""The table of a finished mixture."""

from __future__ import annotations

import shlex

from cauldron.core import storage
from cauldron.core.output.manifests import MixtureManifest
from cauldron.core.program import program
from cauldron.inspect.card import REASONS, nothing_left, reasons
from cauldron.inspect.left_out import limits_told, repeated
from cauldron.inspect.tables.layout import percent, print_table, table_of
from cauldron.inspect.views import mixture_view


def print_mixture(manifest: MixtureManifest, output: str) -> None:
    """Print the mixture table, the totals, the folder, and a query to start with."""
    estimated = " (tokens estimated from bytes)" if manifest.tokenizer.estimated else ""
    table = table_of(
        f"Mixture {manifest.stage}{estimated}",
        "source", "in", "kept", "merged", "dropped", "quarantined",
        "epochs", "rows", "answer tokens", "published %", "asked %", "reached %",
    )  # fmt: skip
    for name, source in manifest.sources.items():
        table.add_row(
            name,
            *(f"{rows:,}" for rows in source.counts.totals.values()),
            f"{source.epochs:.3f}",
            f"{source.rows:,}",
            f"{source.answer_tokens:,}",
            percent(source.share_published),
            f"{100 * source.share_asked:.2f}",
            f"{100 * source.share_reached:.2f}",
        )
    totals, missing = manifest.totals, len(manifest.unavailable)
    folder = storage.join(output, manifest.folder)
    view = mixture_view(manifest).sql
    query = f"SELECT source, count(*) AS rows FROM {view} GROUP BY 1 ORDER BY 2 DESC"
    without = (
        f"Built without {missing} sources of the recipe; the manifest and the card name them and "
        "say why."
    )
    print_table(
        table,
        *([without] if missing else []),
        *([nothing_left(manifest)] if manifest.empty else []),
        *_reasons(manifest),
        *(f"{name}: {limits_told(manifest)[name]}." for name in repeated(manifest)),
        f"{totals.rows:,} rows, {totals.answer_tokens:,} answer tokens, {totals.images:,} images, "
        f"{totals.bytes / 1e6:,.1f} MB in {len(manifest.shards)} shards: {folder}",
        f"Look at it: {program()} query {shlex.quote(output)} {shlex.quote(query)}",
        spare=("answer tokens", "in", "kept", "merged", "dropped", "quarantined", "epochs"),
    )


def _reasons(manifest: MixtureManifest) -> list[str]:
    found = reasons(manifest)
    return [f"{REASONS}:", *(f"  {name}: {why}" for name, why in found.items())] if found else []
