"""Which addresses a stranger may make us connect to."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchapp.infra.fetch.networks import is_public

FORBIDDEN = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
)

PUBLIC_IPV4 = ("1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "100.128.0.0", "172.32.0.1")
PUBLIC_IPV6 = ("2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "2001:4860:4860::8888")


def addresses_in(block: str) -> st.SearchStrategy[IPv4Address | IPv6Address]:
    network = ip_network(block)
    first, last = int(network.network_address), int(network.broadcast_address)
    return st.integers(first, last).map(type(network.network_address))


forbidden = st.sampled_from(FORBIDDEN).flatmap(addresses_in)
forbidden_ipv4 = st.sampled_from([block for block in FORBIDDEN if "." in block]).flatmap(
    addresses_in
)


@given(forbidden)
def test_special_addresses_are_refused(address: IPv4Address | IPv6Address) -> None:
    assert not is_public(address)
    assert not is_public(str(address))


@pytest.mark.parametrize("block", FORBIDDEN)
def test_both_ends_of_each_special_block_are_refused(block: str) -> None:
    network = ip_network(block)
    assert not is_public(network.network_address)
    assert not is_public(network.broadcast_address)


@given(forbidden_ipv4)
def test_forbidden_ipv4_stays_forbidden_in_every_ipv6_wrapping(address: IPv4Address) -> None:
    inner = int(address)
    wrapped = {
        "mapped": (0xFFFF << 32) | inner,
        "compatible": inner,
        "NAT64": (0x0064_FF9B << 96) | inner,
        "6to4": (0x2002 << 112) | (inner << 80) | 1,
        "Teredo, server": (0x2001_0000 << 96) | (inner << 64),
        "Teredo, client": (0x2001_0000 << 96) | (0x0808_0808 << 64) | (inner ^ 0xFFFF_FFFF),
        "ISATAP": (0x2A00_1450_4001_081B << 64) | (0x5EFE << 32) | inner,
        "ISATAP, universal": (0x2A00_1450_4001_081B << 64) | (0x0200_5EFE << 32) | inner,
    }
    let_through = {form for form, value in wrapped.items() if is_public(IPv6Address(value))}
    assert not let_through


@pytest.mark.parametrize("address", [*PUBLIC_IPV4, *PUBLIC_IPV6])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", ["::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_public_ipv4_carried_by_ipv6_is_allowed(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"],
)
def test_metadata_services_of_clouds_are_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["fe80::1%eth0", "2606:4700:4700::1111%eth0"])
def test_zoned_addresses_are_refused(address: str) -> None:
    assert not is_public(address)
