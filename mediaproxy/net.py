"""Addresses as plain values."""

from enum import Enum
from ipaddress import ip_network
from typing import NamedTuple

IPV6_PREFIX = 64  # what one customer has of addresses


class Family(Enum):
    """The address family of a socket, spelt as in an SDP `c=` line (RFC 4566 8.2.6)."""

    IPV4 = "IP4"
    IPV6 = "IP6"


class Endpoint(NamedTuple):
    """A transport address. `host` is a numeric address without brackets or scope."""

    host: str
    port: int

    @property
    def family(self) -> Family:
        return Family.IPV6 if ":" in self.host else Family.IPV4

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def place_of(host: str) -> str:
    """The source that an address stands for: itself, or its IPv6 prefix."""
    return str(ip_network((host.partition("%")[0], IPV6_PREFIX), strict=False)) if ":" in host else host
