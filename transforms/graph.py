"""Several steps in one Beam graph: work that begins when other work is complete.

Steps of a build hand over files. In one graph a step must not open a file before it is whole, so
between two steps there is a barrier: a GroupByKey with a single key, whose only group exists when
all of its input does. After it a worker makes the elements of the next step from what lies in the
output. So no list of work is part of the submitted job, and the process that submits it is not
needed between the steps.

A runner may run a step again, even after the next one has begun. So steps write equal files
whenever they run, and no step removes what another one reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam

from cauldron.core.output.markers import Markers

# What a barrier lets through is only counted: any value will do.
_Signal = tuple[int, int]


def _signal(element: Any) -> _Signal:
    return 0, 0


def _make(
    element: tuple[int, Iterable[int]], make: Callable[..., Iterable[Any] | None], args: Any
) -> Iterator[Any]:
    yield from make(*args) or ()


class After(beam.PTransform):
    """Anything in; when all of it is there, a worker calls `make(*args)`, whose items come out.

    Args:
        make: importable, with a result that only depends on `args` and on files; None is nothing.
    """

    def __init__(self, make: Callable[..., Iterable[Any] | None], *args: Any) -> None:
        super().__init__()
        self._make, self._args = make, args

    def expand(self, done: beam.PCollection[Any]) -> beam.PCollection[Any]:
        # Without elements there would be no group.
        first = done.pipeline | "First" >> beam.Create([(0, 0)], reshuffle=False)
        signals = done | "Signal" >> beam.Map(_signal).with_output_types(_Signal)
        return (
            (first, signals)
            | "All" >> beam.Flatten()
            | "Wait" >> beam.GroupByKey()
            | "Make" >> beam.FlatMap(_make, self._make, self._args)
        )


def _sum_up(*markers: Markers) -> Iterator[str]:
    for one in markers:
        one.sum_up()
        yield one.summary


class SumUp(beam.PTransform):
    """Anything in; when all of it is there, the summaries of `markers` are written. Paths out."""

    def __init__(self, *markers: Markers) -> None:
        super().__init__()
        self._markers = markers

    def expand(self, done: beam.PCollection[Any]) -> beam.PCollection[str]:
        return done | "Markers" >> After(_sum_up, *self._markers)


class Summed(beam.PTransform):
    """A step of a graph: anything in, the summaries of its markers written, their paths out.

    Args:
        work: writes the files; None if all markers are there already.
        make: makes the elements of `work` when all of the input is there; None if `work` waits
            itself.
    """

    def __init__(
        self,
        markers: tuple[Markers, ...],
        work: beam.PTransform | None,
        make: Callable[..., Iterable[Any]] | None = None,
        *args: Any,
    ) -> None:
        super().__init__()
        self._markers, self._work = markers, work
        self._elements = After(make, *args) if make else None

    def expand(self, done: beam.PCollection[Any]) -> beam.PCollection[str]:
        if self._work is not None:
            elements = done | "Begin" >> self._elements if self._elements else done
            done = elements | "Work" >> self._work
        return done | "Sum up" >> SumUp(*self._markers)


def _each(count: int, value: Any) -> Iterator[tuple[int, Any]]:
    for number in range(count):
        yield number, value


class Each(beam.PTransform):
    """``(number, value)`` for the numbers 0 to `count` - 1, made by a worker.

    Args:
        kind: the type of `value`.
    """

    def __init__(self, count: int, value: Any, kind: Any) -> None:
        super().__init__()
        self._count, self._value, self._kind = count, value, tuple[int, kind]

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[tuple[int, Any]]:
        each = beam.FlatMap(_each, self._value).with_output_types(self._kind)
        return begin | "Count" >> beam.Create([self._count], reshuffle=False) | "Numbers" >> each
