"""Steps in one graph: nothing begins too early, and the graph holds no list of work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from cauldron.transforms.graph import After, Each, Summed

from cauldron.core import storage
from cauldron.core.output.markers import Markers

FILES = 30


def write(number: int, markers: Markers) -> int:
    storage.write_json(markers.path(number), {"number": number})
    return number


def listed(folder: str) -> Iterator[str]:
    yield " ".join(sorted(os.listdir(folder)))


def keep(line: str, path: str) -> None:
    storage.write_bytes(path, line.encode())


def run(*arguments: str) -> beam.Pipeline:
    return beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner", *arguments]))


def test_a_step_begins_when_all_work_before_it_is_done(tmp_path: Path) -> None:
    markers, seen = Markers(str(tmp_path), "part", FILES), str(tmp_path / "seen")
    threads = ("--direct_running_mode=multi_threading", "--direct_num_workers=3")
    with run(*threads) as pipeline:
        _ = (
            pipeline
            | Each(FILES, b"", bytes)
            | beam.Keys()
            | beam.Reshuffle()
            | beam.Map(write, markers)
            | After(listed, f"{tmp_path}/_done")
            | beam.Map(keep, seen)
        )
    expected = [f"part-{number:05d}.json" for number in range(FILES)]
    assert Path(seen).read_text().split() == expected


def test_a_step_begins_once_even_if_there_is_nothing_before_it(tmp_path: Path) -> None:
    with run() as pipeline:
        empty = pipeline | beam.Create([], reshuffle=False)
        _ = empty | After(listed, str(tmp_path)) | beam.Map(keep, str(tmp_path / "seen"))
    assert (tmp_path / "seen").read_text() == ""


def test_markers_become_one_file_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    markers = Markers(str(tmp_path), "", FILES, with_count=True)
    for number in reversed(range(1, FILES)):
        write(number, markers)
    assert markers.missing() == [0]
    assert not markers.is_summed()
    with run() as pipeline:
        first = pipeline | beam.Create([0], reshuffle=False)
        _ = first | Summed((markers,), beam.Map(write, markers), lambda: [0])
    assert list(markers.read()) == [{"number": number} for number in range(FILES)]
    # A summary is no marker.
    assert markers.missing() == []
