"""Beam makes a job's graph in half the time, which is most of the time of a small job.

Two things are remembered that Beam computes again for every step of a graph: the arguments of each
method of a step's class, read with `inspect` (60 times a step), and the options of each class,
parsed from the same command line with a parser made for it (6 times a step). The graph is the same.
Both reach into Beam, so versions that the tests have not seen are left as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import wraps
from types import MethodType
from typing import Any

import apache_beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import core

_Arguments = tuple[list[str], list[Any]]
_MOST_VIEWS = 2_000
_KNOWN_BEAM = "2.77."


def install() -> None:
    """Change Beam in this process, once; not a version that is unknown here."""
    if not apache_beam.__version__.startswith(_KNOWN_BEAM):
        return
    if not hasattr(core.get_function_args_defaults, "__wrapped__"):
        core.get_function_args_defaults = _remembering_methods(core.get_function_args_defaults)
        PipelineOptions.view_as = _remembering_options(PipelineOptions.view_as)


def _remembering_methods(read: Callable[[Any], _Arguments]) -> Callable[[Any], _Arguments]:
    known: dict[Any, _Arguments] = {}

    @wraps(read)
    def arguments(function: Any) -> _Arguments:
        if not isinstance(function, MethodType):
            return read(function)
        method = function.__func__  # of the class: the same for all its objects
        if method not in known:
            known[method] = read(function)
        names, defaults = known[method]
        return list(names), list(defaults)

    return arguments


def _remembering_options(view_as: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    known: dict[Any, Any] = {}

    @wraps(view_as)
    def view(options: Any, kind: Any) -> Any:
        if options._flags is None or kind.__init__ is not PipelineOptions.__init__:
            return view_as(options, kind)
        key = kind, tuple(options._flags)
        if key not in known:
            if len(known) >= _MOST_VIEWS:
                known.clear()
            known[key] = kind(options._flags)._visible_options
        found = kind.__new__(kind)
        found._flags, found._visible_options = options._flags, known[key]
        found._all_options = options._all_options
        for name, value in vars(known[key]).items():
            if name not in options._all_options:
                # A list may be changed through this view, and is no part of others' options.
                options._all_options[name] = copy.deepcopy(value)
        return found

    return view
