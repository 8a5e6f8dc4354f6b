"""Names that a user chooses: one check for all that become part of a path, and "did you mean".

Names of recipes, stages, sources and benchmarks become folders of the output. A name like
``../../data`` would lead the build to write and delete files elsewhere.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

# The length is that of the shortest limit of a common file system (255 bytes), with room for what
# is added to a name.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def plain_name(name: str) -> str:
    """The name itself. Raises ValueError unless it can stand as one part of a path."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name[:40]!r} is not a name: use letters, digits, '.', '_' and '-', at most 100, the "
            "first a letter or a digit"
        )
    return name


def _source_name(name: str) -> str:
    for part in name.split("/"):
        plain_name(part)
    return name


Name = Annotated[str, AfterValidator(plain_name)]

# ``lima``, or with the collection that it belongs to, ``the_cauldron/ai2d``.
SourceName = Annotated[str, AfterValidator(_source_name)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the known name that is nearest, or nothing if none is near."""
    by_lower = {item.lower(): item for item in known}
    by_last = {item.rpartition("/")[2]: item for item in by_lower.values()}
    near = difflib.get_close_matches(name.lower(), [*by_lower, *by_last], n=1, cutoff=0.6)
    if not near:
        return ""
    return f"; did you mean {by_lower.get(near[0]) or by_last[near[0]]!r}?"
