"""Compiled functions are kept where the user can write."""

from __future__ import annotations

from pathlib import Path

from cauldron.transforms.compiled import compiled
from numba.core.caching import CacheImpl


def double(number: int) -> int:
    return 2 * number


def test_compiled_code_is_kept_in_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled(double)(21) == 42
    assert list((tmp_path / "cauldron").rglob("*double*"))
    beside = Path(__file__).parent / "__pycache__"
    assert not list(beside.glob("*double*.nb?"))


def test_without_a_folder_for_compiled_code_it_is_compiled_anew(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert compiled(double)(21) == 42
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    assert compiled(double)(21) == 42
