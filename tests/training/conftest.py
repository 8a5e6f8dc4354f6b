"""The trainer is an extra: without torch its tests are not collected."""

import importlib.util
from pathlib import Path

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py", "data", "network"]


@pytest.fixture(autouse=True)
def _empty_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command looks for mixtures and runs below the working folder: none of the checkout."""
    monkeypatch.chdir(tmp_path)
