"""Whether an address is of the Internet, or one of ours that a webhook must not reach (SSRF)."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address is its end
_UNICAST: Final = IPv6Network("2000::/3")  # RFC 4291 2.4, as far as it was given away


def is_public(text: str) -> bool:
    """Of an address as the kernel spells it. An IPv6 address that leads to an IPv4 one is judged by that."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv4Address):
        return _is_global(address)
    inner = address.ipv4_mapped
    if address in _NAT64:
        inner = IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is not None:
        return _is_global(inner)
    tunnelled = address.sixtofour or (address.teredo[1] if address.teredo else None)
    if tunnelled is not None and not _is_global(tunnelled):
        return False
    return address in _UNICAST and _is_global(address)


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not address.is_multicast
