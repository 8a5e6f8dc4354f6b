"""Opening ``gs://``: credentials are looked for once, and what is missing is said in one line.

Without credentials gcsfs asks the metadata server of a Google machine twice, with retries, and then
every request fails six times with waits between (50 s measured without a network). So the machine
is asked once here, and a bucket is tried before it is used.

An emulator (``STORAGE_EMULATOR_HOST``) is used without credentials.
"""

from __future__ import annotations

import os
import socket
import urllib.request
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from cauldron.core.errors import CauldronError, first_line

PROTOCOLS = ("gs", "gcs")
STORE = "https://storage.googleapis.com"
# Seconds to connect to the store.
CONNECT = 10.0

RIGHTS = "check the credentials and what they may do in the bucket"
_LOG_IN = "run `gcloud auth application-default login` or set GOOGLE_APPLICATION_CREDENTIALS"


def options(protocol: str) -> dict[str, Any]:
    """Options of fsspec for a protocol of `PROTOCOLS`; what the user configured has precedence."""
    if _emulator():
        _use_plain_class()
    if _configured() is not None:
        return {}
    return {"token": "anon" if is_anonymous() else "google_default"}


def is_anonymous() -> bool:
    """Whether requests go without credentials."""
    configured = _configured()
    if configured is not None:
        return bool(configured == "anon")
    return bool(_emulator()) or not _has_credentials()


def _configured() -> Any:
    """The token of the user's configuration of fsspec, or None."""
    import fsspec.config

    tokens = (fsspec.config.conf.get(name, {}).get("token") for name in PROTOCOLS)
    return next((token for token in tokens if token), None)


def _emulator() -> str:
    return os.environ.get("STORAGE_EMULATOR_HOST", "")


@lru_cache(maxsize=1)
def _use_plain_class() -> None:
    """Make fsspec use gcsfs without its support of other kinds of buckets.

    That class asks for the kind of each bucket over gRPC with TLS, which no emulator speaks: a
    minute of failed handshakes.
    """
    import fsspec
    from gcsfs.core import GCSFileSystem

    for protocol in PROTOCOLS:
        fsspec.register_implementation(protocol, GCSFileSystem, clobber=True)


@lru_cache(maxsize=1)
def _has_credentials() -> bool:
    import google.auth
    import google.auth.exceptions

    try:
        google.auth.default()
    except google.auth.exceptions.GoogleAuthError:
        return False
    return True


@lru_cache(maxsize=64)
def check(fs: Any, bucket: str, anonymous: bool) -> None:
    """Try a bucket once: connect to the store, and without credentials list the bucket.

    Raises:
        CauldronError: the store cannot be reached, or does not let anybody read the bucket.
    """
    from gcsfs.retry import HttpError

    reach(bucket)
    if not anonymous:
        return
    try:
        # Not `ls`, which first asks for the kind of the bucket over gRPC, for up to a minute.
        fs.call("GET", "b/{}/o", bucket, maxResults=1)
    except FileNotFoundError:
        return  # the caller says what is missing
    except (HttpError, OSError) as error:
        refused = isinstance(error, OSError) or error.code in (401, 403)
        why = "no Google credentials were found, and not everybody may read it"
        cause = why if refused else f"the store refuses ({first_line(error)})"
        raise CauldronError(f"gs://{bucket}: {cause}; {_LOG_IN}") from error


def reach(bucket: str) -> None:
    """Connect to the store once, because its clients repeat a failed connection for a minute.

    Raises:
        CauldronError: it cannot be reached.
    """
    if not {"http", "https", "all"} & urllib.request.getproxies().keys():
        _connect(bucket, _emulator() or STORE)


@lru_cache(maxsize=64)
def _connect(bucket: str, store: str) -> None:
    url = urlsplit(store)
    address = (url.hostname or "", url.port or (443 if url.scheme == "https" else 80))
    try:
        socket.create_connection(address, timeout=CONNECT).close()
    except OSError as error:
        why = f"{address[0]} cannot be reached ({first_line(error)})"
        raise CauldronError(f"gs://{bucket}: {why}; check the network, then run again") from error
