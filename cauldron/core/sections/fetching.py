"""The recipe's section `fetch`: how images that are known by their URL are fetched."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from cauldron.core.sections.rules import Strict

_HOST = re.compile(r"[0-9a-z_.:-]{1,253}")
_MOST_WAIT = 3600


def _host(name: str) -> str:
    """A host as it is compared: in lower case, IPv6 without brackets, never with a port."""
    plain = name.lower().strip("[]").rstrip(".")
    if not _HOST.fullmatch(plain) or plain.count(":") == 1:
        raise ValueError(f"{name!r} is not a host's name or address, which has no scheme or port")
    return plain


def _header(text: str) -> str:
    if not text.strip() or not text.isascii() or not text.isprintable():
        raise ValueError("is sent as a header: printable ASCII, and not empty")
    return text


HostName = Annotated[str, AfterValidator(_host)]
Seconds = Annotated[float, Field(gt=0, le=_MOST_WAIT)]


class FetchTimeouts(Strict):
    """Seconds that each phase of a request may take.

    Attributes:
        dns: to resolve a name.
        connect: to connect, with the TLS handshake.
        response: from the request to the headers of the answer.
        stall: between two parts of the body.
        body: for the whole body. A server that sends a byte a second is never stalled.
    """

    dns: Seconds = 10.0
    connect: Seconds = 10.0
    response: Seconds = 20.0
    stall: Seconds = 10.0
    body: Seconds = 60.0


class FetchRules(Strict):
    """How images are fetched from their URLs. A changed rule applies to images that were not asked
    for yet; `cauldron build --refetch` asks for others again.

    Attributes:
        timeouts: of each phase of a request.
        concurrency: requests in flight of a worker process.
        per_host: requests in flight to one host.
        delay: seconds from the start of a request to a host to the next one's.
        attempts: how often an image is asked for when a server is busy, fails or times out.
        longest_wait: seconds to wait for a host at most, whatever its `Retry-After` says.
        redirects: how many are followed.
        max_bytes: larger images are given up while they are read.
        max_pixels: images whose header announces more are not stored.
        give_up_after: a host is asked no more once so many of its answers were failures of the
            host (not "404"), and they are more than half of all.
        user_agent: what requests call themselves.
        noai: do not take images that a server marks with `X-Robots-Tag: noai` or `noimageai`.
        allowed_hosts: hosts that may be at private addresses: internal servers of images.
        mirrors: folders that hold the images of a host, by host: relative to the root, or an
            address. The build serves them itself, from an address of this machine.
        max_failed: the build stops if a larger part of a source's images cannot be fetched.
    """

    timeouts: FetchTimeouts = FetchTimeouts()
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 256
    per_host: Annotated[int, Field(ge=1)] = 4
    delay: Annotated[float, Field(ge=0, le=_MOST_WAIT)] = 0.0
    attempts: Annotated[int, Field(ge=1, le=20)] = 3
    longest_wait: Annotated[float, Field(ge=0, le=_MOST_WAIT)] = 60.0
    redirects: Annotated[int, Field(ge=0, le=50)] = 5
    max_bytes: Annotated[int, Field(gt=0, le=1 << 30)] = 32 * 1024 * 1024
    max_pixels: Annotated[int, Field(gt=0)] = 178_956_970
    give_up_after: Annotated[int, Field(ge=1)] = 20
    user_agent: Annotated[str, AfterValidator(_header)] = "cauldron-vlm (image fetcher)"
    noai: bool = True
    allowed_hosts: tuple[HostName, ...] = ()
    mirrors: dict[HostName, Annotated[str, Field(min_length=1)]] = Field(default_factory=dict)
    max_failed: Annotated[float, Field(ge=0, le=1)] = 0.5
