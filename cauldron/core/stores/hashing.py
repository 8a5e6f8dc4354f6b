"""What is written is counted and hashed on its way, for its entry in a manifest."""

from __future__ import annotations

import hashlib
from typing import IO, Any

from cauldron.core.stores.objects import Checksum


class HashingWriter:
    """A binary file that counts and hashes the bytes written to it.

    Args:
        checksum: is told the bytes too.

    Attributes:
        size: bytes written so far.
    """

    def __init__(self, file: IO[bytes], checksum: Checksum | None = None) -> None:
        self._file = file
        self._checksum = checksum
        self._sha256 = hashlib.sha256()
        self.size = 0
        self.closed = False
        self._abandoned = False

    def write(self, data: bytes | memoryview) -> int:
        size = memoryview(data).nbytes  # pyarrow passes buffers of its own, not only bytes
        if self._abandoned:
            return size
        self._sha256.update(data)
        if self._checksum is not None:
            self._checksum.update(data)
        self._file.write(data)
        self.size += size
        return size

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._file.flush()

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def abandon(self) -> None:
        """Ignore all further writes. After a failure the file is gone, but format writers still
        flush when they are garbage-collected."""
        self._abandoned = True

    def close(self) -> None:
        """Does nothing, for writers that close their file; `atomic_write` closes it."""

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def entry(self, name: str, rows: int | None = None) -> dict[str, Any]:
        """The file's entry in a manifest."""
        entry = {"name": name, "bytes": self.size, "sha256": self.sha256}
        return entry if rows is None else entry | {"rows": rows}
