"""Objects on ``gs://`` by Google's own client: what fsspec's interface has no words for.

Generation preconditions (an object is created only if there is none, and replaced or deleted only
from the generation that was read), checksums of every transfer, and deletes in batches. Files of
data are read and written through fsspec, by `cauldron.core.storage`.

The client repeats failed connections, 408, 429 and 5xx for two minutes. Nothing of Google's is
imported before a ``gs://`` path is used.
"""

from __future__ import annotations

import base64
import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from cauldron.core.errors import CauldronError, first_line
from cauldron.core.stores import gcs

# The store's limit of calls in one request is 100.
BATCH = 100
# Requests at a time, fewer than the client keeps connections. One after the other, the deletes of
# 300,000 markers would take longer than all else that a launcher does.
_DELETERS = 8
# Of a batch; a delete that the store refuses for now is sent again with the next attempt.
_ATTEMPTS = 6
# Of an object that arrives with another checksum than the store says.
_READS = 3
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_GONE = frozenset({200, 204, 404})


class Changed(Exception):  # noqa: N818 - a state, not a fault
    """The object has another generation than the caller read."""


def is_object(path: str) -> bool:
    """Whether a path is one that this module handles."""
    return path.partition("://")[0] in gcs.PROTOCOLS and "://" in path


def read(path: str) -> tuple[bytes, str]:
    """Content and generation, checked against the store's checksum.

    Raises:
        FileNotFoundError: there is no such object.
        CauldronError: what arrives is damaged, again and again.
    """
    from google.cloud.storage.exceptions import DataCorruption

    blob = _blob(path)
    with _explained(path):
        for attempt in range(_READS):
            try:
                data = bytes(blob.download_as_bytes(checksum="crc32c"))
            except DataCorruption:
                if attempt + 1 == _READS:
                    raise
            else:
                break
    return data, str(blob.generation)


class Checksum:
    """The CRC32C of bytes as they are written, in the form that the store gives."""

    def __init__(self) -> None:
        import google_crc32c

        self._crc = google_crc32c.Checksum()

    def update(self, data: bytes | memoryview) -> None:
        self._crc.update(bytes(data))

    def check(self, path: str) -> None:
        """Raises CauldronError, and deletes the object, if the store holds other bytes."""
        blob = _blob(path)
        with _explained(path):
            blob.reload()
            if blob.crc32c == base64.b64encode(self._crc.digest()).decode():
                return
            blob.delete(if_generation_match=blob.generation)
        raise CauldronError(
            f"{path}: the store received other bytes than were sent (CRC32C); run again"
        )


def generation(path: str) -> str | None:
    """None if there is no such object."""
    blob = _blob(path)
    try:
        with _explained(path):
            blob.reload()
    except FileNotFoundError:
        return None
    return str(blob.generation)


def write(path: str, data: bytes, replaces: str | None) -> str:
    """Write an object; returns its generation. The store checks the content's CRC32C.

    Args:
        replaces: the generation that was read; None: there must be no object.

    Raises:
        Changed: somebody else wrote in between; also after a request whose answer was lost.
    """
    blob = _blob(path)
    with _explained(path):
        blob.upload_from_string(
            data,
            content_type="application/octet-stream",
            if_generation_match=int(replaces or 0),
            checksum="crc32c",
        )
    return str(blob.generation)


def delete(path: str, known: str) -> None:
    """Delete one generation of an object, if it is there.

    Raises:
        Changed: there is another one.
    """
    with contextlib.suppress(FileNotFoundError), _explained(path):
        _blob(path).delete(if_generation_match=int(known))


def delete_all(path: str) -> None:
    """Delete an object and all below it as a folder, `BATCH` in one request."""
    bucket, name = _split(path)
    client = _client(bucket)
    with _explained(path):
        below = client.list_blobs(
            bucket, prefix=f"{name.rstrip('/')}/", fields="items(name),nextPageToken"
        )
        names = [name.rstrip("/"), *(blob.name for blob in below)]
    _delete_names(bucket, names, path)


def delete_objects(paths: Sequence[str]) -> None:
    """Delete objects of one bucket, those that are there, `BATCH` in one request."""
    _delete_names(_split(paths[0])[0], [_split(path)[1] for path in paths], paths[0])


def _delete_names(bucket: str, names: Sequence[str], path: str) -> None:
    """Args: path: for messages."""
    client = _client(bucket)
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]

    def delete(batch: Sequence[str]) -> None:
        with _explained(path):
            _delete_batch(client, bucket, batch, path)

    with ThreadPoolExecutor(_DELETERS) as pool:
        for _ in pool.map(delete, batches):
            pass


def names(path: str, folders: bool = False) -> Iterator[str]:
    """Names (not paths) of the objects directly below `path`, or of the folders there; none if
    there is no such folder. A request for each 1,000."""
    bucket, name = _split(path)
    prefix = f"{name.rstrip('/')}/" if name else ""
    fields = "prefixes,nextPageToken" if folders else "items(name),nextPageToken"
    with contextlib.suppress(FileNotFoundError), _explained(path):
        found = _client(bucket).list_blobs(bucket, prefix=prefix, delimiter="/", fields=fields)
        for page in found.pages:
            entries = page.prefixes if folders else (blob.name for blob in page)
            for entry in entries:
                if entry != prefix:  # an object that stands for the folder itself
                    yield entry[len(prefix) :].rstrip("/")


def _delete_batch(client: Any, bucket: str, names: Sequence[str], path: str) -> None:
    left = list(names)
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(2.0 ** (attempt - 1))
        statuses = _batch_statuses(client, bucket, left)
        refused = [(n, s) for n, s in zip(left, statuses, strict=True) if s not in _GONE]
        fatal = next((status for _, status in refused if status not in _TRANSIENT), None)
        if fatal is not None:
            raise CauldronError(f"{path}: the store refuses to delete ({fatal}); {gcs.RIGHTS}")
        left = [n for n, _ in refused]
        if not left:
            return
    raise CauldronError(f"{path}: the store does not delete ({statuses[0]}); run again")


def _batch_statuses(client: Any, bucket: str, names: Sequence[str]) -> list[int]:
    """The answer to each delete of one request."""
    from google.api_core.exceptions import GoogleAPICallError

    batch = client.batch(raise_exception=False)
    try:
        with batch:
            for name in names:
                client.bucket(bucket).blob(name).delete()
    except GoogleAPICallError as error:  # of the request itself, which is not repeated below
        if error.code not in _TRANSIENT:
            raise
        return [int(error.code)] * len(names)
    return [response.status_code for response in batch._responses]


def _split(path: str) -> tuple[str, str]:
    bucket, _, name = path.partition("://")[2].partition("/")
    return bucket, name


def _blob(path: str) -> Any:
    bucket, name = _split(path)
    return _client(bucket).bucket(bucket).blob(name)


def _client(bucket: str) -> Any:
    gcs.reach(bucket)
    return _client_of(os.environ.get("STORAGE_EMULATOR_HOST", ""), os.getpid())


@lru_cache(maxsize=4)
def _client_of(emulator: str, process: int) -> Any:
    """One for each process: connections do not survive a fork."""
    # Else it asks for the bucket's own metadata for each bucket, for traces that nobody reads here;
    # a service account that may only read and write objects is refused that.
    os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
    from google.cloud.storage import Client

    if gcs.is_anonymous():
        return Client.create_anonymous_client()
    # The project is named by no call that is used here; without one the client looks for it.
    return Client(project="unused")


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
    """Errors of the client in one line. Raises FileNotFoundError, Changed, CauldronError."""
    import requests.exceptions
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

    try:
        yield
    except exceptions.NotFound as error:
        raise FileNotFoundError(path) from error
    except exceptions.PreconditionFailed as error:
        raise Changed(path) from error
    except (exceptions.Forbidden, exceptions.Unauthorized, GoogleAuthError) as error:
        raise CauldronError(f"{path}: {first_line(error)}; {gcs.RIGHTS}") from error
    except DataCorruption as error:
        why = "what arrived has another checksum than the store says"
        raise CauldronError(f"{path}: {why}; run again") from error
    except (
        exceptions.GoogleAPIError,
        InvalidResponse,
        requests.exceptions.RequestException,
    ) as error:
        why = f"the store does not answer as it should ({first_line(error)})"
        raise CauldronError(f"{path}: {why}; run again") from error
