"""Processes of a build that a test started."""

from __future__ import annotations

import contextlib
from pathlib import Path


def processes_of(output: Path) -> list[int]:
    """All processes whose environment has ``BUILD_OF`` with this output, which workers inherit."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"BUILD_OF={output}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found
