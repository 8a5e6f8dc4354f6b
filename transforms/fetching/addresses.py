"""Which addresses of the Internet may be asked: public ones only.

A URL of a dataset comes from strangers. It must not lead into the network of whoever builds: to
this machine, to its neighbours, or to the cloud's metadata server, which hands out credentials.
"""

from __future__ import annotations

import re
import socket
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NAT64 = IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = IPv6Network("::/96")
# The lower half of an ISATAP address, but for a bit that says whether the IPv4 address in it is
# unique.
_ISATAP, _ISATAP_BITS = 0x00005EFE, 0xFCFFFFFF

# Refused as well. `is_global` calls these public, some of them in some versions of Python.
_NOT_PUBLIC = (
    IPv4Network("168.63.129.16/32"),  # Azure gives each machine its settings and keys here
    IPv4Network("192.0.0.0/24"),  # for protocols; 192.0.0.192 is Oracle Cloud's metadata server
    IPv4Network("192.88.99.0/24"),  # once relays of 6to4
    IPv6Network("fec0::/10"),  # site-local, once what fc00::/7 is now
    IPv6Network("3fff::/20"),  # for documentation
)

Address = IPv4Address | IPv6Address

# Numbers that the C library takes for an IPv4 address: octal, hexadecimal, fewer than four.
_NUMBERS = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}", re.IGNORECASE)

# Names that are given out inside networks only (RFC 6761, 6762, 8375; ICANN for .internal).
_INSIDE = ("localhost", "local", "internal", "home.arpa")


@lru_cache(maxsize=4096)
def literal(host: str) -> Address | None:
    """The address that a host is written as, in any way that systems read; None if it is a name.

    ``0177.0.0.1``, ``0x7f.1``, ``127.1`` and ``2130706433`` are all 127.0.0.1.
    """
    plain = host.strip("[]").partition("%")[0]
    try:
        return ip_address(plain)
    except ValueError:
        pass
    if not _NUMBERS.fullmatch(plain):
        return None
    try:
        return IPv4Address(socket.inet_aton(plain))
    except OSError:
        return None


def is_inside_name(host: str) -> bool:
    """Whether no public host has such a name: one word, or below a domain of private networks."""
    name = host.lower().rstrip(".")
    return "." not in name or name.endswith(tuple("." + domain for domain in _INSIDE))


def is_public(address: Address) -> bool:
    """Whether an address may be asked, whichever way it is written.

    Refused are private, loopback, link-local, shared, multicast and reserved addresses. That
    includes the metadata servers of clouds: 169.254.169.254 is link-local, 100.100.100.200 is
    shared, fd00:ec2::254 is private, and those at other addresses are listed here. An IPv6 address
    with an IPv4 address in it is as public as that one.
    """
    return all(
        part.is_global
        and not part.is_multicast
        and not part.is_reserved
        and not any(part in network for network in _NOT_PUBLIC)
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
    if int(address) >> 32 & _ISATAP_BITS == _ISATAP:
        return [address, IPv4Address(int(address) & 0xFFFFFFFF)]
    return [address]
