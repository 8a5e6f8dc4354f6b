"""Which sources a recipe leaves out because of their licences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from cauldron.sources.base import Source

from cauldron.core.errors import UsageError


def refused(
    names: Iterable[str], allow: Iterable[str], known: Mapping[str, Source]
) -> dict[str, str]:
    """The sources whose licence is not allowed, and why.

    Args:
        allow: licences as `Source.license` has them, in small or large letters; none: all.
        known: every source by name.

    Raises:
        UsageError: no source has an allowed licence; a slip would leave out sources in silence.
    """
    allowed = {licence.lower() for licence in allow}
    licences = {source.license.lower() for source in known.values()}
    for licence in sorted(allowed - licences):
        near = get_close_matches(licence, licences, 1)
        meant = f"; did you mean {near[0]}?" if near else "."
        have = ", ".join(sorted(licences))
        raise UsageError(f"licenses.allow: no source has {licence!r}{meant} They have: {have}")
    if not allowed:
        return {}
    return {
        name: _why(known[name])
        for name in names
        if name in known and known[name].license.lower() not in allowed
    }


def _why(source: Source) -> str:
    note = f" ({source.license_note})" if source.license_note else ""
    return f"its licence is {source.license}{note}, which the recipe does not allow"
