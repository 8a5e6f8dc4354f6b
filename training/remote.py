"""A run in an object store: what of it is fetched to go on, and to answer with its model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

# Written last in a checkpoint, and in the exported model.
MARKS = ("run.json", "exported.json")
_CHECKPOINT = re.compile(r"(checkpoints/step-(\d+))/")
_MODEL = "model/"


def to_resume(names: Sequence[str]) -> Iterator[str]:
    """Of the last checkpoint all files, of older ones and of the exported model the mark only, so
    that they are known; and all that is neither."""
    last = _last_checkpoint(names)
    for name in names:
        part = name.startswith(_MODEL) or _CHECKPOINT.match(name)
        if not part or name.endswith(MARKS) or (last and name.startswith(f"{last}/")):
            yield name


def to_answer(names: Sequence[str]) -> Iterator[str]:
    """Of a run what its last weights need, and the exported model; of any other folder all."""
    last = _last_checkpoint(names)
    for name in names:
        if last is None or name.startswith((f"{last}/", _MODEL)) or "/" not in name:
            yield name


def _last_checkpoint(names: Sequence[str]) -> str | None:
    """The folder of the last complete one."""
    found = [match for name in names if name.endswith("/run.json")
             if (match := _CHECKPOINT.match(name))]  # fmt: skip
    return max(found, key=lambda match: int(match[2]))[1] if found else None
