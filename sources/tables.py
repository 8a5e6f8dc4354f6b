"""Tables of published sets, kept as CSV files in ``sources/data``."""

from __future__ import annotations

import csv
import importlib.resources


def read_table(name: str) -> list[dict[str, str]]:
    """The lines of ``sources/data/<name>.csv``, each by column."""
    path = importlib.resources.files("cauldron.sources") / "data" / f"{name}.csv"
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
