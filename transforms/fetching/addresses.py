"""Which addresses of the Internet may be asked: public ones only.

A URL of a dataset comes from strangers. It must not lead into the network of whoever builds: to
this machine, to its neighbours, or to the cloud's metadata server, which hands out credentials.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = IPv6Network("::/96")

Address = IPv4Address | IPv6Address


@lru_cache(maxsize=4096)
def literal(host: str) -> Address | None:
    """The address that a host is written as; None if it is a name."""
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether an address may be asked, whichever way it is written.

    Refused are private, loopback, link-local, shared, multicast and reserved addresses. That
    includes every known metadata server: 169.254.169.254 is link-local, 100.100.100.200 is shared,
    fd00:ec2::254 is private. An IPv6 address with an IPv4 address in it is as public as that one.
    """
    return all(
        part.is_global and not part.is_multicast and not part.is_reserved
        for part in _parts(address)
    )


def _parts(address: Address) -> list[Address]:
    """The address, or what it stands for."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _NAT64 or address in _COMPATIBLE:
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    if address in _NAT64_LOCAL:
        return [IPv6Address("::1")]  # always inside somebody's network
    if address.sixtofour is not None:
        return [address.sixtofour]
    if address.teredo is not None:
        return list(address.teredo)
    return [address]
