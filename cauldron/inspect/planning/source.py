"""A line of a plan: how much of a source a stage takes, and what a build has to do for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cauldron.core.sections.stage import StageRecipe
from cauldron.core.shares import Allocation
from cauldron.inspect.causes import causes, repeated
from cauldron.inspect.planning.costs import Work
from cauldron.inspect.statistics import Published

# The recipe's promise and the other anchor are the same if they differ by less.
SAME = 0.02
# Why a source differs from the other anchor if nothing is special about it.
OTHERS = ("takes up what other sources leave", "other sources take more")


@dataclass(frozen=True, slots=True)
class PlannedSource:
    """A line of the plan.

    Attributes:
        basis: source of its counts: ``published``, ``corpus`` or ``decisions``.
        estimated: its tokens were estimated, not counted by a tokenizer.
        authors_epochs: passes of the authors' code over it; None if it is not in the table.
        work: what a build has to do for it before the mix.
        size_known: whether `work` has the bytes that are read of it.
        limit: the most rows that are read; None if it has no more.
        limit_is_the_recipes: and not that of ``--limit``, with which a recipe is tried.
    """

    allocation: Allocation
    stage: StageRecipe
    basis: str
    estimated: bool
    published: Published | None
    work: Work
    size_known: bool = True
    limit: int | None = None
    limit_is_the_recipes: bool = True

    @property
    def read_bytes(self) -> int | None:
        """That a build reads of it; 0 if its corpus is there, None if unknown."""
        return self.work.read_bytes if self.size_known else None

    @property
    def authors_epochs(self) -> float | None:
        if self.published is None:
            return None
        return self.published.weight * self.stage.epochs_per_weight

    @property
    def difference(self) -> float | None:
        """From the anchor that the recipe does not promise, relative: 0.1 is 10 % more.

        A promise of shares is compared with the authors' epochs, one of epochs with the published
        share. None if the source is not in the table.
        """
        if self.published is None or self.authors_epochs is None:
            return None
        if self.stage.promise == "epochs":
            return self.allocation.planned_share / self.published.share - 1
        return self.allocation.epochs / self.authors_epochs - 1

    @property
    def cause(self) -> str:
        """Of the difference, in a few words; "" if there is none."""
        found = []
        if self.difference is not None and abs(self.difference) > SAME:
            found = self._causes() or [OTHERS[self.difference < 0]]
        elif self.allocation.capped or self.allocation.portion.epochs is not None:
            found = self._causes()
        elif too_small := repeated(self.allocation, self._own_limit):
            found = [too_small]
        return "; ".join(found)

    def _causes(self) -> list[str]:
        return causes(self.allocation, self.published, self._own_limit)

    @property
    def _own_limit(self) -> int | None:
        return self.limit if self.limit_is_the_recipes else None

    def to_json(self) -> dict[str, Any]:
        allocation, row = self.allocation, self.published
        line: dict[str, Any] = {
            "source": allocation.source,
            "rows": allocation.rows,
            "pass_rows": allocation.counts.rows,
            "pass_answer_tokens": allocation.counts.answer_tokens,
            "pass_delivered_tokens": allocation.counts.delivered,
            "answer_tokens": allocation.epochs * allocation.counts.delivered,
            "weight": allocation.weight,
            "share_asked": allocation.share,
            "share_planned": allocation.planned_share,
            "share_published": None if row is None else row.share,
            "epochs": allocation.epochs,
            "authors_epochs": self.authors_epochs,
            "max_epochs": allocation.ceiling,
            "capped": allocation.capped,
            "difference": self.difference,
            "cause": self.cause,
            "basis": self.basis,
            "tokens_estimated": self.estimated,
            "limit": self.limit,
            "read_bytes": self.read_bytes,
            "fetched_images": self.work.fetched_images,
            "fetched_bytes": self.work.fetched_bytes,
            "rendered_pages": self.work.rendered_pages,
            "corpus_bytes": self.work.corpus_bytes,
        }
        if row is not None:
            line["percent_printed"] = row.percent_printed
            line["misprint"] = row.misprint
        return line
