"""What must be equal on the launcher and its workers: it decides bytes of outputs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping

from cauldron.core.errors import CauldronError
from cauldron.pipeline.runners.remote.wheel import package_files

_DISTRIBUTIONS = (
    *("apache-beam", "pyarrow", "pillow", "numpy", "numba", "opencv-python-headless"),
    *("imagehash", "tokenizers", "fasttext", "pypdfium2"),
)


def versions() -> dict[str, str]:
    """Of Python, of the packages that decode, compute and encode, and of Cauldron's own code."""
    # Its third number changes no byte, and that of a runner's image is not ours to choose.
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for name in _DISTRIBUTIONS:
        found[name] = _version(name)
    return found | {"code of cauldron": _code()}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def check_same(
    workers: Mapping[str, Mapping[str, str]], launcher: Mapping[str, str] | None = None
) -> None:
    """Compare the `versions` of workers, by their name, with the launcher's.

    Args:
        launcher: None: of this process.

    Raises:
        CauldronError: a worker has others; the message names the first and what differs.
    """
    mine = versions() if launcher is None else launcher
    for worker, found in sorted(workers.items()):
        other = [f"{name} {found.get(name)} instead of {mine[name]}" for name in mine
                 if found.get(name) != mine[name]]  # fmt: skip
        if other:
            raise CauldronError(
                f"worker {worker} has {', '.join(other)}; install the same there, or the build "
                "would not give the same bytes"
            )


def _code() -> str:
    """Of the modules that a wheel holds: the same from a checkout and from an install."""
    digest = hashlib.sha256()
    for name, data in sorted(dict(package_files()).items()):
        if name.endswith(".py"):
            digest.update(name.encode() + b"\0" + data)
    return digest.hexdigest()[:12]
