"""A folder of an object store, worked on in a local copy.

Training and evaluation append to files, rename folders and map files into memory. An object store
can do none of that. So the folder's files are fetched into a folder of this machine, and what
changed is sent back: after each checkpoint or benchmark, and at the end, also after an error.

A folder that holds one of `marks` is complete: its mark is fetched and sent last. If it changes, it
is replaced as a whole, mark first, so that nobody takes a half for the whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from cauldron.core import storage
from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.output.lock import LOCK, locked
from cauldron.core.stores.first_rank import preparing, wait_for_first

# Of all the names in a folder, those to fetch.
Wanted = Callable[[Sequence[str]], Iterable[str]]

_BLOCK = 8 << 20
_TRANSFERS = 8
# Folders under way: the trainer renames them when they are complete.
_UNFINISHED = (".tmp", ".new", ".old")
_State = tuple[int, int]


class Mirror:
    """A folder and its local copy.

    Args:
        marks: names of files that are written last in their folders.
    """

    def __init__(self, url: str, folder: Path, marks: Sequence[str] = ()) -> None:
        self.url, self.folder = url.rstrip("/"), folder
        self._marks = frozenset(marks)
        self._known: dict[str, _State] = {}
        self._pool = ThreadPoolExecutor(1)
        self._sending: Future[None] | None = None

    def fetch(self, wanted: Wanted = lambda names: names) -> None:
        """Fetch files, by their paths in the folder."""
        fs, bare = storage.filesystem(self.url)
        fs.invalidate_cache()
        names = [name[len(bare) :].lstrip("/") for name in fs.find(bare)]
        chosen = [name for name in wanted(names) if _is_inside(name) and name != LOCK]
        for group in self._ordered(chosen):
            with ThreadPoolExecutor(_TRANSFERS) as pool:
                list(pool.map(self._fetch, group))
        self._known = self._states()

    def _fetch(self, name: str) -> None:
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.part")
        with storage.open_read(storage.join(self.url, name)) as source, partial.open("wb") as file:
            shutil.copyfileobj(source, file, _BLOCK)
        partial.rename(target)

    def send_later(self) -> None:
        """Send what changed in the background, after what is being sent. Raises its error."""
        self.wait()
        self._sending = self._pool.submit(self.send)

    def wait(self) -> None:
        """Until all is sent. Raises the error of `send_later`."""
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.result()

    def send(self) -> None:
        """Send the files that changed since they were fetched or sent; delete those that went."""
        now = self._states()
        changed = {name for name, state in now.items() if self._known.get(name) != state}
        whole = {_parent(name) for name in now if _name(name) in self._marks}
        gone = {_parent(name) for name in self._known if _name(name) in self._marks} - whole
        anew = {folder for folder in whole if any(_below(name, folder) for name in changed)}
        for folder in sorted(gone | anew):
            for mark in self._marks:
                storage.remove(storage.join(self.url, folder, mark))
            storage.remove(storage.join(self.url, folder))
        changed |= {name for name in now if any(_below(name, folder) for folder in anew)}
        for group in self._ordered(sorted(changed)):
            with ThreadPoolExecutor(_TRANSFERS) as pool:
                list(pool.map(self._send, group))
        self._known = now

    def _send(self, name: str) -> None:
        with (
            (self.folder / name).open("rb") as file,
            storage.atomic_write(storage.join(self.url, name)) as target,
        ):
            while block := file.read(_BLOCK):
                target.write(block)

    def shown(self, text: str) -> str:
        """A message with the address in place of the local folder."""
        return text.replace(str(self.folder), self.url)

    def _ordered(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """Marks last."""
        return (
            [name for name in names if _name(name) not in self._marks],
            [name for name in names if _name(name) in self._marks],
        )

    def _states(self) -> dict[str, _State]:
        found: dict[str, _State] = {}
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and not any(p.endswith(_UNFINISHED) for p in name.split("/")):
                about = path.stat()
                found[name] = about.st_size, about.st_mtime_ns
        return found


@contextlib.contextmanager
def working_folder(
    url: str, marks: Sequence[str] = (), wanted: Wanted = lambda names: names
) -> Iterator[Mirror]:
    """The local copy of a folder while the block runs, the same for all ranks of a machine.

    The first rank fetches, sends, and holds the folder's lock. The others wait for the fetch.

    Raises:
        UsageError: the ranks are on several machines.
        CauldronError: another process works on the folder, or the first rank failed.
    """
    world = os.environ.get("WORLD_SIZE", "1")
    if os.environ.get("LOCAL_WORLD_SIZE", world) != world:
        raise UsageError(f"{url}: ranks on several machines need a folder that all of them share")
    mirror = Mirror(url, _scratch(url), marks)
    scratch = mirror.folder.parent
    progress = scratch.with_name(f"{scratch.name}.first")
    if os.environ.get("RANK", "0") != "0":
        wait_for_first(progress)
        yield mirror
        return
    with contextlib.ExitStack() as stack:
        with preparing(progress):
            lock = stack.enter_context(locked([url]))
            shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
            stack.callback(shutil.rmtree, scratch, ignore_errors=True)
            scratch.mkdir(mode=0o700)
            mirror.folder.mkdir()
            mirror.fetch(wanted)
        stack.callback(progress.unlink, missing_ok=True)
        try:
            yield mirror
        except CauldronError as error:
            if type(error) not in (CauldronError, UsageError):
                raise
            raise type(error)(mirror.shown(str(error))) from error
        finally:
            mirror.wait()
            lock.confirm(url)
            mirror.send()


@contextlib.contextmanager
def fetched(url: str, wanted: Wanted = lambda names: names) -> Iterator[Path]:
    """A local copy of a folder, to read, with the folder's own name."""
    with tempfile.TemporaryDirectory(prefix="cauldron-") as scratch:
        mirror = Mirror(url, Path(scratch, PurePosixPath(url).name))
        mirror.fetch(wanted)
        yield mirror.folder


def _scratch(url: str) -> Path:
    name = hashlib.sha256(f"{os.getuid()} {url}".encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"cauldron-{name}", PurePosixPath(url).name)


def _is_inside(name: str) -> bool:
    return ".." not in name.split("/")


def _below(name: str, folder: str) -> bool:
    return name.startswith(f"{folder}/") if folder else "/" not in name


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


def _name(name: str) -> str:
    return name.rpartition("/")[2]
