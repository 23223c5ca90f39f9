"""Whom a leg hears and where it sends: the latch rule (RFC 4961), then a lock.

By its SDP a party says where it *hears*; where it sends from is learnt from its first valid packet. A
new description is learnt anew. For a while the address it left is not taken for the new one: its last
packets are still on the way, or, after a transfer, its owner has not noticed yet.
"""

from ipaddress import ip_address
from typing import Final

from mediaproxy.calls.plane import Connect, Latch, Remote
from mediaproxy.clock import NS_PER_S
from mediaproxy.media.ports import Source
from mediaproxy.net import Endpoint, Family

_LEFT_NS: Final = 2 * NS_PER_S


class Latching:
    """`source` and `rtcp_source` are locked once they are not None."""

    __slots__ = (
        "_family",
        "_latch",
        "_left",
        "_left_until_ns",
        "_signalling_host",
        "_stated",
        "_stated_rtcp",
        "remote",
        "rtcp_source",
        "source",
    )

    def __init__(self, family: Family) -> None:
        self._family = family
        self._latch = Latch.NEVER
        self._signalling_host: str | None = None
        self._stated: Source | None = None
        self._stated_rtcp: Source | None = None
        self._left: Source | None = None
        self._left_until_ns = 0
        self.remote: Remote | None = None
        self.source: Source | None = None
        self.rtcp_source: Source | None = None

    @property
    def destination(self) -> Source | None:
        """Where this party is sent RTP; None: nowhere yet, or nowhere that can be sent to."""
        return self.source or self._stated

    @property
    def rtcp_destination(self) -> Source | None:
        return self.rtcp_source or self._stated_rtcp

    def connect(self, operation: Connect, now_ns: int) -> None:
        self._latch = operation.latch
        self._signalling_host = _numeric(operation.signalling_host)
        before, self.remote = self.remote, operation.remote
        if before is None or before.rtp != operation.remote.rtp:
            self._leave(now_ns)
            self._stated = self._address(operation.remote.rtp)
        if before is None or before.rtcp != operation.remote.rtcp:
            self.rtcp_source, self._stated_rtcp = None, self._address(operation.remote.rtcp)

    def may_be(self, source: Source, now_ns: int) -> bool:
        """Whether RTP from `source` is this party's."""
        if self.source is not None:
            return source == self.source
        if self.remote is None:
            return False
        if source == self._stated:
            return True
        if source == self._left and now_ns < self._left_until_ns:
            return False
        match self._latch:
            case Latch.ALWAYS:
                return True
            case Latch.AUTO:
                return source[0] in self._hosts(self.remote.rtp)
            case Latch.NEVER:
                return False

    def learn_rtcp(self, source: Source) -> bool:
        """A valid RTCP packet came from `source` to the RTCP port: lock, or say whether it is the locked
        one. RTCP alone never locks RTP."""
        if self.rtcp_source is None and self._may_be_rtcp(source):
            self.rtcp_source = source
        return source == self.rtcp_source

    def _leave(self, now_ns: int) -> None:
        if self.source is not None:
            self._left, self._left_until_ns = self.source, now_ns + _LEFT_NS
        self.source = None

    def _may_be_rtcp(self, source: Source) -> bool:
        if self.remote is None:
            return False
        if self._latch is Latch.NEVER:
            return source == self._stated_rtcp
        if self.source is not None and source[0] == self.source[0]:
            return True
        return source[0] in self._hosts(self.remote.rtcp)

    def _hosts(self, endpoint: Endpoint) -> tuple[str | None, str | None]:
        return _numeric(endpoint.host), self._signalling_host if self._latch is Latch.AUTO else None

    def _address(self, endpoint: Endpoint) -> Source | None:
        """None when nothing can be sent there: port 0, no number, the other address family."""
        host = _numeric(endpoint.host)
        if host is None or endpoint.port == 0 or ip_address(host).is_unspecified:
            return None
        if Endpoint(host, endpoint.port).family is not self._family:
            return None
        return (host, endpoint.port, 0, 0) if self._family is Family.IPV6 else (host, endpoint.port)


def _numeric(host: str) -> str | None:
    """An address as the socket module spells it, so that it compares. A name is none: to resolve it
    would stop the loop."""
    try:
        return str(ip_address(host))
    except ValueError:
        return None
