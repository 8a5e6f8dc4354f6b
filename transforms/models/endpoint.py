"""The endpoint that answers, and how it is called."""

from __future__ import annotations

import email.utils
import ipaddress
import os
import time
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.secrets import read_secret
from cauldron.core.sections.models import ModelRules

_SECRET = "projects/"


@dataclass(frozen=True)
class Endpoint:
    """A server with the OpenAI protocol. Holds no key, only where to find it.

    Attributes:
        url: of the server or its API, e.g. ``http://localhost:8000`` or
            ``https://api.example.com/v1``.
        key_from: the environment variable that holds the key, or a version of a secret in Google
            Secret Manager (``projects/P/secrets/S/versions/latest``), which remote workers can
            read. None: no key is sent.
        concurrency: requests in flight, of each worker process.
        timeout: seconds that one request may take.
        attempts: how often a question is asked at most, if the endpoint fails.
        longest_wait: seconds between two attempts at most, whatever Retry-After says.
    """

    url: str
    model: ModelRules
    key_from: str | None = None
    concurrency: int = 32
    timeout: float = 120.0
    attempts: int = 6
    longest_wait: float = 60.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"{parts.hostname or self.url}: give http://HOST:PORT or https://HOST/v1"
            )
        if parts.username is not None or parts.password is not None:
            raise UsageError(
                f"{parts.hostname}: the address must not hold a password; see --key-from"
            )
        if min(self.concurrency, self.attempts) < 1 or self.timeout <= 0:
            raise UsageError("concurrency, attempts and timeout of an endpoint are at least 1")

    @property
    def chat_url(self) -> str:
        return chat_url(self.url)

    def read_key(self) -> str | None:
        """The key, read where the call is made.

        Raises:
            CauldronError: it is not where `key_from` says.
        """
        if self.key_from is None:
            return None
        if self.key_from.startswith(_SECRET):
            return read_secret(self.key_from)
        key = os.environ.get(self.key_from, "").strip()
        if not key:
            raise CauldronError(
                f"no key for {self.url}: set the environment variable {self.key_from}"
            )
        return key


def chat_url(url: str) -> str:
    """Where questions go: ``/v1`` is added to the address of a server, not to that of an API."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path = (path or "/v1") + "/chat/completions"
    return parts._replace(path=path).geturl()  # some have a query: ?api-version=…


def proxy_for(url: str) -> str | None:
    """The proxy that HTTP_PROXY or HTTPS_PROXY names for an address, unless NO_PROXY excepts it.

    Addresses of this machine need no NO_PROXY: a proxy elsewhere could not reach them.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost" or _is_loopback(host) or proxy_bypass(parts.netloc):
        return None
    return getproxies().get(parts.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


def parse_retry_after(value: str | None) -> float:
    """Seconds to wait: the header gives them, or a date. 0 if it is absent or is neither."""
    if not value:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):  # the second for years and zones beyond any number
        return 0.0
