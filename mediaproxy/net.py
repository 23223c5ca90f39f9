"""Addresses as plain values."""

from enum import Enum
from typing import NamedTuple


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
