"""Tables printed to the terminal: mixtures, plans, sources."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from cauldron.core import storage
from cauldron.core.output.docmatix import DocmatixManifest
from cauldron.core.output.manifests import MixtureManifest, RatingManifest
from cauldron.core.program import program
from cauldron.inspect.card import REASONS, nothing_left, reasons
from cauldron.inspect.docmatix_plan import DocmatixPlan
from cauldron.inspect.left_out import limits_told, repeated
from cauldron.inspect.plan import CORE_HOUR_PRICE, Plan, misprint_note, together
from cauldron.inspect.plan_difference import Difference
from cauldron.inspect.planned_source import OTHERS
from cauldron.inspect.query_output import console
from cauldron.inspect.views import mixture_view
from cauldron.sources.catalog import registry
from cauldron.transforms.models.budget import Price

# More causes in a plan are not listed.
_CAUSES = 16


def _table(title: str, *columns: str) -> Table:
    """A table whose first column is text and whose others are figures."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _print(table: Table, *notes: str, spare: tuple[str, ...] = ()) -> None:
    """Print a table and lines below it.

    Args:
        spare: columns that may be left out on a narrow terminal, the first one first.
    """
    printer = console()
    left_out = _fit(table, spare, printer)
    printer.print(table)
    if left_out:
        text = f"Not shown, for lack of room: {', '.join(left_out)} (--json has everything)."
        printer.print(text, highlight=False, soft_wrap=True)
    for note in notes:
        printer.print(note, highlight=False, soft_wrap=True)


def _fit(table: Table, spare: tuple[str, ...], printer: Console) -> list[str]:
    """Take spare columns out until no cell is cut; returns their headers."""
    left_out = []
    unbounded = printer.options.update(max_width=10_000)
    for header in spare:
        if Measurement.get(printer, unbounded, table).maximum <= printer.width:
            break
        table.columns = [column for column in table.columns if column.header != header]
        for number, column in enumerate(table.columns):
            column._index = number
        left_out.append(header)
    return left_out


def print_mixture(manifest: MixtureManifest, output: str) -> None:
    """Print the mixture table, the totals, the folder, and a query to start with."""
    estimated = " (tokens estimated from bytes)" if manifest.tokenizer.estimated else ""
    table = _table(
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
            _percent(source.share_published),
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
    _print(
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


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _reasons(manifest: MixtureManifest) -> list[str]:
    found = reasons(manifest)
    return [f"{REASONS}:", *(f"  {name}: {why}" for name, why in found.items())] if found else []


def print_plan(
    plan: Plan, price: float = CORE_HOUR_PRICE, change: Difference | None = None
) -> None:
    """Print a stage's plan, its totals, and the estimate of its cost.

    Args:
        price: USD per core-hour.
        change: from the recipe that this one was made from.
    """
    basis = " (from the corpora, before curation)" if plan.before_curation else ""
    table = _table(
        f"Plan of stage {plan.stage}, which promises {plan.promise}{basis}",
        "source", "rows", "epochs", "authors", "planned %", "asked %", "published %", "weight",
        "read GB",
    )  # fmt: skip
    for line in plan.sources:
        allocation, published = line.allocation, line.published
        authors = line.authors_epochs
        table.add_row(
            allocation.source,
            f"{allocation.rows:,}",
            f"{allocation.epochs:.3f}",
            "-" if authors is None else f"{authors:.3f}",
            f"{100 * allocation.planned_share:.2f}",
            f"{100 * allocation.share:.2f}",
            _percent(None if published is None else published.share),
            "-" if allocation.weight is None else f"{allocation.weight:g}",
            "?" if line.read_bytes is None else f"{line.read_bytes / 1e9:.2f}",
        )
    _print(
        table,
        *_plan_notes(plan),
        _plan_totals(plan),
        *([_changed(change)] if change else []),
        _cost(plan, price),
        spare=("read GB", "weight", "asked %", "rows"),
    )


def _plan_notes(plan: Plan) -> list[str]:
    misprint = misprint_note(plan)
    guessed = sum(line.estimated for line in plan.sources)
    absent = f"Not in the output, so planned without: {', '.join(plan.absent)}"
    return [
        "epochs: passes over a source; authors: those of the authors' code. Shares are of answer "
        "tokens.",
        *_causes(plan),
        *_limits(plan),
        *([f"Answer tokens of {guessed} sources are estimated from bytes."] if guessed else []),
        *([misprint] if misprint else []),
        *([f"Nothing is known yet of: {', '.join(plan.missing)}"] if plan.missing else []),
        *([absent] if plan.absent else []),
        *(f"Left out: {name}: {why}" for name, why in plan.left_out.items()),
    ]


def _limits(plan: Plan) -> list[str]:
    """How many rows the recipe reads of the sources that it does not read whole."""
    known = registry()
    told = []
    for line in plan.sources:
        if line.limit is not None and line.limit_is_the_recipes:
            name = line.allocation.source
            whole = known[name].published_rows if name in known else None
            told.append(f"{name} {line.limit:,}" + (f" of {whole:,}" if whole else ""))
    return [f"Rows that are read of sources with a limit: {'; '.join(told)}."] if told else []


def _causes(plan: Plan) -> list[str]:
    """A line for each source that differs by itself, and one for those that others change."""
    own = [line for line in plan.sources if line.cause and line.cause not in OTHERS]
    anchors = "share and published share" if plan.promise == "epochs" else "epochs and authors"
    lines = [f"  {line.allocation.source}: {line.cause}" for line in own[:_CAUSES]]
    if len(own) > _CAUSES:
        lines.append(f"  {len(own) - _CAUSES} more sources (--json has everything)")
    for cause in OTHERS:
        count = sum(line.cause == cause for line in plan.sources)
        lines += [f"  {count} sources: {cause}"] if count else []
    return [f"Why {anchors} differ:", *lines] if lines else []


def _size(count: float, sign: str = "") -> str:
    units = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"))
    unit, name = next((item for item in units if abs(count) >= item[0]), units[-1])
    return f"{count / unit:{sign},.1f} {name}"


def _plan_totals(plan: Plan) -> str:
    size = "of unknown size" if plan.bytes is None else _size(plan.bytes)
    free = "" if plan.free_bytes is None else f"; {_size(plan.free_bytes)} are free"
    fills = "" if plan.sequences is None else f", which fill {plan.sequences:,.0f} sequences"
    return (
        f"The mixture: {plan.rows:,} rows, {plan.answer_tokens:,.0f} answer tokens{fills}, {size} "
        f"with the pictures of every epoch. Corpora: {_size(plan.corpora_bytes)}{free}."
    )


def _changed(change: Difference) -> str:
    size = "" if change.bytes is None else f", {_size(change.bytes, '+')}"
    shares = "; ".join(
        f"{name} {before:.2%} to {after:.2%}" for name, (before, after) in change.shares.items()
    )
    return (
        f"Against {change.parent}: {change.rows:+,} rows, {change.answer_tokens:+,.0f} answer "
        f"tokens{size}. "
        + (f"Shares: {shares}." if shares else "No share changes by half a point.")
    )


def _cost(plan: Plan, price: float) -> str:
    values = plan.to_json(price)["estimate"]
    unknown = len(values["sources_of_unknown_size"])
    others = f" and {unknown} sources of unknown size" if unknown else ""
    return f"A build {_taken(values, others, price)}"


def _taken(values: dict[str, Any], unread: str, price: float, unstored: str = "") -> str:
    """What a build takes, in a sentence.

    Args:
        unread, unstored: what more is read or stored, of unknown size.
    """
    steps = values["core_hours_by_step"].items()
    hours = ", ".join(f"{step} {value:,.1f}" for step, value in steps if value >= 0.05)
    pages = values["rendered_pages"]
    return (
        f"reads about {_size(values['read_bytes'])}{unread}"
        + (f", fetches {_fetched(values)}" if values["fetched_images"] else "")
        + (f", draws {_millions(pages)} pages" if pages else "")
        + f", stores {_size(values['stored_bytes'])}{unstored}"
        + f" and shuffles {_size(values['shuffled_bytes'])}:"
        + f" about {values['core_hours']:,.0f} core-hours"
        + (f" ({hours})" if hours else "")
        + f", {values['cost_usd']:,.2f} USD at {price:g} USD per core-hour."
    )


def _millions(count: float) -> str:
    return f"{count / 1e6:,.1f} million" if count >= 1e5 else f"{count:,.0f}"


def _fetched(values: dict[str, Any]) -> str:
    images, size = values["fetched_images"], values["fetched_bytes"]
    each = f"{size / images / 1e3:,.0f} kB each, assumed"
    return f"{_millions(images)} images of {_size(size)} ({each})"


def print_plans_together(planned: Sequence[Plan], price: float) -> None:
    """Print what one build of several stages takes."""
    whole = together(planned, price)
    unknown = "".join(f" and the mixture {name}" for name in whole["stages_of_unknown_size"])
    console().print(
        f"All {len(planned)} stages in one build, where a source that several mix is read once: "
        + _taken(whole, "", price, unknown),
        highlight=False,
        soft_wrap=True,
    )


def print_ratings(manifests: list[RatingManifest], cost: float) -> None:
    """Print the histogram of ratings by source and scale, and what they took.

    Args:
        cost: of rating all rows, in USD; 0 if no price is known.
    """
    table = _table("Ratings", "source", "scale", *"12345", "none", "mean")
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
    _print(table, *notes)


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
    _print(table, spare=("GB", "rows", "images", "access"))


def print_docmatix_plan(plan: DocmatixPlan, rate: float | None, price: Price | None) -> None:
    """Print what will be asked, and how long it takes and costs."""
    table = _table("Plan of docmatix", "what", "number")
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
    _print(table, "No model was asked.", *hints)


def print_docmatix(manifest: DocmatixManifest, output: str) -> None:
    """Print what became of every document and pair."""
    table = _table("Docmatix", "outcome", "documents", "pairs")
    outcomes = sorted(
        {*manifest.documents, *manifest.pairs}, key=lambda name: (name != "kept", name)
    )
    for name in outcomes:
        counts = (kind.get(name, 0) for kind in (manifest.documents, manifest.pairs))
        table.add_row(name, *(f"{number:,}" if number else "-" for number in counts))
    table.add_row(
        "all", f"{sum(manifest.documents.values()):,}", f"{sum(manifest.pairs.values()):,}"
    )
    _print(
        table,
        f"{manifest.requests:,} requests, {manifest.unanswered:,} without an answer; "
        f"{manifest.tokens_in:,} prompt and {manifest.tokens_out:,} answer tokens",
        f"{manifest.pages:,} pages: {output}",
    )
