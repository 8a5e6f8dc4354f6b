"""`cauldron plan`: the contents of a stage and the cost of building it, before anything runs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cauldron.core.errors import UsageError
from cauldron.core.output.finished import find_finished
from cauldron.core.shares import Allocation, SourceCounts, solve
from cauldron.inspect.statistics import Published, published
from cauldron.recipe import Recipe
from cauldron.sources.catalog import registry
from cauldron.sources.licenses import refused

# Published bytes that ingest reads per core and second; measured, see benchmarks/README.md.
INGEST_BYTES_PER_CORE_SECOND = 33e6
# An assumption: about the price of a vCPU hour, with its memory, of a Dataflow batch worker of the
# n1 family. `--core-hour-price` replaces it.
CORE_HOUR_PRICE = 0.07


@dataclass(frozen=True, slots=True)
class PlannedSource:
    """A line of the plan.

    Attributes:
        basis: source of its counts: ``published``, or ``measured`` in a finished corpus.
        estimated: its tokens were estimated, not counted by a tokenizer.
    """

    allocation: Allocation
    basis: str
    estimated: bool
    published: Published | None
    read_bytes: int | None

    def to_json(self) -> dict[str, Any]:
        allocation = self.allocation
        line: dict[str, Any] = {
            "source": allocation.source,
            "rows": allocation.counts.rows,
            "answer_tokens": allocation.counts.answer_tokens,
            "weight": allocation.weight,
            "share": allocation.share,
            "epochs": allocation.epochs,
            "capped": allocation.capped,
            "planned_share": allocation.planned_share,
            "published_percent": None,
            "basis": self.basis,
            "tokens_estimated": self.estimated,
            "read_bytes": self.read_bytes,
        }
        if self.published is not None:
            line["published_percent"] = self.published.percent_printed
            line["percent_from_weights"] = self.published.percent_from_weights
            line["misprint"] = self.published.misprint
        return line


@dataclass(frozen=True, slots=True)
class Plan:
    """A stage's plan.

    Attributes:
        missing: sources of the mixture without published counts or a finished corpus.
        left_out: sources that the recipe does not allow, and why.
    """

    stage: str
    sources: list[PlannedSource]
    missing: list[str]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def read_bytes(self) -> int:
        return sum(line.read_bytes or 0 for line in self.sources)

    def core_hours(self) -> float:
        return self.read_bytes / INGEST_BYTES_PER_CORE_SECOND / 3600

    def to_json(self, price: float = CORE_HOUR_PRICE) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "sources": [line.to_json() for line in self.sources],
            "missing": self.missing,
            "left_out": dict(self.left_out),
            "misprints": [
                line.allocation.source
                for line in self.sources
                if line.published is not None and line.published.misprint
            ],
            "estimate": {
                "read_bytes": self.read_bytes,
                "sources_of_unknown_size": [
                    line.allocation.source for line in self.sources if line.read_bytes is None
                ],
                "core_hours": round(self.core_hours(), 1),
                "cost_usd": round(self.core_hours() * price, 2),
                "core_hour_price_usd": price,
            },
        }


def make_plan(
    recipe: Recipe,
    stage_name: str,
    sizes: Mapping[str, int | None],
    measured: Mapping[str, SourceCounts] | None = None,
    estimated: frozenset[str] = frozenset(),
) -> Plan:
    """Plan a stage.

    Args:
        sizes: published bytes of each source.
        measured: counts of finished corpora; they are preferred to published ones.
        estimated: measured sources whose tokens were estimated.
    """
    stage = recipe.stage(stage_name)
    table = published(recipe.statistics) if recipe.statistics else {}
    measured = measured or {}
    counts = {
        name: measured[name] if name in measured else table[name].counts()
        for name in stage.mixture
        if name in measured or name in table
    }
    missing = [name for name in stage.mixture if name not in counts]
    known = stage.model_copy(
        update={"mixture": {n: p for n, p in stage.mixture.items() if n in counts}}
    )
    lines = [
        PlannedSource(
            allocation=allocation,
            basis="measured" if allocation.source in measured else "published",
            estimated=allocation.source in estimated,
            published=table.get(allocation.source),
            read_bytes=sizes.get(allocation.source),
        )
        for allocation in solve(known, counts)
    ]
    return Plan(stage_name, lines, missing)


def misprint_note(plan: Plan) -> str | None:
    """A note on the paper's percentages that do not follow from the published weights."""
    wrong = [line.published for line in plan.sources if line.published and line.published.misprint]
    if not wrong:
        return None
    groups = [name for name, _ in itertools.groupby(row.group for row in wrong)]
    figures = ", ".join(
        f"{row.title} {row.percent_from_weights:.2f} (printed {row.percent_printed:.2f})"
        for row in wrong
    )
    return (
        f"The paper prints other percentages for {len(wrong)} rows ({', '.join(groups)}), a known "
        f"misprint: they are those of its predecessor's table. From tokens x weight: {figures}."
    )


def plans(recipe: Recipe, stages: tuple[str, ...], output: str | None) -> list[Plan]:
    """Plan the given stages, or all.

    Args:
        output: a build's output folder; finished corpora there give measured counts.
    """
    measured: dict[str, SourceCounts] = {}
    estimated: set[str] = set()
    if output is not None:
        finished = find_finished(output)
        for source, (print_, _) in finished.current.items():
            corpus = finished.corpora[source, print_]
            tokens = float(corpus.counts.answer_tokens)
            measured[source] = SourceCounts(corpus.counts.kept, tokens, tokens)
            if corpus.tokenizer.estimated:
                estimated.add(source)
    sizes = {name: source.published_bytes for name, source in registry().items()}
    names = stages or tuple(recipe.stages)
    planned = []
    for name in names:
        left_out = refused(recipe.stage(name).mixture, recipe.licenses.allow, registry())
        allowed = without(recipe, name, left_out)
        plan = make_plan(allowed, name, sizes, measured, frozenset(estimated))
        planned.append(replace(plan, left_out=left_out))
    return planned


def without(recipe: Recipe, stage: str, left_out: Mapping[str, str]) -> Recipe:
    """The recipe with fewer sources in a stage. Raises UsageError if none is left."""
    found = recipe.stage(stage)
    mixture = {name: portion for name, portion in found.mixture.items() if name not in left_out}
    if not mixture:
        raise UsageError(f"licenses.allow leaves no source in stage {stage!r}")
    stages = recipe.stages | {stage: found.model_copy(update={"mixture": mixture})}
    return recipe.model_copy(update={"stages": stages})
