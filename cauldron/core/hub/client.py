"""HTTP to the Hugging Face hub: bounded in time and bytes, patient, and careful with the token.

huggingface_hub lets a program choose the client of all its requests; `Client` is that client. It
adds what the library leaves open (huggingface_hub 2.4):

- Some calls have no time limit. Each read has one now (``HF_HUB_DOWNLOAD_TIMEOUT``, 10 s), and a
  body that arrives at less than `SLOWEST` is given up.
- The library waits as long as ``Retry-After`` asks. Here waiting ends after
  ``CAULDRON_HUB_PATIENCE`` seconds (120), and each wait is logged before it begins.
- A page may link to the next one on any host, and the library sends the token along. Here the token
  goes to the hub's own address only.
- The library follows pages for ever. Within one call each page is read once.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.utils import parse_ratelimit_headers  # type: ignore[attr-defined]
from huggingface_hub.utils._http import hf_request_event_hook

from cauldron.core.errors import UsageError, first_line
from cauldron.core.hub.errors import RUN_AGAIN, BadAnswer, Stumble

DEFAULT_ENDPOINT = "https://huggingface.co"
PATIENCE = "CAULDRON_HUB_PATIENCE"
DEFAULT_PATIENCE = 120.0
# Without a network every attempt fails the same way, so a hub that was never reached is given up
# after this many seconds.
FIRST_CONTACT = 10.0
# So long a hub that the library was told to give up is not asked again.
CLOSED = 60.0
# Bytes per second. A slower body counts as one that never ends.
SLOWEST = 1000.0
# An answer of the hub's API; a page of a thousand files takes about 0.3 MB.
LARGEST_ANSWER = 64 << 20
# A thousand files each.
MOST_PAGES = 2000

_TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})
_TRANSIENT = (
    httpx2.TimeoutException,
    httpx2.NetworkError,
    httpx2.RemoteProtocolError,
    httpx2.ProxyError,
)
CIRCLE = "redirects in a circle"


def endpoint() -> str:
    """The hub's address: `HF_ENDPOINT`, or the public one."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def patience() -> float:
    """Seconds that a call may spend on failures and waits. Raises UsageError."""
    text = os.environ.get(PATIENCE) or str(DEFAULT_PATIENCE)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"{PATIENCE}={text}: give a number of seconds, such as 600")
    return seconds


@dataclass
class Call:
    """A call under way: what was asked so far, and until when more may be asked."""

    deadline: float
    pages: set[str] = field(default_factory=set)
    url: str | None = None


@dataclass
class Health:
    """What this process knows of the hub.

    Attributes:
        reached: whether it has ever answered.
        failing_since: the first failure since the last success, by `time.monotonic`. With it all
            repositories together get the patience of one.
        closed_until: until then only `patiently` asks again.
    """

    reached: bool = False
    failing_since: float | None = None
    closed_until: float = 0.0


CALL: ContextVar[Call | None] = ContextVar("CALL", default=None)
HEALTH = Health()


def given_up(error: Stumble) -> Stumble:
    if error.wait is None:
        return error
    why = f"{error.why} and asks to wait {error.wait:,.0f} s"
    remedy = f"run again then, or set {PATIENCE} to more seconds; what is done is kept"
    return Stumble(error.url, why, remedy, error.status, error.wait)


class Client(httpx2.Client):
    """The client of every request to the hub."""

    def __init__(self) -> None:
        super().__init__(
            event_hooks={
                "request": [hf_request_event_hook, _before_request],
                "response": [_check_redirect, _bound_body],
            },
            follow_redirects=True,
        )

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """As in httpx2. Raises BadAnswer; within `patiently` also Stumble."""
        call = CALL.get()
        if call is not None:
            _count_page(call, request)
        elif time.monotonic() < HEALTH.closed_until:
            raise _offline(request, "does not answer")
        try:
            with _explained(request, call):
                response = super().send(request, **options)
        except _TRANSIENT as error:  # outside `patiently` only; the library asks again
            if not _is_closed():
                raise
            raise _offline(request, f"does not answer ({_cause(error)})") from error
        HEALTH.reached = True
        if call is None and response.status_code not in _TRANSIENT_STATUS:
            HEALTH.failing_since = None
        try:
            _check_status(response, call)
        except Stumble:
            response.close()
            raise
        return response


def _is_closed() -> bool:
    """Counts a failure outside `patiently`. Whether the hub has failed for too long."""
    now, limit = time.monotonic(), patience()
    if HEALTH.failing_since is None or now - HEALTH.failing_since > 2 * limit:
        HEALTH.failing_since = now
    # The library doubles its waits, so the next failure comes after twice the time.
    if 2 * (now - HEALTH.failing_since) < (limit if HEALTH.reached else FIRST_CONTACT):
        return False
    HEALTH.closed_until = now + CLOSED
    return True


def _offline(request: httpx2.Request, why: str) -> OfflineModeIsEnabled:
    """The error on which the library ends its attempts and looks into its cache."""
    remedy = "check the network and HF_ENDPOINT, then run again"
    return OfflineModeIsEnabled(f"{shown_url(request.url)} {why}; {remedy}")


def _count_page(call: Call, request: httpx2.Request) -> None:
    """Raises BadAnswer for a page that was read before, and for pages without end."""
    call.url = shown_url(request.url)
    page = f"{request.method} {request.url}"
    if request.method == "GET" and page in call.pages:
        raise BadAnswer(call.url, "links from one page of a list back to an earlier one")
    call.pages.add(page)
    if len(call.pages) > MOST_PAGES or (len(call.pages) > 1 and time.monotonic() > call.deadline):
        why = f"sends a list without end ({len(call.pages) - 1} pages so far)"
        raise BadAnswer(call.url, why, f"check HF_ENDPOINT, or set {PATIENCE} to more seconds")


@contextlib.contextmanager
def _explained(request: httpx2.Request, call: Call | None) -> Iterator[None]:
    """Turns errors of httpx2 into `HubError`; outside `patiently` only those that stay."""
    url = shown_url(request.url)
    try:
        yield
    except httpx2.TooManyRedirects as error:
        raise BadAnswer(url, CIRCLE) from error
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise BadAnswer(
            url, f"leads to an address of another kind ({first_line(error)})"
        ) from error
    except httpx2.DecodingError as error:
        raise BadAnswer(url, f"sends a damaged body ({first_line(error)})") from error
    except _TRANSIENT as error:
        if call is None:
            raise
        raise Stumble(url, f"does not answer ({_cause(error)})") from error


def _before_request(request: httpx2.Request) -> None:
    """Before every request, redirected ones too: token and time limits."""
    if "authorization" in request.headers and not _is_hub(request.url):
        del request.headers["authorization"]
    seconds = float(constants.HF_HUB_DOWNLOAD_TIMEOUT)
    set_before = request.extensions.get("timeout") or {}
    limits = {
        name: set_before.get(name) or seconds for name in ("connect", "read", "write", "pool")
    }
    request.extensions = {**request.extensions, "timeout": limits}


def _is_hub(url: httpx2.URL) -> bool:
    known = {endpoint(), constants.ENDPOINT}
    return any(_origin(httpx2.URL(address)) == _origin(url) for address in known)


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _check_redirect(response: httpx2.Response) -> None:
    """Raises BadAnswer for a redirect to anything but http and https."""
    if not response.has_redirect_location:
        return
    target = response.headers["location"]
    try:
        kind = response.request.url.join(target).scheme
    except httpx2.InvalidURL:
        kind = ""
    if kind not in ("http", "https"):
        where = repr(target.partition("?")[0][:100])
        raise BadAnswer(shown_url(response.request.url), f"redirects to {where}")


def _bound_body(response: httpx2.Response) -> None:
    assert isinstance(response.stream, httpx2.SyncByteStream)
    response.stream = _Body(response.stream, response.request)


class _Body(httpx2.SyncByteStream):
    """A body that ends: neither too slow nor longer than what was asked for."""

    def __init__(self, stream: httpx2.SyncByteStream, request: httpx2.Request) -> None:
        self._stream = stream
        self._request = request
        self._call = CALL.get()

    def __iter__(self) -> Iterator[bytes]:
        request = self._request
        most = _most_bytes(request) if self._call is not None else math.inf
        url, began, received = shown_url(request.url), time.monotonic(), 0
        with _explained(request, self._call):
            for chunk in self._stream:
                received += len(chunk)
                allowed = request.extensions["timeout"]["read"] + received / SLOWEST
                if time.monotonic() - began > allowed:
                    raise Stumble(url, f"sends less than {SLOWEST:.0f} bytes a second")
                if received > most:
                    raise Stumble(url, f"sends more than the {most:,.0f} bytes asked for")
                yield chunk

    def close(self) -> None:
        self._stream.close()


def _most_bytes(request: httpx2.Request) -> float:
    """The length of the range that is asked for; any size for a whole file; else the API's."""
    first, _, last = request.headers.get("range", "").removeprefix("bytes=").partition("-")
    if first.isdigit() and last.isdigit():
        return int(last) - int(first) + 1
    return LARGEST_ANSWER if request.url.path.startswith("/api/") else math.inf


def _check_status(response: httpx2.Response, call: Call | None) -> None:
    """Raises Stumble for a failure that may pass, within `patiently`; outside it, where the library
    would wait longer than allowed."""
    if response.status_code not in _TRANSIENT_STATUS:
        return
    wait, quota = _asked_wait(response)
    if call is not None or (wait is not None and wait > patience()):
        url, why = shown_url(response.request.url), f"answers {response.status_code}"
        error = Stumble(url, why, RUN_AGAIN, response.status_code, wait, quota)
        raise error if call is not None else given_up(error)


def _asked_wait(response: httpx2.Response) -> tuple[float | None, bool]:
    """Seconds that the hub asks to wait, and whether because of its quota."""
    limit = parse_ratelimit_headers(response.headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds), True
    text = response.headers.get("retry-after", "").strip()
    # float() refuses very long numbers.
    return (float(text[:12]) if text.isascii() and text.isdigit() else None), False


def shown_url(url: httpx2.URL) -> str:
    """An address without what may be secret: user and query."""
    return str(url.copy_with(query=None, fragment=None, userinfo=b""))


def _cause(error: Exception) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return type(error).__name__
    return f"{type(error).__name__}: {first_line(error)}" if str(error) else type(error).__name__
