"""Beam pipelines on a Dask cluster.

Beam's own DaskRunner (2.77) cannot run this project: elements of all tagged outputs arrive in every
consumer, what `finish_bundle` emits is lost, and of several ends of a pipeline only the last is
computed. This runner takes its options, and translates what our pipelines are made of: Create,
ParDo with side inputs and tagged outputs, GroupByKey, Flatten and Reshuffle, all in the global
window. Anything else is refused.

A PCollection is a list of partitions, each the result of one task. Dask keeps results in the memory
of workers, spills them to disk, and computes again what a worker held that died. A task that fails
is repeated. Our steps write the same files whenever they run, so neither changes a byte.
"""

from __future__ import annotations

import hashlib
import operator
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import distributed
from apache_beam import coders
from apache_beam.internal import pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.runners.common import (
    DoFnContext,
    DoFnInvoker,
    DoFnSignature,
    Receiver,
    _OutputHandler,
)
from apache_beam.runners.dask.dask_runner import DaskOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.runner import PipelineResult, PipelineState
from apache_beam.transforms.sideinputs import SideInputMap
from apache_beam.transforms.window import GlobalWindows

from cauldron.core.errors import CauldronError, UsageError
from cauldron.pipeline.runners.versions import check_same, versions

# Of a task that fails, in all. The scheduler counts deaths of workers apart, four by default.
ATTEMPTS = 3
# Pieces of work differ in size; more partitions than threads even that out.
PARTITIONS_PER_THREAD = 4
MOST_PARTITIONS = 256

# Keys of the tasks that give them.
Partitions = list[str]
# The key of a DoFn's main output among its tagged ones.
_MAIN = ""


class DaskRunner(BundleBasedDirectRunner):  # type: ignore[misc]
    """Runs a pipeline on the cluster of ``--dask_client_address`` or ``--dask_scheduler_file``, or
    on worker processes of this machine if neither is given."""

    @staticmethod
    def is_fnapi_compatible() -> bool:
        return False

    def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> DaskResult:
        given = options.view_as(DaskOptions).get_all_options(drop_default=True, current_only=True)
        count = given.pop("npartitions", None)
        if given.pop("partition_size", None) is not None:
            raise UsageError("--dask_partition_size is not used; give --dask_npartitions")
        client = distributed.Client(**given)
        threads = sum(client.nthreads().values())
        if not threads:
            raise CauldronError("the Dask cluster has no worker")
        # One that dies meanwhile is checked by what it loads (`remote_workers`).
        check_same(client.run(versions, on_error="ignore"))
        users = _Users()
        pipeline.visit(users)
        count = count or min(MOST_PARTITIONS, PARTITIONS_PER_THREAD * threads)
        translation = _Translation(count, users.used)
        pipeline.visit(translation)
        graph, ends = translation.graph, translation.ends
        return DaskResult(client, client.get(graph, ends, sync=False, retries=ATTEMPTS - 1))


class DaskResult(PipelineResult):  # type: ignore[misc]
    """A pipeline that runs on a cluster."""

    def __init__(self, client: distributed.Client, ends: Sequence[Any]) -> None:
        super().__init__(PipelineState.RUNNING)
        self._client = client
        self._ends = ends

    def wait_until_finish(self, duration: int | None = None) -> str:
        """Wait for the end, however long it takes. Raises what a worker raised."""
        try:
            # With results: without them, errors of workers are not raised here.
            for _ in distributed.as_completed(self._ends, with_results=True):
                pass
            # Without a scheduler futures are cancelled, which is no error to `as_completed`.
            if any(end.status != "finished" for end in self._ends):
                raise CauldronError("the Dask scheduler is gone, or has cancelled the job")
        except Exception:
            self._state = PipelineState.FAILED
            raise
        else:
            self._state = PipelineState.DONE
        finally:
            if self._state != PipelineState.RUNNING:
                self._client.close()
        return str(self._state)

    def cancel(self) -> str:
        self._client.cancel(self._ends)
        self._client.close()
        self._state = PipelineState.CANCELLED
        return str(self._state)


class _Users(PipelineVisitor):  # type: ignore[misc]
    """Finds the PCollections that a transform reads; the others need not be kept."""

    def __init__(self) -> None:
        self.used: set[Any] = set()

    def enter_composite_transform(self, node: AppliedPTransform) -> None:
        if isinstance(node.transform, beam.Reshuffle):
            self.visit_transform(node)

    def visit_transform(self, node: AppliedPTransform) -> None:
        self.used.update(node.inputs)
        self.used.update(side.pvalue for side in node.side_inputs)


class _Translation(PipelineVisitor):  # type: ignore[misc]
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
            self._shuffle(node, _spread, list)

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
        self._set(node, [self._task(_load, part) for part in parts])

    def _par_do(self, node: AppliedPTransform) -> None:
        transform, (value,) = node.transform, node.inputs
        views = [(type(side), side._view_options()) for side in node.side_inputs]
        args, kwargs = transform.raw_side_inputs
        sides = [self._values[side.pvalue] for side in node.side_inputs]
        tags = {tag or _MAIN: out for tag, out in node.outputs.items()}
        kept = [tag for tag, out in tags.items() if out in self._used]
        code = pickler.dumps((transform.fn, args, kwargs, views, node.full_label, kept))
        code_key = self._key("code")
        self.graph[code_key] = code
        bundles = [self._task(_run_bundle, code_key, task, sides) for task in self._values[value]]
        for number, tag in enumerate(kept):
            picked = [self._task(operator.getitem, bundle, number) for bundle in bundles]
            self._values[tags[tag]] = picked
        if not kept:
            self.ends += bundles

    def _group(self, node: AppliedPTransform) -> None:
        (value,) = node.inputs
        key, _ = beam.typehints.typehints.coerce_to_kv_type(value.element_type).tuple_types
        coder = coders.registry.get_coder(key).as_deterministic_coder(node.full_label)
        self._shuffle(node, _by_key, _grouped, coder)

    def _shuffle(self, node: AppliedPTransform, cut: Any, join: Any, *more: Any) -> None:
        (value,) = node.inputs
        tasks = self._values[value]
        cuts = [self._task(cut, t, self._count, number, *more) for number, t in enumerate(tasks)]
        joined = []
        for number in range(self._count):
            pieces = [self._task(operator.getitem, pieces, number) for pieces in cuts]
            joined.append(self._task(_joined, join, pieces))
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


def _load(data: bytes) -> list[Any]:
    elements: list[Any] = pickler.loads(data)
    return elements


class _Collect(Receiver):  # type: ignore[misc]
    """Takes the elements of one output."""

    def __init__(self, elements: list[Any]) -> None:
        self._elements = elements

    def receive(self, windowed_value: Any) -> None:
        self._elements.append(windowed_value.value)


class _Outputs(dict[str, _Collect]):
    """Receivers of a DoFn's outputs, by tag; what nobody reads is dropped."""

    def __init__(self, kept: dict[str, list[Any]]) -> None:
        super().__init__()
        self._kept = kept

    def __missing__(self, tag: str | None) -> _Collect:
        self[tag or _MAIN] = found = _Collect(self._kept.get(tag or _MAIN, []))
        return found


def _run_bundle(
    code: bytes, elements: Iterable[Any], sides: Sequence[Sequence[Iterable[Any]]]
) -> list[list[Any]]:
    """Run a DoFn over a partition.

    Args:
        code: the pickled DoFn and its settings.
        sides: the partitions of each side input.

    Returns:
        the elements of each output that is used.
    """
    fn, args, kwargs, views, label, kept = pickler.loads(code)
    outputs: dict[str, list[Any]] = {tag: [] for tag in kept}
    receivers = _Outputs(outputs)
    maps = [
        SideInputMap(view, about, _Windowed(parts))
        for (view, about), parts in zip(views, sides, strict=True)
    ]
    invoker = DoFnInvoker.create_invoker(
        DoFnSignature(fn),
        _OutputHandler(
            window_fn=GlobalWindows(),
            main_receivers=receivers[_MAIN],
            tagged_receivers=receivers,
            per_element_output_counter=None,
            output_batch_converter=None,
            process_yields_batches=False,
            process_batch_yields_elements=False,
        ),
        context=DoFnContext(label, state=None),
        side_inputs=maps,
        input_args=list(args),
        input_kwargs=kwargs,
        user_state_context=None,
        bundle_finalizer_param=beam.DoFn.BundleFinalizerParam(),
    )
    invoker.invoke_setup()
    try:
        invoker.invoke_start_bundle()
        for element in elements:
            invoker.invoke_process(GlobalWindows.windowed_value(element))
        invoker.invoke_finish_bundle()
    finally:
        invoker.invoke_teardown()
    return list(outputs.values())


class _Windowed:
    """The elements of a side input as Beam's views want them; may be read again."""

    def __init__(self, parts: Sequence[Iterable[Any]]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[Any]:
        return (GlobalWindows.windowed_value(element) for part in self._parts for element in part)


def _by_key(
    elements: Iterable[tuple[Any, Any]], count: int, number: int, coder: Any
) -> list[list[Any]]:
    """Cut a partition into `count` pieces by a digest of the encoded key.

    Not by `hash`, which differs between processes for texts.
    """
    pieces: list[list[Any]] = [[] for _ in range(count)]
    for key, value in elements:
        encoded = coder.encode(key)
        digest = hashlib.blake2b(encoded, digest_size=8).digest()
        pieces[int.from_bytes(digest, "big") % count].append((encoded, key, value))
    return pieces


def _spread(elements: Iterable[Any], count: int, number: int) -> list[list[Any]]:
    """Deal out a partition, from another place on for each."""
    pieces: list[list[Any]] = [[] for _ in range(count)]
    for place, element in enumerate(elements, number):
        pieces[place % count].append(element)
    return pieces


def _joined(join: Any, pieces: Sequence[Sequence[Any]]) -> list[Any]:
    joined: list[Any] = join(element for piece in pieces for element in piece)
    return joined


def _grouped(elements: Iterable[tuple[bytes, Any, Any]]) -> list[tuple[Any, list[Any]]]:
    keys: dict[bytes, Any] = {}
    groups: defaultdict[bytes, list[Any]] = defaultdict(list)
    for encoded, key, value in elements:
        keys.setdefault(encoded, key)
        groups[encoded].append(value)
    return [(key, groups[encoded]) for encoded, key in keys.items()]
