"""`cauldron plan`: the contents of a stage and the cost of building it, before anything runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cauldron.core.disk import free_bytes
from cauldron.core.errors import UsageError
from cauldron.core.output.finished import Finished, find_finished
from cauldron.core.sections.stage import StageRecipe
from cauldron.core.shares import Allocation, UnplannedError, row_parts
from cauldron.inspect.planning.basis import Basis, find_basis, pack_bytes
from cauldron.inspect.planning.costs import Work, total
from cauldron.inspect.planning.source import PlannedSource
from cauldron.inspect.statistics import published
from cauldron.recipe import Recipe
from cauldron.sources.catalog import registry
from cauldron.sources.licenses import refused

# An assumption: about the price of a vCPU hour, with its memory, of a Dataflow batch worker of the
# n1 family. `--core-hour-price` replaces it.
CORE_HOUR_PRICE = 0.07


@dataclass(frozen=True, slots=True)
class Plan:
    """A stage's plan.

    Attributes:
        missing: sources of the mixture without published counts or a finished corpus.
        absent: sources that the build in the output folder did not read.
        left_out: sources that the recipe does not allow, and why.
        sequences: that the mixture fills; None if the stage's budget is not one of sequences.
        bytes: of the mixture with the pictures of every epoch; None if unknown.
        corpora_bytes: of the corpora, those that are there and those that a build adds.
        free_bytes: at the output folder; None if it is not on this machine.
    """

    stage: str
    promise: str
    sources: list[PlannedSource]
    missing: tuple[str, ...]
    bytes: int | None
    corpora_bytes: int
    free_bytes: int | None
    absent: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    sequences: float | None = None

    @property
    def before_curation(self) -> bool:
        return any(line.basis == "corpus" for line in self.sources)

    @property
    def rows(self) -> int:
        return sum(line.allocation.rows for line in self.sources)

    @property
    def answer_tokens(self) -> float:
        items = [line.allocation for line in self.sources]
        return sum(item.epochs * item.counts.delivered for item in items)

    @property
    def work(self) -> Work:
        """What a build of this stage alone has to do."""
        mixed = Work(copies=self.rows, mixed_bytes=self.bytes or 0)
        return total([*(line.work for line in self.sources), mixed])

    @property
    def read_bytes(self) -> int:
        return self.work.read_bytes

    def shares(self) -> dict[str, float]:
        return {line.allocation.source: line.allocation.planned_share for line in self.sources}

    def to_json(self, price: float = CORE_HOUR_PRICE) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "promise": self.promise,
            "sources": [line.to_json() for line in self.sources],
            "missing": list(self.missing),
            "absent": list(self.absent),
            "left_out": dict(self.left_out),
            "misprints": [
                line.allocation.source
                for line in self.sources
                if line.published is not None and line.published.misprint
            ],
            "before_curation": self.before_curation,
            "totals": {
                "rows": self.rows,
                "answer_tokens": round(self.answer_tokens),
                "sequences": None if self.sequences is None else round(self.sequences),
                "bytes": self.bytes,
                "corpora_bytes": self.corpora_bytes,
                "free_bytes": self.free_bytes,
            },
            "estimate": {
                **estimate(self.work, price),
                "sources_of_unknown_size": [
                    line.allocation.source for line in self.sources if not line.size_known
                ],
                "core_hour_price_usd": price,
            },
        }


def estimate(work: Work, price: float) -> dict[str, Any]:
    """What a build takes, as plain values; `price` is USD per core-hour."""
    hours = work.core_hours()
    whole = sum(hours.values())
    return {
        "read_bytes": work.read_bytes,
        "fetched_images": work.fetched_images,
        "fetched_bytes": work.fetched_bytes,
        "downloaded_bytes": work.downloaded_bytes,
        "rendered_pages": work.rendered_pages,
        "stored_bytes": work.stored_bytes,
        "shuffled_bytes": work.shuffled_bytes,
        "core_hours": round(whole, 1),
        "core_hours_by_step": {step: round(value, 2) for step, value in hours.items()},
        "cost_usd": round(whole * price, 2),
    }


def plan_each(
    recipe: Recipe,
    stages: tuple[str, ...],
    output: str | None,
    default_output: str = ".",
    limit: int = -1,
) -> Iterator[tuple[str, Plan | UnplannedError]]:
    """Plan the given stages, or all: each by name with its plan, or with why it has none.

    Args:
        output: a build's output folder; what is finished there is known better than published.
        default_output: whose free space is told if no output is given.
        limit: rows that the build is to read of each source, -1 for all. Finished corpora are
            those of a build with this limit.
    """
    found = None if output is None else find_finished(output)
    free = free_bytes(default_output if output is None else output)
    for stage in stages or tuple(recipe.stages):
        try:
            yield stage, _plan(recipe, stage, found, free, limit)
        except UnplannedError as error:
            yield stage, error


def plans(
    recipe: Recipe,
    stages: tuple[str, ...],
    output: str | None,
    default_output: str = ".",
    limit: int = -1,
) -> list[Plan]:
    """As `plan_each`. Raises UnplannedError for the first stage without a plan."""
    made = []
    for _, plan in plan_each(recipe, stages, output, default_output, limit):
        if isinstance(plan, UnplannedError):
            raise plan
        made.append(plan)
    return made


def together(planned: Sequence[Plan], price: float = CORE_HOUR_PRICE) -> dict[str, Any]:
    """What one build of several stages costs: a source that several of them mix is read once."""
    unknown = [plan.stage for plan in planned if plan.bytes is None]
    return {
        "stages": [plan.stage for plan in planned],
        **estimate(_together(planned), price),
        "stages_of_unknown_size": unknown,
    }


def _together(planned: Sequence[Plan]) -> Work:
    found, seen = [], set()
    for plan in planned:
        for line in plan.sources:
            name = line.allocation.source
            found.append(line.work.again() if name in seen else line.work)
            seen.add(name)
        found.append(Work(copies=plan.rows, mixed_bytes=plan.bytes or 0))
    return total(found)


def _plan(recipe: Recipe, name: str, found: Finished | None, free: int | None, limit: int) -> Plan:
    stage, table = recipe.stage(name), published(recipe.statistics)
    left_out = refused(stage.mixture, recipe.licenses.allow, registry())
    if len(left_out) == len(stage.mixture):
        raise UsageError(f"licenses.allow leaves no source in stage {name!r}")
    basis = find_basis(recipe, name, table, found, left_out, limit)
    planned = {item.source for item in basis.allocations}
    absent = [n for n in stage.mixture if n not in planned | {*left_out, *basis.missing}]
    lines = [
        PlannedSource(
            allocation=item,
            stage=stage,
            basis=basis.kinds[item.source],
            estimated=item.source in basis.estimated,
            published=table.get(item.source),
            work=_work(recipe, name, basis, item),
            size_known=_published_bytes(basis, item.source) is not None,
            limit=basis.limits.get(item.source),
            limit_is_the_recipes=recipe.limits.get(item.source) == basis.limits.get(item.source),
        )
        for item in basis.allocations
    ]
    return Plan(
        stage=name,
        promise=stage.promise,
        sources=lines,
        missing=basis.missing,
        bytes=basis.bytes,
        corpora_bytes=_corpora_bytes(lines, found),
        free_bytes=free,
        absent=tuple(absent),
        left_out=left_out,
        sequences=_sequences(stage, basis.allocations),
    )


def _sequences(stage: StageRecipe, allocations: list[Allocation]) -> float | None:
    """What training consumes of the mixture."""
    if not stage.measured:
        return None
    parts = row_parts(stage, allocations)
    return sum(
        item.epochs * part * filled
        for item in allocations
        for part, filled in zip(parts, item.counts.sequences, strict=False)
    )


def _work(recipe: Recipe, stage: str, basis: Basis, item: Allocation) -> Work:
    """What a build has to do for a source before the mix, beside what is finished."""
    name, kind = item.source, basis.kinds[item.source]
    if kind == "decisions":
        return Work()
    matched = recipe.duplicate_rules(stage) is not None or bool(recipe.against.benchmarks)
    images = basis.images.get(name, 0)
    pictures = images if matched else 0
    rest = Work(pictures=pictures, compared=pictures, curated_rows=item.counts.rows)
    if kind == "corpus":
        return rest
    read, made = _published_bytes(basis, name) or 0, basis.made.get(name)
    if made is None:
        return replace(rest, read_bytes=read, corpus_bytes=read)
    done = replace(rest, read_bytes=read, corpus_bytes=round(made))
    if registry()[name].by_url:
        return replace(done, fetched_images=images, fetched_bytes=round(made))
    return replace(done, rendered_pages=images)


def _published_bytes(basis: Basis, name: str) -> int | None:
    """Of a source that is still to be read; 0 if its corpus is there, None if unknown."""
    if basis.kinds[name] != "published":
        return 0
    known = registry().get(name)
    if known is None or known.published_bytes is None:
        return None
    if name not in basis.limits or known.published_rows is None:
        return known.published_bytes
    return round(known.published_bytes * basis.limits[name] / known.published_rows)


def _corpora_bytes(lines: list[PlannedSource], found: Finished | None) -> int:
    """Of those that are there, and those that a build makes."""
    size = sum(line.work.corpus_bytes for line in lines)
    if found is not None:
        named = {line.allocation.source for line in lines}
        size += sum(
            pack_bytes(found.corpora[name, print_])
            for name, (print_, _) in found.current.items()
            if name in named
        )
    return size


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
