"""The versions of all packages that Cauldron runs on, from those that are installed here.

``python -m cauldron.pipeline.runners.lock`` prints them as a requirements file. The worker image is
made from such a file (``requirements.lock``). The wheel of a job asks for the launcher's versions,
so that a worker does not get whatever is newest when it starts.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
from typing import cast

from packaging.markers import default_environment
from packaging.requirements import Requirement

from cauldron.core.errors import CauldronError

DISTRIBUTION = "cauldron-vlm"


def locked() -> dict[str, str]:
    """Versions by name: of what the package requires, and of what that requires in turn.

    Raises:
        CauldronError: one of them is not installed.
    """
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    todo = [Requirement(DISTRIBUTION)]
    while todo:
        wanted = todo.pop()
        name = _normal(wanted.name)
        for extra in ("", *wanted.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                distribution = importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError:
                raise CauldronError(
                    f"{name} is not installed: pip install '{DISTRIBUTION}'"
                ) from None
            found[name] = distribution.version
            todo += _requirements(distribution, extra)
    del found[DISTRIBUTION]
    return dict(sorted(found.items()))


def requirements() -> list[str]:
    """``name==version`` of `locked`."""
    return [f"{name}=={version}" for name, version in locked().items()]


def _requirements(distribution: importlib.metadata.Distribution, extra: str) -> list[Requirement]:
    """What a distribution asks for here, with one of its extras or without any ("")."""
    here = cast(dict[str, str], default_environment()) | {"extra": extra}
    parsed = [Requirement(text) for text in distribution.requires or ()]
    return [item for item in parsed if item.marker is None or item.marker.evaluate(here)]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    version = ".".join(platform.python_version_tuple()[:2])
    made_by = "python -m cauldron.pipeline.runners.lock"
    print(f"# Python {version}, {platform.system()}. Made by: {made_by}")
    print("\n".join(requirements()))


if __name__ == "__main__":
    main()
