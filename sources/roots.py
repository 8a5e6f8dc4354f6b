"""The root that a user names with ``--root``."""

from __future__ import annotations

from cauldron.sources.files import HUB, Root
from cauldron.sources.folders import FolderRoot

from cauldron.core.errors import UsageError


def open_root(url: str | None) -> Root:
    """The hub for None or ``hub``, else a folder or bucket (``gs://…``). Sends no request.

    Roots and repositories are small values that pickle: a worker makes its own with
    ``open_root(url).repo_at(id, commit)``.
    """
    if url is None or url == HUB:
        # Importing the hub's client takes half a second.
        from cauldron.sources.hub import HubRoot

        return HubRoot()
    if url.startswith("hf://"):
        raise UsageError(f"--root {url}: leave --root out to read from the hub")
    return FolderRoot(url)
