"""``X-Robots-Tag``: what a server says about the use of its images."""

from __future__ import annotations

import re
from collections.abc import Iterable

_FORBIDDEN = frozenset({"noai", "noimageai"})
# A word before a colon names the robot that the rest is for; these words take a value instead.
_WITH_VALUE = frozenset(
    {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"}
)
_NAMED = re.compile(r"\s*([A-Za-z0-9_-]+)\s*:\s*(.*)", re.DOTALL)


def is_forbidden(marks: Iterable[str], user_agent: str) -> bool:
    """Whether one of the header's values says ``noai`` or ``noimageai`` to us.

    What is meant for a robot of another name is not: ``otherbot: noai``. Ours is the first word of
    the user agent, up to a slash.
    """
    own = user_agent.split()[0].partition("/")[0].lower()
    return any(_forbids(mark, own) for mark in marks)


def _forbids(mark: str, own: str) -> bool:
    to_us = True
    for directive in mark.split(","):
        named = _NAMED.fullmatch(directive)
        if named and named[1].lower() not in _WITH_VALUE:
            to_us = named[1].lower() in (own, "*")
            directive = named[2]
        if to_us and directive.strip().lower() in _FORBIDDEN:
            return True
    return False
