"""Why a source has fewer or more passes, or another share, than was published."""

from __future__ import annotations

import math

from cauldron.core.sections.stage import StageRecipe
from cauldron.core.shares import Allocation
from cauldron.inspect.statistics import Published

# A source that reaches a smaller part of its share is named, with the reason.
REACHED = 0.9
# Counts may differ by this much from published ones without being named as a cause.
NEAR = 0.05


def causes(item: Allocation, published: Published | None, limit: int | None = None) -> list[str]:
    """What makes a source's passes and share differ from the published ones, in a few words.

    Args:
        limit: the recipe's, of rows that are read; None if it leaves none unread.
    """
    counts = item.counts
    if counts.rows == 0:
        return ["no turn is left after curation"]
    found = []
    if item.portion.epochs is not None:
        found.append(f"epochs fixed at {item.portion.epochs:g}")
    if item.portion.share is not None:
        found.append(f"share set to {item.portion.share:.2%}")
    if published is not None:
        found += _beside_published(item, published, limit)
    if too_small := repeated(item, limit):
        found.append(too_small)
    if item.capped:
        found.append(f"capped at {item.ceiling:g} epochs")
    if counts.delivered < (1 - NEAR) * counts.answer_tokens:
        found.append(f"the cap on turns delivers {counts.delivered / counts.answer_tokens:.0%}")
    return found


def repeated(item: Allocation, limit: int | None) -> str:
    """Says that a limit is too small for what a stage takes; "" if it is not."""
    if limit is None or item.epochs <= 1 or item.portion.epochs is not None:
        return ""
    return (
        f"limited to {limit:,} rows, which are passed over {item.epochs:.2f} times: about "
        f"{math.ceil(limit * item.epochs):,} are wanted"
    )


def _beside_published(item: Allocation, published: Published, limit: int | None) -> list[str]:
    counts, found = item.counts, []
    if item.weight is not None and item.weight != published.weight:
        found.append(f"weight {item.weight:g}, published {published.weight:g}")
    if limit is not None and not repeated(item, limit):
        found.append(f"limited to {limit:,} rows")
    elif limit is None and counts.incomplete(published.counts()):
        found.append(f"smaller copy: {counts.rows:,} of {published.rows:,} rows")
    expected = published.answer_tokens * min(1, counts.rows / published.rows)
    if published.corrected_tokens is not None:
        found.append(f"misprint: {published.answer_tokens:,.0f} answer tokens")
    elif abs(counts.answer_tokens / expected - 1) > NEAR:
        found.append(f"{counts.answer_tokens / expected:.0%} of the published tokens a row")
    return found


def shortfall(
    stage: StageRecipe,
    item: Allocation,
    published: Published | None,
    reached: float,
    limit: int | None = None,
) -> str:
    """Why a source reaches less than 90 % of its share, or a cap costs it 5 %; "" if neither.

    A source of which the recipe asks what was published is compared with what is asked: if another
    source's weight is raised, all others have smaller shares, and nothing is wrong with them.

    Args:
        limit: see `causes`.
    """
    changed = published is not None and (
        stage.weigh_by == "measured" or item.weight != published.weight
    )
    wanted = max(item.share, published.share if published is not None and changed else 0.0)
    capped = item.capped and item.planned_share < (1 - NEAR) * item.share
    if reached >= REACHED * wanted and not capped:
        return ""
    if item.counts.rows and item.planned_share >= REACHED * wanted:
        return _whole_rows(item)
    return "; ".join(causes(item, published, limit)) or "other sources take more"


def _whole_rows(item: Allocation) -> str:
    if item.rows == 0:
        return f"its share is {item.epochs * item.counts.rows:.2f} rows"
    return f"few rows ({item.rows}), whose answers differ in length"
