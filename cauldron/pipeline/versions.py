"""What must be equal on the launcher and its workers: it decides bytes of outputs."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import os
import platform
from collections.abc import Mapping

from cauldron.core.errors import CauldronError
from cauldron.pipeline.wheel import PACKAGES

_DISTRIBUTIONS = ("apache-beam", "pyarrow", "pillow", "numpy", "numba", "opencv-python-headless")


def versions() -> dict[str, str]:
    """Of Python, of the packages that decode, compute and encode, and of Cauldron's own code."""
    found = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        found[name] = importlib.metadata.version(name)
    return found | {"code of cauldron": _code()}


def check_same(workers: Mapping[str, Mapping[str, str]]) -> None:
    """Compare the `versions` of workers, by their name, with those of this process.

    Raises:
        CauldronError: a worker has others; the message names the first and what differs.
    """
    mine = versions()
    for worker, found in sorted(workers.items()):
        other = [f"{name} {found.get(name)} instead of {mine[name]}" for name in mine
                 if found.get(name) != mine[name]]  # fmt: skip
        if other:
            raise CauldronError(
                f"worker {worker} has {', '.join(other)}; install the same there, or the build "
                "would not give the same bytes"
            )


def _code() -> str:
    digest = hashlib.sha256()
    for package in PACKAGES:
        base = os.path.dirname(str(importlib.import_module(package).__file__))
        for folder, folders, names in os.walk(base):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(names):
                if name.endswith(".py"):
                    path = os.path.join(folder, name)
                    digest.update(f"{package}/{os.path.relpath(path, base)}\0".encode())
                    with open(path, "rb") as file:
                        digest.update(file.read())
    return digest.hexdigest()[:12]
