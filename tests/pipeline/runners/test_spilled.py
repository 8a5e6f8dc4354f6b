"""Large values wait in files while a job runs on this machine; the results are the same."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import coders
from apache_beam.runners.portability.fn_api_runner.execution import GroupingBuffer, ListBuffer

from cauldron.core.errors import CauldronError
from cauldron.pipeline.runners import runner
from cauldron.pipeline.runners.local import spilled

LARGE = 100_000
TWO_WORKERS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
Row = tuple[bool, bytes]


def values(number: int) -> Iterator[tuple[int, bytes]]:
    for key in range(3):
        yield key, bytes([number]) * LARGE
        yield key, b"small"


def rows(number: int) -> Iterator[tuple[int, Row]]:
    yield number % 3, (True, bytes([number]) * LARGE)


def told(key: int, given: dict[str, Iterable[Any]]) -> str:
    plain = sorted({value[:1] + value[-4:] for value in given["values"]})
    both = sorted((flag, len(value), value[0]) for flag, value in given["rows"])
    return f"{key} {sum(map(len, given['values']))} {plain} {both}"


def write(group: tuple[int, Iterable[str]], path: str) -> None:
    Path(path).write_text("\n".join(sorted(group[1])))


def graph(path: Path) -> Callable[[beam.Pipeline], object]:
    """All that joins: flattened, grouped, co-grouped, reshuffled; bytes, pairs and nested pairs."""

    def build(pipeline: beam.Pipeline) -> None:
        first, second = (
            pipeline
            | f"Create {name}" >> beam.Create(numbers)
            | f"Spread {name}" >> beam.Reshuffle()
            | f"Make {name}" >> beam.FlatMap(values).with_output_types(tuple[int, bytes])
            for name, numbers in (("first", [1, 2]), ("second", [3]))
        )
        more = (
            pipeline
            | "Create rows" >> beam.Create([4, 5])
            | "Make rows" >> beam.FlatMap(rows).with_output_types(tuple[int, Row])
            | "Spread rows" >> beam.Reshuffle()
        )
        _ = (
            {"values": (first, second) | beam.Flatten(), "rows": more}
            | beam.CoGroupByKey()
            | beam.MapTuple(told)
            | "To one" >> beam.Map(lambda line: (0, line))
            | "All" >> beam.GroupByKey()
            | beam.Map(write, str(path))
        )

    return build


def run(folder: Path, arguments: Iterable[str] = (), name: str = "told") -> str:
    runner.run("mix", graph(folder / name), list(arguments), 0, output=str(folder / "out"))
    assert not list((folder / "out").iterdir())
    return (folder / name).read_text()


@pytest.fixture
def largest(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of whatever the runner is given to keep."""
    found: list[int] = []
    for kind in (ListBuffer, GroupingBuffer):

        def kept(self: Any, data: bytes, append: Any = kind.append) -> None:
            found.append(len(data))
            append(self, data)

        monkeypatch.setattr(kind, "append", kept)
    return found


def test_the_runner_holds_references(
    tmp_path: Path, largest: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = run(tmp_path, name="small")
    assert 0 < max(largest) < 3_000
    assert f"0 {3 * LARGE + 15} " in small
    monkeypatch.setattr(spilled, "LEAST_BYTES", 10 * LARGE)
    assert run(tmp_path, name="plain") == small
    assert max(largest) > LARGE


@pytest.mark.slow
def test_workers_read_what_others_wrote(tmp_path: Path, largest: list[int]) -> None:
    assert run(tmp_path, TWO_WORKERS, "two") == run(tmp_path, name="one")
    assert max(largest) < 3_000


def test_the_folder_is_removed_when_a_job_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(CauldronError, match=r"^mix failed: .*No space left on .*out/_shuffle-\S+/"):
        run(tmp_path)
    assert not list((tmp_path / "out").iterdir())


def test_what_a_killed_build_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    left = tmp_path / "_shuffle-left"
    left.mkdir()
    (left / "lock").touch()
    (left / "1").write_bytes(b"values")
    with spilled.folder_for_values(str(tmp_path)) as first:
        assert not left.exists()
        with spilled.folder_for_values(f"file://{tmp_path}") as second:
            assert {Path(first), Path(second)} == set(tmp_path.iterdir())
        assert [Path(first)] == list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_a_store_as_output_has_the_folder_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for output in ("gs://bucket/out", None):
        with spilled.folder_for_values(output) as folder:
            assert Path(folder).parent == tmp_path


def test_to_ask_for_a_size_writes_nothing(tmp_path: Path) -> None:
    with spilled.folder_for_values(str(tmp_path)) as folder:
        coder = spilled.SpilledCoder(coders.BytesCoder(), folder).get_impl()
        assert coder.estimate_size(bytes(LARGE)) == LARGE
        assert os.listdir(folder) == ["lock"]
        encoded = [coder.encode(bytes([number]) * LARGE) for number in range(3)]
        assert [len(one) < 60 for one in encoded] == [True] * 3
        assert [coder.decode(one) for one in encoded] == [bytes([n]) * LARGE for n in range(3)]
        assert coder.decode(coder.encode(b"small")) == b"small"
