"""Functions compiled by Numba, kept in the user's cache folder.

The folder is NUMBA_CACHE_DIR if set. If none can be written, every process compiles again (3 s).
Compiled code is never kept beside the source: pip would leave it there on uninstall.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba import njit
from numba.misc import appdirs

# Numba tells type checkers nothing of these two.
_config: Any = numba.config
_folders: Any = appdirs.AppDirs

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _cache_folder() -> str | None:
    """The folder for compiled code; None if there is none that can be written."""
    folder: str = _config.CACHE_DIR or _folders(appname="cauldron", appauthor=False).user_cache_dir
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def compiled(function: _Function, fast: bool = False) -> _Function:
    """Compile on first call, and cache the result if there is a folder for it.

    Args:
        fast: sums of floating-point numbers may be taken in any order, as vectors are added.
    """
    folder, before = _cache_folder(), _config.CACHE_DIR
    if folder is None:
        return cast(_Function, njit(nogil=True, fastmath=fast)(function))
    # Numba chooses the folder at declaration, and would try the source's folder first.
    _config.CACHE_DIR = folder
    try:
        return cast(_Function, njit(cache=True, nogil=True, fastmath=fast)(function))
    except RuntimeError:  # the folder cannot be written after all
        return cast(_Function, njit(nogil=True, fastmath=fast)(function))
    finally:
        _config.CACHE_DIR = before
