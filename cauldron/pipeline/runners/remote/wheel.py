"""A wheel of the installed Cauldron, so that remote workers run the code that submitted the job.

Nothing is built: the packages are pure Python, so the wheel is the imported files and the
installed metadata in a zip. It works the same from a checkout and from site-packages. It asks for
the versions of packages that are installed here, so that workers do not get newer ones.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import importlib.metadata
import os
import zipfile
from collections.abc import Iterator

from cauldron.pipeline.runners.lock import DISTRIBUTION, requirements

# Each is imported by itself: in a checkout the last three lie beside `cauldron`, not below it.
PACKAGES = ("cauldron", "cauldron.sources", "cauldron.transforms", "cauldron.training")
# Writes test data; no worker needs it.
LEFT_OUT = "cauldron/sample"

_TAG = "Wheel-Version: 1.0\nGenerator: cauldron\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
# The earliest time a zip can hold: equal code gives an equal wheel, which runners can cache.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_wheel(folder: str) -> str:
    """Write the wheel into `folder` and return its path.

    Raises:
        importlib.metadata.PackageNotFoundError: Cauldron runs uninstalled, without metadata.
    """
    distribution = importlib.metadata.distribution(DISTRIBUTION)
    stem = f"{DISTRIBUTION.replace('-', '_')}-{distribution.version}"
    info = f"{stem}.dist-info"
    entries = dict(package_files())
    metadata = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    entries[f"{info}/METADATA"] = _pinned(metadata).encode()
    entries[f"{info}/WHEEL"] = _TAG.encode()
    record = "".join(f"{name},{_digest(data)},{len(data)}\n" for name, data in entries.items())
    entries[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    path = os.path.join(folder, f"{stem}-py3-none-any.whl")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in entries.items():
            item = zipfile.ZipInfo(name, _EPOCH)
            item.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(item, data)
    return path


def _pinned(metadata: str) -> str:
    """Metadata that asks for the versions of `locked`; extras stay as they are."""
    head, gap, description = metadata.partition("\n\n")
    kept = [line for line in head.split("\n")
            if not line.startswith("Requires-Dist:") or "extra ==" in line]  # fmt: skip
    pins = [f"Requires-Dist: {line}" for line in requirements()]
    return "\n".join([*kept, *pins]) + gap + description


def package_files() -> Iterator[tuple[str, bytes]]:
    """(path in the wheel, content) of every file; some twice, where packages lie in each other."""
    for package in PACKAGES:
        base = os.path.dirname(str(importlib.import_module(package).__file__))
        for folder, folders, names in os.walk(base):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            inside = os.path.join(package.replace(".", "/"), os.path.relpath(folder, base))
            inside = os.path.normpath(inside).replace(os.sep, "/")
            if inside == LEFT_OUT or inside.startswith(f"{LEFT_OUT}/"):
                continue
            for name in sorted(names):
                with open(os.path.join(folder, name), "rb") as file:
                    yield f"{inside}/{name}", file.read()


def _digest(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"
