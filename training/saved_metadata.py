"""Reads a checkpoint's ``.metadata`` without running code that it may hold.

The file is a pickle, and torch loads it as one, so whoever wrote a run's folder could run code
where it is resumed. Here only the classes that describe tensors are allowed. Entries that are not
tensors are refused too: torch unpickles their bytes without any restriction.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta

from cauldron.core.errors import CauldronError, first_line

_CHECKPOINT = "torch.distributed.checkpoint"
_ALLOWED = {
    *((f"{_CHECKPOINT}.metadata", name) for name in (
        "ChunkStorageMetadata", "Metadata", "MetadataIndex", "StorageMeta", "TensorProperties",
        "TensorStorageMetadata", "_MEM_FORMAT_ENCODING",
    )),
    (f"{_CHECKPOINT}.filesystem", "_StorageInfo"),
    ("torch", "Size"),
    ("torch.serialization", "_get_layout"),
    ("pathlib", "PosixPath"),
    ("pathlib._local", "PosixPath"),  # Python 3.13
}  # fmt: skip


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and isinstance(found := vars(torch).get(name), torch.dtype):
            return found
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}")


def read_metadata(path: Path) -> Metadata:
    """The content of a ``.metadata`` file.

    Raises:
        CauldronError: it is torn, or holds what no checkpoint of tensors does.
    """
    try:
        with path.open("rb") as file:
            found = _Unpickler(file).load()
        if not isinstance(found, Metadata):
            raise pickle.UnpicklingError(f"it is a {type(found).__name__}")
    except OSError:
        raise
    except Exception as error:  # of many types, for bytes that are no pickle
        raise CauldronError(
            f"{path} is not the metadata of a checkpoint of this program ({first_line(error)}), "
            "and reading it could run code; delete the checkpoint's folder, or give another "
            "--output"
        ) from None
    return found


class Reader(FileSystemReader):
    """Torch's reader of a checkpoint's folder, with `read_metadata`."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        found = read_metadata(Path(self.path) / ".metadata")
        if found.storage_meta is None:
            found.storage_meta = StorageMeta()
        found.storage_meta.load_id = self.load_id
        return found
