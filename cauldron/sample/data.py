"""The word lists, templates and tables in ``data/*.yaml``."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@cache
def load(name: str) -> dict[str, Any]:
    """The content of ``data/<name>.yaml``; not to be changed."""
    text = files("cauldron.sample").joinpath("data", f"{name}.yaml").read_text("utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content
