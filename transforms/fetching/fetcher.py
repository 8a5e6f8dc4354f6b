"""One image by its URL: attempts, redirects, and the reason if it cannot be had.

What happens                                    then
----------------------------------------------  -------------------------------------------------
200 with an image                               its bytes
3xx with a Location                             asked there, with all checks, up to a limit
429, 5xx, no connection, a timeout before the   another attempt, after a wait that doubles, or as
body, a connection that ends early              `Retry-After` says; for a host, not for a URL
all else                                        a reason of `NOT_FETCHED`, at once
"""

from __future__ import annotations

import asyncio
import random
import ssl
from dataclasses import dataclass
from typing import Any

import aiohttp
from cauldron.transforms.fetching.bodies import BodyReader, Unfit
from cauldron.transforms.fetching.hosts import Host, Hosts
from cauldron.transforms.fetching.network import (
    AddressRefused,
    NameTimeout,
    Network,
    parse,
    plain_host,
)
from cauldron.transforms.fetching.robots import is_forbidden
from cauldron.transforms.models.endpoint import parse_retry_after
from cauldron.transforms.pictures.opening import ImageProblem, check_pixels
from yarl import URL

from cauldron.core.sections.fetching import FetchRules

_FIRST_WAIT = 0.5
_REDIRECTS = (301, 302, 303, 307, 308)
_STATUS = {
    **dict.fromkeys((404, 410), "http_not_found"),
    **dict.fromkeys((401, 402, 403, 407, 451), "http_forbidden"),
    429: "http_too_many_requests",
}


@dataclass(frozen=True, slots=True)
class Failed:
    """An image that could not be had.

    Attributes:
        reason: a code of `cauldron.core.reasons`.
        is_hosts: the host's fault, not the image's; others of the host may fail as well.
        is_passing: another attempt may succeed.
        after: seconds to wait before it, as the server asks.
    """

    reason: str
    message: str
    is_hosts: bool = False
    is_passing: bool = False
    after: float = 0.0


class Fetcher:
    """Fetches the images of one worker process. For one event loop."""

    def __init__(self, rules: FetchRules, network: Network) -> None:
        self.rules, self._network = rules, network
        self.hosts = Hosts(rules)
        self._bodies = BodyReader(rules)
        self._slots = asyncio.Semaphore(rules.concurrency)

    async def fetch(self, url: str) -> bytes | Failed:
        """The bytes of the image behind a URL, or why there are none."""
        try:
            first = parse(url)
        except ValueError as error:
            return Failed("bad_url", f"not a URL: {error}")
        host = self.hosts.of(plain_host(first.host or ""))
        if host.is_given_up:
            return Failed("host_given_up", f"{host.name} failed {host.failures} times")
        outcome = await self._attempts(first)
        host.note(isinstance(outcome, Failed) and outcome.is_hosts)
        return outcome

    async def _attempts(self, url: URL) -> bytes | Failed:
        attempt = 0
        while True:
            outcome = await self._follow(url)
            attempt += 1
            if not isinstance(outcome, Failed) or not outcome.is_passing:
                return outcome
            if attempt >= self.rules.attempts:
                return outcome
            backoff = _FIRST_WAIT * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.0)
            await asyncio.sleep(min(max(backoff, outcome.after), self.rules.longest_wait))

    async def _follow(self, url: URL) -> bytes | Failed:
        seen = {url}
        for _ in range(self.rules.redirects + 1):
            outcome = await self._ask(url)
            if not isinstance(outcome, URL):
                return outcome
            if outcome.scheme not in ("http", "https") or not outcome.host:
                return Failed("bad_redirect", f"a redirect to {str(outcome)[:200]!r}")
            if outcome in seen:
                return Failed("too_many_redirects", f"redirects in a circle, over {outcome.host}")
            seen.add(outcome)
            url = outcome
        return Failed("too_many_redirects", f"more than {self.rules.redirects} redirects")

    async def _ask(self, url: URL) -> bytes | URL | Failed:
        """One request. The address of a redirect is returned, not asked."""
        host = self.hosts.of(plain_host(url.host or ""))
        async with host.turn(), self._slots:
            try:
                return await self._request(url, host)
            except Unfit as problem:
                return Failed(problem.reason, str(problem), problem.reason == "body_timeout")
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                return explained(error, url)

    async def _request(self, url: URL, host: Host) -> bytes | URL | Failed:
        times = self.rules.timeouts
        # Connecting has limits of its own, and comes before the request.
        deadline = asyncio.timeout(times.dns + times.connect + times.response)
        try:
            async with deadline:
                response = await self._network.get(url).__aenter__()
        except TimeoutError as error:
            if deadline.expired() or isinstance(error, aiohttp.SocketTimeoutError):
                message = f"{host.name} did not answer in time"
                return Failed("response_timeout", message, is_hosts=True, is_passing=True)
            raise
        async with response:
            return await self._answer(response, host)

    async def _answer(self, response: aiohttp.ClientResponse, host: Host) -> bytes | URL | Failed:
        status = response.status
        if status in _REDIRECTS:
            place = response.headers.get("Location")
            if not place:
                return Failed("bad_redirect", f"{status} without a place")
            try:
                target = response.url.join(URL(place))
                _ = target.host  # raises if it is a name that IDNA cannot read
                return target
            except ValueError as error:
                return Failed("bad_redirect", f"a redirect to {place[:200]!r}: {error}")
        if status != 200:
            return self._refused(status, response, host)
        if self.rules.noai:
            marks = response.headers.getall("X-Robots-Tag", [])
            if is_forbidden(marks, self.rules.user_agent):
                return Failed("noai", f"X-Robots-Tag: {', '.join(marks)[:200]}")
        data = await self._bodies.read(response)
        try:
            check_pixels(data, self.rules.max_pixels)
        except ImageProblem as problem:
            return Failed(problem.reason, str(problem))
        return data

    def _refused(self, status: int, response: aiohttp.ClientResponse, host: Host) -> Failed:
        message = f"{host.name} answers {status} {response.reason or ''}".rstrip()
        if status != 429 and status < 500:
            kind = "http_client_error" if status >= 400 else "http_unexpected"
            return Failed(_STATUS.get(status, kind), message)
        after = parse_retry_after(response.headers.get("Retry-After")) or 0.0
        if after:
            host.rest(after)
        reason = _STATUS.get(status, "http_server_error")
        return Failed(reason, message, is_hosts=True, is_passing=True, after=after)


def explained(error: BaseException, url: URL) -> Failed:
    """The reason for an error of a request."""
    causes = list(_causes(error))
    # The innermost one says what happened; those around it, that there was no connection.
    words = next((str(item) for item in reversed(causes) if str(item)), type(error).__name__)
    text = words if words.startswith(str(url.host)) else f"{url.host}: {words}"
    for kinds, reason, is_hosts, is_passing in _ERRORS:
        if any(isinstance(item, kinds) for item in causes):
            return Failed(reason, text[:300], is_hosts, is_passing)
    return Failed("http_protocol_error", text[:300], True, True)


# The first that fits an error, or what it was caused by: reason, the host's fault, passing.
_ERRORS: tuple[tuple[Any, str, bool, bool], ...] = (
    (AddressRefused, "address_refused", False, False),
    (NameTimeout, "dns_failure", True, True),
    (aiohttp.ClientConnectorDNSError, "dns_failure", True, False),
    ((ssl.SSLError, ssl.CertificateError, aiohttp.ClientSSLError), "tls_failure", True, False),
    (aiohttp.ConnectionTimeoutError, "connect_timeout", True, True),
    (aiohttp.ClientConnectorError, "connect_failure", True, True),
    (aiohttp.ClientPayloadError, "incomplete_body", False, True),
    (aiohttp.SocketTimeoutError, "response_timeout", True, True),
    # Not what a server does wrong: the URL cannot be sent in a request.
    ((aiohttp.InvalidURL, ValueError), "bad_url", False, False),
)


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = getattr(error, "os_error", None) or error.__cause__
    return found
