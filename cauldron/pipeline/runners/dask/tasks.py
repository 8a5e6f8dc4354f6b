"""What a worker of Dask does with a partition: runs a DoFn over it, cuts and joins it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.internal import pickler
from apache_beam.runners.common import (
    DoFnContext,
    DoFnInvoker,
    DoFnSignature,
    Receiver,
    _OutputHandler,
)
from apache_beam.transforms.sideinputs import SideInputMap
from apache_beam.transforms.window import GlobalWindows

# The key of a DoFn's main output among its tagged ones.
MAIN = ""


def load(data: bytes) -> list[Any]:
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
        self[tag or MAIN] = found = _Collect(self._kept.get(tag or MAIN, []))
        return found


def run_bundle(
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
            main_receivers=receivers[MAIN],
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


def by_key(
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


def spread(elements: Iterable[Any], count: int, number: int) -> list[list[Any]]:
    """Deal out a partition, from another place on for each."""
    pieces: list[list[Any]] = [[] for _ in range(count)]
    for place, element in enumerate(elements, number):
        pieces[place % count].append(element)
    return pieces


def joined_pieces(join: Any, pieces: Sequence[Sequence[Any]]) -> list[Any]:
    joined: list[Any] = join(element for piece in pieces for element in piece)
    return joined


def grouped(elements: Iterable[tuple[bytes, Any, Any]]) -> list[tuple[Any, list[Any]]]:
    keys: dict[bytes, Any] = {}
    groups: defaultdict[bytes, list[Any]] = defaultdict(list)
    for encoded, key, value in elements:
        keys.setdefault(encoded, key)
        groups[encoded].append(value)
    return [(key, groups[encoded]) for encoded, key in keys.items()]
