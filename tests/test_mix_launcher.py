"""What the launcher of a mix reads does not grow with rows, decisions files or shards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cauldron.core import storage
from cauldron.pipeline import build as build_module
from cauldron.pipeline import decide
from cauldron.pipeline.build import BuildOptions, build
from cauldron.pipeline.runners.runner import Job, Launcher
from cauldron.recipe import load_recipe
from tests import hubs


class Counter:
    """Counts the files that are opened and the listings while a mix is not in its job."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.elements = 0
        self._counting = False
        for name in ("open_read", "_names"):
            monkeypatch.setattr(storage, name, self._counted(name, getattr(storage, name)))
        real_mix, real_submit = build_module.mix, Launcher.submit

        def mix(*arguments: Any) -> Any:
            self._counting = True
            try:
                return real_mix(*arguments)
            finally:
                self._counting = False

        def submit(launcher: Launcher, job: Job) -> None:
            if self._counting:
                self.elements += len(job.elements)
                self._counting = False
                real_submit(launcher, job)
                self._counting = True
            else:
                real_submit(launcher, job)

        monkeypatch.setattr(build_module, "mix", mix)
        monkeypatch.setattr(Launcher, "submit", submit)

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if self._counting:
                self.calls.append(name)
            return real(*arguments)

        return call


def launched(folder: Path, rows: int) -> tuple[list[str], int, int, int]:
    """Calls and elements of the launcher; shards, and decisions files."""
    root, out = str(folder / "root"), folder / "out"
    hubs.write_dolly(root, rows=rows)
    hubs.write_sharegpt(root, rows=rows)
    recipe = load_recipe(hubs.write_recipe(str(folder / "r.yaml"), shard_bytes=10_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decide, "ROWS_PER_BUCKET", 20)
        counter = Counter(patch)
        options = BuildOptions(recipe=recipe, stages=("sft",), root=root, output=str(out))
        (manifest,) = build(options, lambda line: None)
    decisions = len(list(out.glob("curation/*/decisions-*")))
    return counter.calls, counter.elements, len(manifest.shards), decisions


def test_the_launcher_reads_as_much_for_a_hundred_shards_as_for_ten(tmp_path: Path) -> None:
    few, many = launched(tmp_path / "few", 20), launched(tmp_path / "many", 120)
    assert many[2] > 3 * few[2]
    assert many[3] > 3 * few[3]
    assert many[:2] == few[:2]
    assert many[1] == 1
