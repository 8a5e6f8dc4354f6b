"""A pipeline as tasks of Dask: what our pipelines are made of, and nothing else."""

from __future__ import annotations

import operator
import uuid
from typing import Any

import apache_beam as beam
from apache_beam import coders
from apache_beam.internal import pickler
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from cauldron.core.errors import UsageError
from cauldron.pipeline.runners.dask.tasks import (
    MAIN,
    by_key,
    grouped,
    joined_pieces,
    load,
    run_bundle,
    spread,
)

# Keys of the tasks that give them.
Partitions = list[str]


class Users(PipelineVisitor):  # type: ignore[misc]
    """Finds the PCollections that a transform reads; the others need not be kept."""

    def __init__(self) -> None:
        self.used: set[Any] = set()

    def enter_composite_transform(self, node: AppliedPTransform) -> None:
        if isinstance(node.transform, beam.Reshuffle):
            self.visit_transform(node)

    def visit_transform(self, node: AppliedPTransform) -> None:
        self.used.update(node.inputs)
        self.used.update(side.pvalue for side in node.side_inputs)


class Translation(PipelineVisitor):  # type: ignore[misc]
    """Makes the tasks of a pipeline: a plain graph, since `dask.delayed` takes minutes for some
    thousand tasks that depend on each other.

    Args:
        count: of partitions of all that is created, grouped or reshuffled.
        used: the PCollections that are read.

    Attributes:
        graph: by key, a function and its arguments, which may be keys, or a value.
        ends: keys of tasks on which all others depend.
    """

    def __init__(self, count: int, used: set[Any]) -> None:
        self.graph: dict[str, Any] = {}
        self.ends: Partitions = []
        self._run = uuid.uuid4().hex
        self._count = count
        self._used = used
        self._values: dict[Any, Partitions] = {}
        self._within: AppliedPTransform | None = None

    def enter_composite_transform(self, node: AppliedPTransform) -> None:
        if self._within is not None:
            return
        if isinstance(node.transform, beam.Create):
            self._within = node
            self._create(node)
        elif isinstance(node.transform, beam.Reshuffle):
            self._within = node
            self._shuffle(node, spread, list)

    def leave_composite_transform(self, node: AppliedPTransform) -> None:
        if node is self._within:
            self._within = None

    def visit_transform(self, node: AppliedPTransform) -> None:
        if self._within is not None:
            return  # a part of what has been translated as a whole
        if isinstance(node.transform, beam.ParDo):
            self._par_do(node)
        elif isinstance(node.transform, beam.GroupByKey):
            self._group(node)
        elif isinstance(node.transform, beam.Flatten):
            self._set(node, [task for value in node.inputs for task in self._values[value]])
        else:
            kind = type(node.transform).__name__
            raise UsageError(f"DaskRunner cannot run {kind} ({node.full_label})")

    def _create(self, node: AppliedPTransform) -> None:
        elements = list(node.transform.values)
        count = min(self._count, len(elements)) or 1
        # Neighbours, which are often alike in size, go to different partitions.
        parts = [pickler.dumps(elements[start::count]) for start in range(count)]
        self._set(node, [self._task(load, part) for part in parts])

    def _par_do(self, node: AppliedPTransform) -> None:
        transform, (value,) = node.transform, node.inputs
        views = [(type(side), side._view_options()) for side in node.side_inputs]
        args, kwargs = transform.raw_side_inputs
        sides = [self._values[side.pvalue] for side in node.side_inputs]
        tags = {tag or MAIN: out for tag, out in node.outputs.items()}
        kept = [tag for tag, out in tags.items() if out in self._used]
        code = pickler.dumps((transform.fn, args, kwargs, views, node.full_label, kept))
        code_key = self._key("code")
        self.graph[code_key] = code
        bundles = [self._task(run_bundle, code_key, task, sides) for task in self._values[value]]
        for number, tag in enumerate(kept):
            picked = [self._task(operator.getitem, bundle, number) for bundle in bundles]
            self._values[tags[tag]] = picked
        if not kept:
            self.ends += bundles

    def _group(self, node: AppliedPTransform) -> None:
        (value,) = node.inputs
        key, _ = beam.typehints.typehints.coerce_to_kv_type(value.element_type).tuple_types
        coder = coders.registry.get_coder(key).as_deterministic_coder(node.full_label)
        self._shuffle(node, by_key, grouped, coder)

    def _shuffle(self, node: AppliedPTransform, cut: Any, join: Any, *more: Any) -> None:
        (value,) = node.inputs
        tasks = self._values[value]
        cuts = [self._task(cut, t, self._count, number, *more) for number, t in enumerate(tasks)]
        joined = []
        for number in range(self._count):
            pieces = [self._task(operator.getitem, pieces, number) for pieces in cuts]
            joined.append(self._task(joined_pieces, join, pieces))
        self._set(node, joined)

    def _set(self, node: AppliedPTransform, tasks: Partitions) -> None:
        (out,) = node.outputs.values()
        self._values[out] = tasks
        if out not in self._used:
            self.ends += [self._task(len, task) for task in tasks]

    def _task(self, function: Any, *arguments: Any) -> str:
        key = self._key(function.__name__.strip("_"))
        self.graph[key] = (function, *arguments)
        return key

    def _key(self, name: str) -> str:
        return f"{name}-{self._run}-{len(self.graph)}"
