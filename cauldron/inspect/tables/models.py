"""The tables of what a model was asked, or will be: ratings and Docmatix."""

from __future__ import annotations

from collections import Counter

from cauldron.core.output.docmatix import DocmatixManifest
from cauldron.core.output.manifests import RatingManifest
from cauldron.inspect.planning.docmatix import DocmatixPlan
from cauldron.inspect.tables.layout import print_table, table_of
from cauldron.transforms.models.budget import Price


def print_ratings(manifests: list[RatingManifest], cost: float) -> None:
    """Print the histogram of ratings by source and scale, and what they took.

    Args:
        cost: of rating all rows, in USD; 0 if no price is known.
    """
    table = table_of("Ratings", "source", "scale", *"12345", "none", "mean")
    reasons: Counter[str] = Counter()
    for manifest in manifests:
        for scale, counts in manifest.counts.ratings.items():
            rated = {int(said): number for said, number in counts.items() if said.isdigit()}
            why = {said: number for said, number in counts.items() if not said.isdigit()}
            reasons.update(why)
            total = sum(rated.values())
            mean = sum(rating * number for rating, number in rated.items()) / max(1, total)
            figures = [f"{rated.get(rating, 0):,}" for rating in range(1, 6)]
            none = f"{sum(why.values()):,}"
            table.add_row(manifest.source, scale, *figures, none, f"{mean:.2f}" if total else "-")
    sums = [manifest.counts for manifest in manifests]
    shares = sorted({manifest.share for manifest in manifests})
    notes = [
        f"{sum(item.rows for item in sums):,} rows ({100 * shares[0]:g} % of all), "
        f"{sum(item.tokens_in for item in sums):,} tokens in, "
        f"{sum(item.tokens_out for item in sums):,} out."
    ]
    if reasons:
        listed = ", ".join(f"{reason} {number:,}" for reason, number in sorted(reasons.items()))
        notes.append(f"Without a rating: {listed}.")
    if cost:
        notes.append(f"All rows cost {cost:,.2f} USD at most; equal questions are paid for once.")
    print_table(table, *notes)


def print_docmatix_plan(plan: DocmatixPlan, rate: float | None, price: Price | None) -> None:
    """Print what will be asked, and how long it takes and costs."""
    table = table_of("Plan of docmatix", "what", "number")
    table.add_row("documents", f"{plan.documents:,}")
    table.add_row("  asked about", f"{plan.selected:,}")
    for reason, number in plan.left_out.items():
        table.add_row(f"  {reason}", f"{number:,}")
    table.add_row("pages", f"{plan.pages:,}")
    table.add_row("requests", f"{plan.requests:,}")
    table.add_row("prompt tokens" + " (estimated)" * plan.estimated, f"{plan.tokens_in:,}")
    table.add_row("answer tokens (estimated)", f"{plan.tokens_out:,}")
    if rate is not None:
        table.add_row(f"hours at {rate:g} requests/s", f"{plan.hours(rate):,.1f}")
    if price is not None:
        table.add_row("dollars", f"{price.of(plan.tokens_in, plan.tokens_out):,.2f}")
    hints = []
    if rate is None:
        hints.append("--rate R tells the hours at R requests a second.")
    if price is None:
        hints.append("--price IN,OUT tells the dollars, at so many per million tokens.")
    print_table(table, "No model was asked.", *hints)


def print_docmatix(manifest: DocmatixManifest, output: str) -> None:
    """Print what became of every document and pair."""
    table = table_of("Docmatix", "outcome", "documents", "pairs")
    outcomes = sorted(
        {*manifest.documents, *manifest.pairs}, key=lambda name: (name != "kept", name)
    )
    for name in outcomes:
        counts = (kind.get(name, 0) for kind in (manifest.documents, manifest.pairs))
        table.add_row(name, *(f"{number:,}" if number else "-" for number in counts))
    table.add_row(
        "all", f"{sum(manifest.documents.values()):,}", f"{sum(manifest.pairs.values()):,}"
    )
    print_table(
        table,
        f"{manifest.requests:,} requests, {manifest.unanswered:,} without an answer; "
        f"{manifest.tokens_in:,} prompt and {manifest.tokens_out:,} answer tokens",
        f"{manifest.pages:,} pages: {output}",
    )
