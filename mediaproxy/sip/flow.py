"""Between which two addresses, and over what, a message travels."""

from typing import NamedTuple

from mediaproxy.net import Endpoint


class Flow(NamedTuple):
    """`transport` is "udp", "tcp" or "tls"; `connection` names one connection of ours, 0 any.

    A flow with connection 0 asks for an existing connection to `remote`, or else a new one. `names` are
    those in the certificate that a TLS peer has proven to hold (RFC 5922 7.1), lower case; to a new
    connection, those of which it must hold one.
    """

    transport: str
    local: Endpoint
    remote: Endpoint
    connection: int = 0
    names: tuple[str, ...] = ()

    @property
    def reliable(self) -> bool:
        return self.transport != "udp"
