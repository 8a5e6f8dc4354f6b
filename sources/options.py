"""What a recipe may tell a reader."""

from __future__ import annotations

from typing import Any

from cauldron.sources.base import Options, Source

from cauldron.core.errors import UsageError


def settle(source: Source, options: Options) -> dict[str, Any]:
    """The reader's options: its defaults, overridden by the recipe's.

    Raises:
        cauldron.core.errors.UsageError: an option that the reader does not have.
    """
    unknown = sorted(options.keys() - source.default_options.keys())
    if unknown:
        known = ", ".join(sorted(source.default_options)) or "none"
        raise UsageError(f"{source.name} has no option {', '.join(unknown)}; it has: {known}")
    return {**source.default_options, **options}
