"""`cauldron plan`: the contents of a stage and the cost of building it, before anything runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cauldron.core.disk import free_bytes
from cauldron.core.errors import UsageError
from cauldron.core.output.finished import Finished, find_finished
from cauldron.core.sections.stage import StageRecipe
from cauldron.core.shares import Allocation, UnplannedError, row_parts
from cauldron.inspect.basis import Basis, find_basis, pack_bytes
from cauldron.inspect.causes import causes
from cauldron.inspect.statistics import Published, published, typical_rows
from cauldron.recipe import Recipe
from cauldron.sources.catalog import registry
from cauldron.sources.licenses import refused
from cauldron.transforms.curate.pipeline import CURATE_ROW_BYTES
from cauldron.transforms.matching.records import OCCURRENCE
from cauldron.transforms.mixing.shuffle import REFERENCE

# Published bytes that ingest reads per core and second; measured, see benchmarks/README.md.
INGEST_BYTES_PER_CORE_SECOND = 33e6
# Bytes that cross a shuffle: a row of a curation and a copy of a mixture are one record each; a
# picture has one in each of the nine copies of its signature at 10^8 pictures, see docs/scale.md.
ROW_SHUFFLED = CURATE_ROW_BYTES
COPY_SHUFFLED = REFERENCE.itemsize
PICTURE_SHUFFLED = 470 + OCCURRENCE.itemsize
# An assumption: about the price of a vCPU hour, with its memory, of a Dataflow batch worker of the
# n1 family. `--core-hour-price` replaces it.
CORE_HOUR_PRICE = 0.07
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
        read_bytes: that a build reads of it; 0 if its corpus is there, None if unknown.
        fetched_images: that a build fetches from their URLs, and `fetched_bytes` of them.
        images: in all of its rows; 0 if unknown.
    """

    allocation: Allocation
    stage: StageRecipe
    basis: str
    estimated: bool
    published: Published | None
    read_bytes: int | None
    fetched_images: int = 0
    fetched_bytes: int = 0
    images: int = 0

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
            found = causes(self.allocation, self.published) or [OTHERS[self.difference < 0]]
        elif self.allocation.capped or self.allocation.portion.epochs is not None:
            found = causes(self.allocation, self.published)
        return "; ".join(found)

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
            "read_bytes": self.read_bytes,
            "fetched_images": self.fetched_images,
            "fetched_bytes": self.fetched_bytes,
        }
        if row is not None:
            line["percent_printed"] = row.percent_printed
            line["misprint"] = row.misprint
        return line


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
    def read_bytes(self) -> int:
        return sum(line.read_bytes or 0 for line in self.sources)

    @property
    def fetched_images(self) -> int:
        return sum(line.fetched_images for line in self.sources)

    @property
    def fetched_bytes(self) -> int:
        return sum(line.fetched_bytes for line in self.sources)

    @property
    def shuffled_bytes(self) -> int:
        """Of a build of the stage; its pictures never cross a shuffle."""
        rows = sum(line.allocation.counts.rows for line in self.sources)
        images = sum(line.images for line in self.sources)
        return rows * ROW_SHUFFLED + images * PICTURE_SHUFFLED + self.rows * COPY_SHUFFLED

    def core_hours(self) -> float:
        """Of ingest. Fetched images are read as those of a source are."""
        return (self.read_bytes + self.fetched_bytes) / INGEST_BYTES_PER_CORE_SECOND / 3600

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
                "read_bytes": self.read_bytes,
                "fetched_images": self.fetched_images,
                "fetched_bytes": self.fetched_bytes,
                "shuffled_bytes": self.shuffled_bytes,
                "sources_of_unknown_size": [
                    line.allocation.source for line in self.sources if line.read_bytes is None
                ],
                "core_hours": round(self.core_hours(), 1),
                "cost_usd": round(self.core_hours() * price, 2),
                "core_hour_price_usd": price,
            },
        }


def plan_each(
    recipe: Recipe, stages: tuple[str, ...], output: str | None, default_output: str = "."
) -> Iterator[tuple[str, Plan | UnplannedError]]:
    """Plan the given stages, or all: each by name with its plan, or with why it has none.

    Args:
        output: a build's output folder; what is finished there is known better than published.
        default_output: whose free space is told if no output is given.
    """
    found = None if output is None else find_finished(output)
    free = free_bytes(default_output if output is None else output)
    for stage in stages or tuple(recipe.stages):
        try:
            yield stage, _plan(recipe, stage, found, free)
        except UnplannedError as error:
            yield stage, error


def plans(
    recipe: Recipe, stages: tuple[str, ...], output: str | None, default_output: str = "."
) -> list[Plan]:
    """As `plan_each`. Raises UnplannedError for the first stage without a plan."""
    made = []
    for _, plan in plan_each(recipe, stages, output, default_output):
        if isinstance(plan, UnplannedError):
            raise plan
        made.append(plan)
    return made


def together(planned: Sequence[Plan], price: float = CORE_HOUR_PRICE) -> dict[str, Any]:
    """What one build of several stages costs: a source that several of them mix is read once."""
    lines = {line.allocation.source: line for plan in planned for line in plan.sources}
    read = sum(line.read_bytes or 0 for line in lines.values())
    fetched = sum(line.fetched_bytes for line in lines.values())
    hours = (read + fetched) / INGEST_BYTES_PER_CORE_SECOND / 3600
    unknown = [plan.stage for plan in planned if plan.bytes is None]
    return {
        "stages": [plan.stage for plan in planned],
        "read_bytes": read,
        "fetched_images": sum(line.fetched_images for line in lines.values()),
        "fetched_bytes": fetched,
        "stored_bytes": read + fetched + sum(plan.bytes or 0 for plan in planned),
        "stages_of_unknown_size": unknown,
        "shuffled_bytes": sum(plan.shuffled_bytes for plan in planned),
        "core_hours": round(hours, 1),
        "cost_usd": round(hours * price, 2),
    }


def _plan(recipe: Recipe, name: str, found: Finished | None, free: int | None) -> Plan:
    stage, table = recipe.stage(name), published(recipe.statistics)
    left_out = refused(stage.mixture, recipe.licenses.allow, registry())
    if len(left_out) == len(stage.mixture):
        raise UsageError(f"licenses.allow leaves no source in stage {name!r}")
    basis = find_basis(recipe, name, table, found, left_out)
    planned = {item.source for item in basis.allocations}
    absent = [n for n in stage.mixture if n not in planned | {*left_out, *basis.missing}]
    lines = [
        PlannedSource(
            allocation=item,
            stage=stage,
            basis=basis.kinds[item.source],
            estimated=item.source in basis.estimated,
            published=table.get(item.source),
            read_bytes=_read_bytes(basis, item.source),
            **_images(basis, item.source),
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


def _images(basis: Basis, name: str) -> dict[str, int]:
    """The images of a source, and what is fetched of them, as far as they are expected."""
    usual, source = typical_rows().get(name), registry().get(name)
    if usual is None or basis.kinds[name] != "published":
        return {}
    images = round(usual.rows * usual.images)
    if source is None or not source.by_url:
        return {"images": images}
    size = images * (usual.image_bytes or 0)
    return {"images": images, "fetched_images": images, "fetched_bytes": size}


def _read_bytes(basis: Basis, source: str) -> int | None:
    if basis.kinds[source] != "published":
        return 0
    known = registry().get(source)
    return known.published_bytes if known else None


def _corpora_bytes(lines: list[PlannedSource], found: Finished | None) -> int:
    """A corpus takes about the bytes that are published: pictures are stored as they are."""
    size = sum((line.read_bytes or 0) + line.fetched_bytes for line in lines)
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
