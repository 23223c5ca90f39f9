"""Between which two addresses, and over what, a message travels."""

from typing import NamedTuple

from mediaproxy.net import Endpoint


class Flow(NamedTuple):
    """`transport` is "udp" or "tcp"; `connection` names one TCP connection of ours, 0 any.

    A flow with connection 0 asks for an existing connection to `remote`, or else a new one.
    """

    transport: str
    local: Endpoint
    remote: Endpoint
    connection: int = 0

    @property
    def reliable(self) -> bool:
        return self.transport != "udp"
