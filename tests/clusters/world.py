"""A hub with shared pictures and a benchmark that has some of them, for builds on clusters."""

from __future__ import annotations

import json
from pathlib import Path

from cauldron.recipe import Recipe, load_recipe
from tests import hubs


def write_world(folder: Path, rows: int = 40) -> None:
    """``hub`` and ``benchmark`` in a folder."""
    hubs.write_dolly(str(folder / "hub"), rows=rows, broken=1)
    hubs.write_sharegpt(str(folder / "hub"), rows=rows, turns=3, pictures=rows * 3 // 4)
    (folder / "benchmark").mkdir()
    for number in range(3):
        (folder / "benchmark" / f"{number}.jpg").write_bytes(hubs.photo(number))


def recipe_of_all_steps(path: Path, benchmark: str) -> Recipe:
    """A recipe that merges and decontaminates, written to `path`."""
    hubs.write_recipe(str(path))
    rules = {"duplicates": {"action": "merge"}, "against": {"benchmarks": {"ours": benchmark}}}
    path.write_text(json.dumps(json.loads(path.read_text()) | rules))
    return load_recipe(str(path))
