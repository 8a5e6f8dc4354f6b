"""Large values of a job on this machine wait in files, not in memory.

Beam's local runner is the submitting process, and all that crosses a shuffle lies there, about four
times over; then each worker is handed its part of all groups at once. With the coder that this
module puts around a job's values, a worker writes a large value to a file when it sends it, and
what the runner holds is a reference of some 40 bytes. The worker that gets a group reads its values
back. So the memory of both grows with the largest group, and no longer with all of them. Our
transforms know nothing of it: they send arrays of many records as one value.

The files are in ``OUT/_shuffle-<random>`` until the job ends. They are as large as all values
together, and one that is flattened with others before it is grouped is there twice. What a killed
build leaves is removed by the next one with the same output.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from apache_beam.coders import coder_impl, coders
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2

from cauldron.core import storage

FOLDER = "_shuffle-"
URN = "cauldron:coder:spilled:v1"
# A smaller value crosses as it is. One in memory takes the launcher six times its bytes or more, a
# reference 0.3 to 0.6 kB.
LEAST_BYTES = 256

_LOCK = "lock"
_INLINE, _SPILLED = b"\0", b"\1"
_KV = common_urns.coders.KV.urn
_LEAVES = (common_urns.coders.BYTES.urn, python_urns.PICKLED_CODER)
_NESTED = (_KV, python_urns.TUPLE_CODER, common_urns.coders.ITERABLE.urn)


class Files:
    """The files of a job, as one process writes and reads them: it appends to one of its own."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._written = 0
        self._open: dict[str, int] = {}

    def write(self, data: bytes) -> bytes:
        """Keep a value; returns the reference to it. Raises OSError if the disk is full."""
        name = str(os.getpid())
        with self._lock:
            file, start, left = self._file(name), self._written, memoryview(data)
            try:
                while left:
                    done = os.pwrite(file, left, self._written)
                    left, self._written = left[done:], self._written + done
            except OSError as error:
                error.filename = os.path.join(self._folder, name)
                raise
        return f"{name} {start} {len(data)}".encode()

    def read(self, reference: bytes) -> bytes:
        name, start, length = reference.decode().split()
        with self._lock:
            file = self._file(name)
        left, at, pieces = int(length), int(start), []
        while left:
            pieces.append(os.pread(file, left, at))
            assert pieces[-1], f"{self._folder}/{name} ends before {at + left}"
            left, at = left - len(pieces[-1]), at + len(pieces[-1])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        for file in self._open.values():
            os.close(file)
        self._open.clear()

    def _file(self, name: str) -> int:
        if name not in self._open:
            path = os.path.join(self._folder, name)
            self._open[name] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._open[name]


@cache
def _files(folder: str) -> Files:
    """A process works on one job, or on a few after another."""
    return Files(folder)


class _SpilledImpl(coder_impl.SimpleCoderImpl):  # type: ignore[misc]
    def __init__(self, inner: Any, folder: str) -> None:
        self._inner, self._folder = inner, folder

    def encode(self, value: Any) -> bytes:
        data = self._inner.encode(value)
        if len(data) < LEAST_BYTES:
            return _INLINE + bytes(data)
        return _SPILLED + _files(self._folder).write(data)

    def decode(self, encoded: bytes) -> Any:
        kind, data = encoded[:1], encoded[1:]
        return self._inner.decode(_files(self._folder).read(data) if kind == _SPILLED else data)

    def estimate_size(self, value: Any, nested: bool = False) -> int:
        """Of the value itself. Beam's own way would be to encode it, and so to write it again."""
        return int(self._inner.estimate_size(value, nested))


class SpilledCoder(coders.Coder):  # type: ignore[misc]
    """Another coder, whose large values are kept in the files of a folder."""

    def __init__(self, inner: coders.Coder, folder: str) -> None:
        self._inner, self._folder = inner, folder

    def _create_impl(self) -> coder_impl.CoderImpl:
        return _SpilledImpl(self._inner.get_impl(), self._folder)

    def to_type_hint(self) -> Any:
        return self._inner.to_type_hint()


@coders.Coder.register_urn(URN, bytes)
def _from_proto(payload: bytes, components: list[Any], context: Any) -> SpilledCoder:
    return SpilledCoder(components[0], payload.decode())


def spill(pipeline: beam_runner_api_pb2.Pipeline, folder: str) -> None:
    """Have the values of a job's keys kept in files. Keys are grouped by what they are encoded as,
    so they stay as they are."""
    known = pipeline.components.coders
    outer = _wrapper(known, folder)
    for collection in pipeline.components.pcollections.values():
        coder = known[collection.coder_id]
        if coder.spec.urn == _KV:
            key, value = coder.component_coder_ids
            collection.coder_id = _add(known, collection.coder_id, _KV, [key, outer(value)])


def _wrapper(known: Any, folder: str) -> Callable[[str], str]:
    @cache
    def outer(name: str) -> str:
        urn = known[name].spec.urn
        if urn in _LEAVES:
            return _add(known, name, URN, [name], folder.encode())
        if urn in _NESTED:
            return _add(known, name, urn, [outer(one) for one in known[name].component_coder_ids])
        return name

    return outer


def _add(known: Any, name: str, urn: str, inner: list[str], payload: bytes = b"") -> str:
    """The name of a coder in the place of another one."""
    new = f"{name}_spilled" if urn != _KV else f"{name}_spilled_values"
    spec = beam_runner_api_pb2.FunctionSpec(urn=urn, payload=payload)
    known[new].CopyFrom(beam_runner_api_pb2.Coder(spec=spec, component_coder_ids=inner))
    return new


@contextlib.contextmanager
def folder_for_values(output: str | None) -> Iterator[str]:
    """A new folder for the values of a job, which is removed at the end of the block.

    Args:
        output: of the build; if it is not on this machine or None, the folder is where temporary
            files are.
    """
    place = _place(output)
    os.makedirs(place, exist_ok=True)
    for name in os.listdir(place):
        if name.startswith(FOLDER):
            _remove_stale(os.path.join(place, name))
    folder = tempfile.mkdtemp(prefix=FOLDER, dir=place)
    try:
        path = os.path.join(folder, _LOCK)
        with open(f"{path}-new", "wb") as lock:
            _hold(lock.fileno())
            os.rename(lock.name, path)  # held before another build can see it
            yield folder
    finally:
        _files(folder).close()
        shutil.rmtree(folder, ignore_errors=True)


def _place(output: str | None) -> str:
    if output is None or not storage.is_local(output):
        return tempfile.gettempdir()
    return os.path.abspath(os.path.expanduser(output.removeprefix("file://")))


def _hold(lock: int) -> bool:
    """Lock an open file until it is closed; False if another process has locked it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_stale(folder: str) -> None:
    """Remove the folder of a job that has ended without removing it."""
    with contextlib.suppress(OSError), open(os.path.join(folder, _LOCK), "rb") as lock:
        if _hold(lock.fileno()):
            shutil.rmtree(folder, ignore_errors=True)
