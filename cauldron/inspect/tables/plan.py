"""The tables of plans, and the sentences below them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cauldron.inspect.planning.difference import Difference
from cauldron.inspect.planning.plan import CORE_HOUR_PRICE, Plan, misprint_note, together
from cauldron.inspect.planning.source import OTHERS
from cauldron.inspect.query_output import console
from cauldron.inspect.tables.layout import percent, print_table, table_of
from cauldron.sources.catalog import registry

# More causes in a plan are not listed.
_CAUSES = 16


def print_plan(
    plan: Plan, price: float = CORE_HOUR_PRICE, change: Difference | None = None
) -> None:
    """Print a stage's plan, its totals, and the estimate of its cost.

    Args:
        price: USD per core-hour.
        change: from the recipe that this one was made from.
    """
    basis = " (from the corpora, before curation)" if plan.before_curation else ""
    table = table_of(
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
            percent(None if published is None else published.share),
            "-" if allocation.weight is None else f"{allocation.weight:g}",
            "?" if line.read_bytes is None else f"{line.read_bytes / 1e9:.2f}",
        )
    print_table(
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
