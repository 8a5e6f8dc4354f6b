"""Free space of a disk."""

from __future__ import annotations

import os
import shutil

from cauldron.core import storage


def free_bytes(folder: str) -> int | None:
    """Free bytes where a folder is or will be; None if it is not on this machine."""
    if not storage.is_local(folder):
        return None
    path = os.path.abspath(os.path.expanduser(folder.removeprefix("file://")))
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free
