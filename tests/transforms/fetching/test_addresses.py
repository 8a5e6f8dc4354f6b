"""Which addresses may be asked."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from cauldron.transforms.fetching.addresses import is_inside_name, is_public, literal


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8",
     "64:ff9b::808:808", "2002:808:808::1", "2606:2800:220:1::5efe:808:808"],
)  # fmt: skip
def test_public_addresses_may_be_asked(address):
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "0.0.0.0"),
        # Metadata servers: of AWS, Google and Azure; of ECS; of Alibaba; of AWS in IPv6; of Oracle;
        # of Azure's machines.
        *("169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254", "192.0.0.192"),
        *("168.63.129.16", "::ffff:168.63.129.16", "64:ff9b::a83f:8110"),
        *("224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1", "3fff::1"),
        # IPv4 within IPv6: mapped, compatible, NAT64, a NAT64 of one's own, 6to4, Teredo, ISATAP.
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1"),
        *("64:ff9b:1::808:808", "2002:7f00:1::1", "2001:0:7f00:1::"),
        *("::ffff:0:127.0.0.1", "2606:2800:220:1::5efe:7f00:1", "2606:2800:220:1:200:5efe:a00:1"),
    ],
)
def test_addresses_inside_may_not_be_asked(address):
    assert not is_public(ip_address(address))


def test_a_name_is_no_address():
    assert literal("example.com") is None
    assert literal("1e100.net") is None
    assert literal("1.2.3.4.5") is None
    assert str(literal("[fe80::1%eth0]")) == "fe80::1"


@pytest.mark.parametrize(
    "host", ["127.1", "0177.0.0.1", "0x7f.0.0.1", "0x7F000001", "2130706433", "017700000001"]
)
def test_an_address_is_known_however_it_is_written(host):
    assert str(literal(host)) == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "is_inside"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("a.localhost", True),
        ("metadata.google.internal", True),
        ("nas.local", True),
        ("router", True),
        ("example.com", False),
        ("internal.example.com", False),
        ("notlocal.example", False),
    ],
)
def test_names_of_private_networks_are_known(host, is_inside):
    assert is_inside_name(host) is is_inside
