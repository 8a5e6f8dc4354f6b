"""Markers: JSON files in ``_done/`` of an unfinished folder, one for each file that is whole.

A killed build resumes after its markers, and totals are added up from them. They are removed once
the folder has its manifest.
"""

from __future__ import annotations

from collections.abc import Sequence

from cauldron.core import storage


def marker_folder(folder: str) -> str:
    return storage.join(folder, "_done")


def marker_path(folder: str, stem: str, number: int, of: int | None = None) -> str:
    """``_done/<stem>-00003-of-00012.json``; without `stem` or `of`, their part is left out."""
    parts = [stem] if stem else []
    parts.append(f"{number:05d}" if of is None else f"{number:05d}-of-{of:05d}")
    return storage.join(marker_folder(folder), "-".join(parts) + ".json")


def list_markers(folder: str) -> list[str]:
    """Paths of all markers of a folder, sorted."""
    return storage.list_files(marker_folder(folder), ".json")


def missing(markers: Sequence[str]) -> list[int]:
    """Indices of those that do not exist yet. One listing per folder, however many markers."""
    folders = {marker.rpartition("/")[0] for marker in markers}
    found = {path for folder in folders for path in storage.list_files(folder, ".json")}
    return [index for index, marker in enumerate(markers) if marker not in found]
