"""What Beam is made to remember changes no graph and no option."""

from __future__ import annotations

import argparse
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, StandardOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.transforms import core, userstate

from cauldron.pipeline.runners.local import quick_graphs

FLAGS = ["--runner=DirectRunner", "--experiments=one"]


class Pairs(beam.DoFn):  # type: ignore[misc]
    def process(self, element: int, times: Any = 2, window: Any = beam.DoFn.WindowParam) -> Any:
        yield element, times


class Others(beam.DoFn):  # type: ignore[misc]
    def process(self, element: Any, key: Any = beam.DoFn.KeyParam) -> Any:
        yield element


def graph() -> list[object]:
    """The steps without what is pickled, which holds random names."""
    pipeline = beam.Pipeline(options=PipelineOptions(FLAGS))
    made = pipeline | beam.Create([1, 2], reshuffle=False) | beam.ParDo(Pairs(), 3)
    _ = made | "again" >> beam.ParDo(Pairs()) | beam.GroupByKey() | beam.ParDo(Others())
    found: list[object] = []
    for name, step in sorted(pipeline.to_runner_api().components.transforms.items()):
        about = [name, step.unique_name, step.spec.urn, dict(step.inputs), dict(step.outputs)]
        if step.spec.urn == common_urns.primitives.PAR_DO.urn:
            payload = beam_runner_api_pb2.ParDoPayload.FromString(step.spec.payload)
            payload.do_fn.payload = b""
            about.append(str(payload))
        found.append(about)
    return found


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Beam as it is, until `install` is called; other tests have called it."""
    for owner, name in ((core, "get_function_args_defaults"), (PipelineOptions, "view_as")):
        now = getattr(owner, name)
        monkeypatch.setattr(owner, name, getattr(now, "__wrapped__", now))
    return monkeypatch


def test_a_graph_is_the_same(plain: pytest.MonkeyPatch) -> None:
    before = graph()
    quick_graphs.install()
    assert graph() == before
    assert graph() == before


def test_methods_are_read_once_and_each_class_has_its_own(plain: pytest.MonkeyPatch) -> None:
    read, seen = core.get_function_args_defaults, []
    plain.setattr(core, "get_function_args_defaults", lambda f: seen.append(f) or read(f))
    quick_graphs.install()
    for _ in range(2):
        for step in (Pairs(), Others()):
            userstate.get_dofn_specs(step)
            assert core.get_function_arguments(step, "process") == read(step.process)
    assert seen.count(Pairs().process) <= 1
    assert len(seen) == len({method.__func__ for method in seen})


def test_views_share_what_is_set_and_other_options_do_not(plain: pytest.MonkeyPatch) -> None:
    quick_graphs.install()
    first, second = PipelineOptions(FLAGS), PipelineOptions(FLAGS)
    first.view_as(DebugOptions).experiments.append("two")
    first.view_as(StandardOptions).runner = "Other"
    assert first.view_as(DebugOptions).experiments == ["one", "two"]
    assert first.view_as(DebugOptions).view_as(StandardOptions).runner == "Other"
    assert second.view_as(DebugOptions).experiments == ["one"]
    assert second.view_as(StandardOptions).runner == "DirectRunner"
    assert PipelineOptions(["--runner=X"]).view_as(StandardOptions).runner == "X"
    with pytest.raises(AttributeError):
        first.view_as(DebugOptions).runner = "not of this view"


def test_a_view_parses_once(plain: pytest.MonkeyPatch) -> None:
    quick_graphs.install()
    parsed: list[int] = []

    class Own(PipelineOptions):  # type: ignore[misc]
        @classmethod
        def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
            parsed.append(1)
            parser.add_argument("--own", default="x")

    options = PipelineOptions(["--own=y"])
    assert [options.view_as(Own).own for _ in range(3)] == ["y"] * 3
    assert len(parsed) == 1


def test_an_unknown_beam_is_left_as_it_is(plain: pytest.MonkeyPatch) -> None:
    read, view = core.get_function_args_defaults, PipelineOptions.view_as
    plain.setattr(beam, "__version__", "2.78.0")
    quick_graphs.install()
    assert core.get_function_args_defaults is read
    assert PipelineOptions.view_as is view
    plain.setattr(beam, "__version__", "2.77.0")
    quick_graphs.install()
    assert core.get_function_args_defaults is not read
