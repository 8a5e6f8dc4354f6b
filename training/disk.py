"""A failed write, in one line that names path and cause: a full disk, a limit on a file's size."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from torch.distributed.checkpoint.api import CheckpointException

from cauldron.core.errors import CauldronError, first_line

FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
# More than a file system block, so that it does not fit into the last one.
_PROBE = bytes(1 << 16)


def not_written(path: Path, reason: str) -> CauldronError:
    """The error to raise for a failed write of a run."""
    return CauldronError(
        f"{path} could not be written: {reason}; when this is mended, the same command resumes "
        "from the last checkpoint"
    )


def cause_of_failed_write(error: BaseException, folder: Path) -> str:
    """Why files of a checkpoint could not be written, in a few words.

    Torch's archive writer hides the error of the disk behind one of its own ("unexpected pos"). So
    where no rank reports an error of the disk, more is written to the largest file: it fails in the
    same way.
    """
    errors: list[BaseException] = [error]
    if isinstance(error, CheckpointException):
        errors = [found for found, _ in error.failures.values()]
    for found in errors:
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
    return _probe(folder) or first_line(errors[0])


def _probe(folder: Path) -> str | None:
    try:
        files = sorted((path.stat().st_size, path) for path in folder.iterdir())
        if not files:
            return None
        with files[-1][1].open("ab", buffering=0) as file:
            file.write(_PROBE)
            file.write(_PROBE)
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror
    return None
