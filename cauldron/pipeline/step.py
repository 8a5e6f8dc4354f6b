"""A step of a build: a folder of the output that is found finished, or made.

Every step runs the same way. The manifest says whether the folder is finished. If not, the build
locks the folder, runs Beam jobs for the work that has no marker yet, adds up the markers, removes
temporary files, writes the manifest last, and removes the markers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output.lock import locked
from cauldron.core.output.manifests import MANIFEST, M, manifest_bytes, read_manifest
from cauldron.core.output.markers import marker_folder
from cauldron.core.progress import Say
from cauldron.core.stores import versioned


@dataclass(frozen=True, kw_only=True)
class Step(Generic[M]):
    """One folder of the output.

    Attributes:
        kind: the class of its manifest.
        fingerprint: of everything that decides what the folder will hold.
        beside: further folders that the step writes to, with markers or without.
    """

    kind: type[M]
    folder: str
    fingerprint: str
    beside: tuple[str, ...] = ()

    def finished(self) -> M | None:
        """The manifest; None if the folder has none, or one with another fingerprint."""
        try:
            manifest = read_manifest(self.kind, self.folder)
        except FileNotFoundError:
            return None
        return manifest if manifest.fingerprint == self.fingerprint else None

    def make(self, name: str, build: Callable[[], M], say: Say) -> M:
        """The manifest, made by `build` unless the folder is finished. See `make_steps`."""
        return make_steps(name, {name: self}, lambda _: [build()], say)[name]

    @property
    def manifest_path(self) -> str:
        return storage.join(self.folder, MANIFEST)

    def finish(self, manifest: M, replaces: str | None = versioned.ANY) -> None:
        """Write the manifest and remove what only an unfinished folder needs.

        Args:
            replaces: version of the manifest that was there when the work began.
        """
        folders = (self.folder, *self.beside)
        for folder in folders:
            storage.remove_temporaries(folder)
        self.write(manifest, replaces)
        for folder in folders:
            storage.remove(marker_folder(folder))

    def write(self, manifest: M, replaces: str | None = versioned.ANY) -> None:
        """Raises CauldronError when another build has written one since."""
        data = manifest_bytes(manifest)
        if replaces is not None and versioned.version(self.manifest_path) is None:
            replaces = None  # the step removed it, before it replaced the files
        try:
            versioned.replace(self.manifest_path, data, replaces)
        except versioned.Changed:
            raise CauldronError(
                f"{self.manifest_path}: another build has written it meanwhile; run again"
            ) from None


def make_steps(
    name: str,
    steps: Mapping[str, Step[M]],
    build: Callable[[list[str]], Iterable[M]],
    say: Say,
) -> dict[str, M]:
    """Manifests of all steps by name, in the order of `steps`.

    Args:
        name: of all together, for messages.
        build: makes the files of the named steps and returns their manifests, unwritten.

    Raises:
        CauldronError: `build` failed, or another build is writing to one of the folders.
    """
    found = {key: step.finished() for key, step in steps.items()}
    todo = [key for key, manifest in found.items() if manifest is None]
    if len(todo) < len(steps):
        said = f"{len(steps) - len(todo)} of {len(steps)} done already"
        say(f"{name}: {said if todo else 'done already'}")
    if todo:
        with locked([steps[key].folder for key in todo]) as lock:
            # Another build may have finished some of them before it released its locks.
            found |= {key: steps[key].finished() for key in todo}
            todo = [key for key in todo if found[key] is None]
            replaced = {key: versioned.version(steps[key].manifest_path) for key in todo}
            for key, manifest in zip(todo, build(todo) if todo else [], strict=True):
                lock.confirm(steps[key].folder)
                steps[key].finish(manifest, replaced[key])
                found[key] = manifest
    return {key: manifest for key, manifest in found.items() if manifest is not None}
