"""Connections to public addresses, checked where they are made.

A name is resolved once: what the resolver lets through is what the connector connects to. The
socket is checked again when it is made, by the very address that it will be connected to, which
also holds for hosts that are written as an address. So an answer of DNS that changes between two
questions cannot lead inside.

Behind a proxy (``http_proxy``, ``https_proxy``, ``no_proxy``) names are resolved by the proxy.
Hosts that are written as addresses are checked here, and names that no public host can have are
refused. To which address another name leads only the proxy knows: it should refuse private ones.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from cauldron.transforms.fetching.addresses import is_inside_name, is_public, literal
from yarl import URL

from cauldron.core.errors import CauldronError
from cauldron.core.sections.fetching import FetchRules

# The addresses of a name. Raises OSError (`socket.gaierror`) if there are none.
Lookup = Callable[[str], Awaitable[list[str]]]

# Lookups block a thread each, also those that nobody waits for any more: a dead name keeps one for
# half a minute, three times as long as it is waited for. A live name must not wait for a thread.
_LOOKUPS_PER_REQUEST = 3
_MOST_LOOKUP_THREADS = 1024
_DNS_SECONDS = 300
_DNS_NAMES = 50_000


class AddressRefused(OSError):  # noqa: N818 - a decision, not a fault
    """The address is not public."""


class NameTimeout(OSError):  # noqa: N818 - an outcome, not a fault of ours
    """A name was not resolved in time."""


def parse(url: str) -> URL:
    """A published URL as it is sent: unchanged if it can be. Raises ValueError."""
    parsed = URL(url, encoded=url.isascii())
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"not an http or https address: {url[:200]!r}")
    return parsed


def plain_host(host: str) -> str:
    """A host as rules name it."""
    return host.lower().strip("[]").rstrip(".")


class _Resolver(AbstractResolver):
    """Names to public addresses, and to those that the rules allow."""

    def __init__(self, rules: FetchRules, mirrors: Mapping[str, int], lookup: Lookup) -> None:
        self._rules, self._mirrors, self._lookup = rules, mirrors, lookup
        # Addresses and ports that are not public, and still may be connected to.
        self.allowed: set[tuple[str, int]] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        name = plain_host(host)
        if name in self._mirrors:
            self.allowed.add(("127.0.0.1", self._mirrors[name]))
            return [_result(host, "127.0.0.1", self._mirrors[name])]
        try:
            async with asyncio.timeout(self._rules.timeouts.dns):
                found = await self._lookup(host)
        except TimeoutError:
            seconds = self._rules.timeouts.dns
            raise NameTimeout(f"{host} was not resolved in {seconds:g} s") from None
        if name in self._rules.allowed_hosts:
            self.allowed.update((address, port) for address in found)
            return [_result(host, address, port) for address in found]
        public = [address for address in found if _may_be_asked(address)]
        if not public:
            raise AddressRefused(f"{host} is at {', '.join(found[:3])}, not a public address")
        return [_result(host, address, port) for address in public]

    async def close(self) -> None:
        """Nothing is held."""

    def socket(self, info: Any) -> socket.socket:
        """The socket for an address that is about to be connected to. Raises AddressRefused."""
        family, kind, protocol, _, place = info
        if not _may_be_asked(place[0]) and (place[0], place[1]) not in self.allowed:
            raise AddressRefused(f"{place[0]} is not a public address")
        return socket.socket(family, kind, protocol)

    def allow(self, host: str, port: int) -> None:
        self.allowed.add((host, port))


def _may_be_asked(address: str) -> bool:
    known = literal(address)
    return known is not None and is_public(known)


def _result(name: str, address: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=name,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )


def _usable(proxies: Mapping[str, str]) -> Mapping[str, str]:
    """The proxies for http and https. Raises CauldronError if they speak something else."""
    for scheme in ("http", "https"):
        name = scheme if proxies.get(scheme) else "all"
        kind, mark, _ = proxies.get(name, "").partition("://")
        if mark and kind.lower() not in ("http", "https"):
            raise CauldronError(
                f"the environment variable {name}_proxy names a proxy of the kind {kind}://, and "
                "images can be fetched through http:// proxies only: set "
                f"{scheme}_proxy to one, or unset {name}_proxy"
            )
    return proxies


class Network:
    """The connections of one worker process: one pool to hosts, one to proxies.

    For one event loop. Close it at the end.

    Args:
        mirrors: ports of this machine, by the host that they stand for.
        lookup: for tests; by default the system's.
        trust: of certificates; by default the system's.
    """

    def __init__(
        self,
        rules: FetchRules,
        mirrors: Mapping[str, int] | None = None,
        lookup: Lookup | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._proxies = _usable(getproxies())
        self._rules, self._mirrors = rules, dict(mirrors or {})
        threads = min(_LOOKUPS_PER_REQUEST * rules.concurrency, _MOST_LOOKUP_THREADS)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="lookup")
        self._resolver = _Resolver(rules, self._mirrors, lookup or self._system)
        connector = aiohttp.TCPConnector(
            limit=0,  # requests in flight are bounded by their caller
            resolver=self._resolver,
            ttl_dns_cache=_DNS_SECONDS,
            dns_cache_max_size=_DNS_NAMES,
            socket_factory=self._resolver.socket,
            ssl=trust or True,
        )
        self._direct = self._session(connector)
        self._proxied = self._session(aiohttp.TCPConnector(limit=0, ssl=trust or True))

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,  # a small body may unpack to gigabytes; see `bodies`
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "User-Agent": self._rules.user_agent,
                "Accept": "image/*,*/*;q=0.8",
                "Accept-Encoding": "identity",
            },
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=self._rules.timeouts.connect,
                sock_read=self._rules.timeouts.stall,
            ),
        )

    def get(self, url: URL) -> Any:
        """A request, as an asynchronous context manager of its response. Follows nothing.

        Raises:
            AddressRefused: the host is written as an address that is not public, or a proxy is
            asked for a name that is given out inside networks only.
        """
        name = plain_host(url.host or "")
        if name in self._mirrors and url.scheme == "https":
            url = url.with_scheme("http")  # a folder has no certificate of its host
        proxy = None if name in self._mirrors else self._proxy_of(url)
        address = literal(name)
        is_allowed = name in self._rules.allowed_hosts
        if address is not None and not is_public(address):
            if not is_allowed:
                raise AddressRefused(f"{name} is not a public address")
            self._resolver.allow(str(address), url.port or 0)
        elif proxy is not None and address is None and is_inside_name(name) and not is_allowed:
            raise AddressRefused(f"{name} is a name inside the network of the proxy")
        if proxy is None:
            return self._direct.get(url, allow_redirects=False)
        return self._proxied.get(url, allow_redirects=False, proxy=proxy)

    def _proxy_of(self, url: URL) -> str | None:
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        if not proxy or proxy_bypass(f"{url.raw_host}:{url.port}"):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    async def _system(self, host: str) -> list[str]:
        def look() -> list[str]:
            infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            return list(dict.fromkeys(str(info[4][0]).partition("%")[0] for info in infos))

        return await asyncio.get_running_loop().run_in_executor(self._threads, look)

    async def close(self) -> None:
        await self._direct.close()
        await self._proxied.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
