"""How to call this very program, for commands that are printed to be pasted."""

from __future__ import annotations

import os
import shlex
import shutil
import sys

_SCRIPT = "cauldron"


def program() -> str:
    """``cauldron`` if the shell finds the one of this environment, else its path or ``python -m``.

    An environment that is used without being activated is not on PATH, and PATH may hold the
    program of another one.
    """
    own = os.path.join(os.path.dirname(sys.executable), _SCRIPT)
    if not os.access(own, os.X_OK):
        return f"{shlex.quote(sys.executable)} -m cauldron"
    found = shutil.which(_SCRIPT)
    is_own = found is not None and os.path.realpath(found) == os.path.realpath(own)
    return _SCRIPT if is_own else shlex.quote(own)
