"""YAML files as a user means them: booleans of YAML 1.2, plain values only, bounded in size.

PyYAML reads YAML 1.1, in which the key ``on`` is true, ``no`` (Norwegian) is false and
``2024-01-01`` is a date. Here only ``true`` and ``false`` are booleans, and dates are text.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

# The largest packaged recipe has 400 values and 5 levels. Aliases can make a file of 1 kB stand for
# billions of values, all of which would be copied, compared and written to manifests.
MAX_VALUES = 100_000
MAX_DEPTH = 32


class _Loader(yaml.SafeLoader):
    """Like the safe loader, with fewer words that are not text."""


_LEFT_OUT = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag not in _LEFT_OUT]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(  # type: ignore[no-untyped-call]
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def parse_yaml(text: str) -> Any:
    """The value of a YAML text: mappings with text as keys, lists, text, numbers, booleans, null.

    Raises:
        ValueError: in one line, it is not YAML, holds other values, or is too large or too deep.
    """
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError(f"is nested more than {MAX_DEPTH} levels deep") from None
    except ValueError as error:  # a number with thousands of digits, a date that does not exist
        raise ValueError(f"holds a value that cannot be read: {error}") from None
    _check(value, MAX_DEPTH, MAX_VALUES)
    return value


def _check(value: Any, depth: int, left: int) -> int:
    """How many values are left of the allowed ones. Raises ValueError; also for a cycle."""
    if depth == 0:
        raise ValueError(f"is nested more than {MAX_DEPTH} levels deep")
    if left <= 0:
        raise ValueError(f"stands for more than {MAX_VALUES:,} values")
    left -= 1
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"has the key {key!r}, which is not text: put it in quotes")
            left = _check(item, depth - 1, left)
    elif isinstance(value, list):
        for item in value:
            left = _check(item, depth - 1, left)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"holds {value}, which is not a number")
    elif value is not None and not isinstance(value, str | bool | int | float):
        raise ValueError(f"holds a {type(value).__name__}, which no field takes")
    return left
