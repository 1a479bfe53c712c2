"""Which IP addresses belong to the public internet.

The tables are written out here, because the definition of "global" in `ipaddress` has changed
between patch releases of Python, and what the server connects to must not depend on the release.
They follow the IANA registries of special-purpose addresses. Blocks that a registry marks as
"globally reachable" but that serve no images (relays, anycast for protocols) are refused too.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

IPAddress = IPv4Address | IPv6Address

FORBIDDEN_IPV4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this host, this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers (CGNAT)
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's host agent, reachable from each of its machines
        "169.254.0.0/16",  # link-local, metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and limited broadcast
    )
)

# Everything outside this block is loopback, link-local, unique local, multicast or unassigned.
GLOBAL_UNICAST_IPV6 = IPv6Network("2000::/3")

FORBIDDEN_IPV6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarking
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which wraps an IPv4 address
        "3fff::/20",  # documentation
    )
)

NAT64 = IPv6Network("64:ff9b::/96")

# Interface identifiers of ISATAP (RFC 5214): these 32 bits, then an IPv4 address.
_ISATAP_MARKS = frozenset({0x0000_5EFE, 0x0200_5EFE})


def is_public(address: IPAddress | str) -> bool:
    """Whether `address` is public, so that users may make the server connect to it.

    IPv6 forms that embed an IPv4 address are judged by the IPv4 address: IPv4-mapped addresses,
    NAT64 (which an IPv6-only network uses for every IPv4 site) and ISATAP. 6to4 and Teredo are
    always refused, because image hosts do not use them.

    Raises `ValueError` when a string is not an IP address.
    """
    if isinstance(address, str):
        address = ip_address(address)
    if isinstance(address, IPv4Address):
        return not any(address in block for block in FORBIDDEN_IPV4)
    carried = address.ipv4_mapped
    if carried is None and _without_zone(address) in NAT64:
        carried = _low_32_bits(address)
    if carried is not None:
        return is_public(carried)
    if address.scope_id is not None or address not in GLOBAL_UNICAST_IPV6:
        return False
    if any(address in block for block in FORBIDDEN_IPV6):
        return False
    if (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP_MARKS:
        return is_public(_low_32_bits(address))
    return True


def _low_32_bits(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFF_FFFF)


def _without_zone(address: IPv6Address) -> IPv6Address:
    return IPv6Address(int(address))
