"""Opening ``gs://``: credentials are looked for once, and what is missing is said in one line.

Without credentials gcsfs asks the metadata server of a Google machine twice, with retries, and then
every request fails six times with waits between (50 s measured without a network). So the machine
is asked once here, and a bucket is tried before it is used.
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

_LOG_IN = "run `gcloud auth application-default login` or set GOOGLE_APPLICATION_CREDENTIALS"


def options(protocol: str) -> dict[str, Any]:
    """Options of fsspec for a protocol of `PROTOCOLS`; what the user configured has precedence."""
    import fsspec.config

    configured = any(fsspec.config.conf.get(name, {}).get("token") for name in PROTOCOLS)
    return {} if configured else {"token": "google_default" if _has_credentials() else "anon"}


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

    _reach(bucket)
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


def _reach(bucket: str) -> None:
    """Connect to the store once, because gcsfs repeats a failed connection for 50 s."""
    if {"http", "https", "all"} & urllib.request.getproxies().keys():
        return
    url = urlsplit(os.environ.get("STORAGE_EMULATOR_HOST") or STORE)
    address = (url.hostname or "", url.port or (443 if url.scheme == "https" else 80))
    try:
        socket.create_connection(address, timeout=CONNECT).close()
    except OSError as error:
        why = f"{address[0]} cannot be reached ({first_line(error)})"
        raise CauldronError(f"gs://{bucket}: {why}; check the network, then run again") from error
