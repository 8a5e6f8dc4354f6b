"""The pictures that peers are compared on."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks.duplicates import peers


def test_pictures_are_drawn_once_into_a_folder_and_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = {"seed": 3, "families": 0, "copies": 1, "classes": ["table"]}
    drawn = peers._drawn(Namespace(**asked, alone=2), tmp_path)
    assert sorted(int(path.stem) for path in (tmp_path / "all").iterdir()) == sorted(drawn)
    assert len(drawn) == 2
    assert any((tmp_path / "warm").iterdir())
    monkeypatch.setattr(peers, "ProcessPoolExecutor", None)
    assert peers._drawn(Namespace(**asked, alone=2), tmp_path) == drawn
    with pytest.raises(SystemExit, match="other pictures"):
        peers._drawn(Namespace(**asked, alone=3), tmp_path)
