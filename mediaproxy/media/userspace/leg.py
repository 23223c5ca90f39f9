"""One leg of a call on the plane: its sockets, whom it hears, where it sends, what it counts.

Everything that the hot path asks is an attribute here, kept ready by whoever changes the state.
"""

from collections.abc import Mapping
from enum import IntEnum
from ipaddress import ip_address
from typing import Final

from mediaproxy.calls.plane import Codec, Connect, Describe, Latch, LegCounters, LegId, Remote, Tap
from mediaproxy.ids import CallId
from mediaproxy.media.ports import PortPair
from mediaproxy.media.userspace.tone import Tone
from mediaproxy.net import Endpoint, Family
from mediaproxy.rtp.digits import DigitFilter
from mediaproxy.rtp.packet import MARKER, RTCP_TYPES
from mediaproxy.rtp.sequence import Renumbering

Source = tuple[str, int] | tuple[str, int, int, int]
"""An address as the socket module spells it: with flow and scope for IPv6."""

Fields = tuple[int, int, int, int, int]
"""An RTP header as `packet.HEADER` unpacks it."""


class Action(IntEnum):
    """What an RTP packet's second byte (marker and payload type) asks for."""

    RELAY = 0
    TAP_HEADER = 1  # also of what is no audio: its sequence numbers are not lost ones
    TAP_PAYLOAD = 2
    DETOUR = 3  # digits that may be ours, a tone to be mixed in
    RTCP = 4


_PLAIN_ACTIONS: Final = bytes(Action.RTCP if second in RTCP_TYPES else Action.RELAY for second in range(256))


class Leg:
    """Mutable, owned by the plane. `other` is set once both legs stand."""

    __slots__ = (
        "actions",
        "audio",
        "call",
        "destination",
        "digits",
        "family",
        "filter",
        "generation",
        "heard",
        "id",
        "injected",
        "last",
        "last_ns",
        "latch",
        "malformed",
        "other",
        "oversize",
        "packets",
        "pair",
        "receive",
        "relayed",
        "remote",
        "renumbering",
        "rtcp",
        "rtcp_destination",
        "rtcp_source",
        "send",
        "send_failed",
        "signalling_host",
        "source",
        "tap",
        "target",
        "tone",
        "withheld",
        "wrong_source",
    )

    other: "Leg"

    def __init__(self, call: CallId, leg: LegId, generation: int, family: Family, pair: PortPair) -> None:
        self.call = call
        self.id = leg
        self.generation = generation
        self.family = family
        self.pair = pair
        self.receive = pair.rtp.recvfrom_into
        self.send = pair.rtp.sendto  # of the other leg's socket, once coupled
        self.remote: Remote | None = None
        self.latch = Latch.NEVER
        self.signalling_host: str | None = None
        self.source: Source | None = None  # locked
        self.rtcp_source: Source | None = None
        self.destination: Source | None = None  # where this leg's party is sent RTP
        self.rtcp_destination: Source | None = None
        self.target: Source | None = None  # the other leg's destination
        self.actions = _PLAIN_ACTIONS
        self.audio: Mapping[int, Codec] = {}
        self.digits: frozenset[int] = frozenset()
        self.heard = False
        self.tap = Tap.OFF
        self.filter: DigitFilter | None = None
        self.renumbering: Renumbering | None = None
        self.tone: Tone | None = None  # that this leg's party hears
        self.last: Fields | None = None  # relayed
        self.last_ns = 0
        self.packets = self.relayed = self.rtcp = self.wrong_source = self.malformed = self.oversize = 0
        self.withheld = self.injected = self.send_failed = 0

    def couple(self, other: "Leg") -> None:
        self.other = other
        self.send = other.pair.rtp.sendto

    def counters(self) -> LegCounters:
        return LegCounters(
            packets=self.packets,
            relayed=self.relayed,
            rtcp=self.rtcp,
            wrong_source=self.wrong_source,
            malformed=self.malformed,
            oversize=self.oversize,
            withheld=self.withheld,
            injected=self.injected,
            send_failed=self.send_failed,
        )

    # What the party may send.

    def describe(self, operation: Describe) -> None:
        self.audio = operation.audio
        self.digits = operation.digits
        self.heard = operation.heard
        self.refresh_actions()

    @property
    def clock_hz(self) -> int:
        """Of its telephone-events: the same as its audio's (RFC 4733 2.1)."""
        return min((codec.clock_hz for codec in self.audio.values()), default=8000)

    def refresh_actions(self) -> None:
        """To be called whenever what decides about a payload type has changed."""
        actions = bytearray(_PLAIN_ACTIONS)
        if self.heard and self.tap is not Tap.OFF:
            for payload_type in range(128):
                audio = payload_type in self.audio and self.tap is Tap.PAYLOAD
                _set(actions, payload_type, Action.TAP_PAYLOAD if audio else Action.TAP_HEADER)
        if self.filter is not None:
            for payload_type in self.digits:
                _set(actions, payload_type, Action.DETOUR)
        if self.other.tone is not None:
            for payload_type in range(128):
                _set(actions, payload_type, Action.DETOUR)
        self.actions = bytes(actions)

    # Where it is.

    def connect(self, operation: Connect) -> None:
        self.latch = operation.latch
        self.signalling_host = _numeric(operation.signalling_host)
        if operation.remote == self.remote:
            return
        self.remote = operation.remote
        self.source = self.rtcp_source = None
        self._send_to(self._address(operation.remote.rtp))
        self.rtcp_destination = self._address(operation.remote.rtcp)

    def learn(self, source: Source) -> bool:
        """A valid RTP packet came from `source` while the leg was not locked. True: it is now."""
        if not self.may_be(source):
            return False
        self.source = source
        self._send_to(source)
        return True

    def may_be(self, source: Source) -> bool:
        """Whether the latch rule takes RTP from `source`; once locked, from nowhere else."""
        if self.source is not None:
            return self.source == source
        if self.remote is None:
            return False
        match self.latch:
            case Latch.ALWAYS:
                return True
            case Latch.AUTO:
                return source[0] in (_numeric(self.remote.rtp.host), self.signalling_host)
            case Latch.NEVER:
                return source == self._address(self.remote.rtp)

    def learn_rtcp(self, source: Source) -> bool:
        """A valid RTCP packet came to the RTCP port. RTCP alone never locks RTP."""
        if self.rtcp_source is not None:
            return self.rtcp_source == source
        if not self._may_be_rtcp(source):
            return False
        self.rtcp_source = self.rtcp_destination = source
        return True

    def _may_be_rtcp(self, source: Source) -> bool:
        if self.remote is None:
            return False
        if self.latch is Latch.NEVER:
            return source == self._address(self.remote.rtcp)
        if self.source is not None and source[0] == self.source[0]:
            return True
        signalling_host = self.signalling_host if self.latch is Latch.AUTO else None
        return source[0] in (_numeric(self.remote.rtcp.host), signalling_host)

    def _send_to(self, destination: Source | None) -> None:
        self.destination = self.other.target = destination

    def _address(self, endpoint: Endpoint) -> Source | None:
        """None when nothing can be sent there: port 0, no number, the other address family."""
        host = _numeric(endpoint.host)
        if host is None or endpoint.port == 0 or ip_address(host).is_unspecified:
            return None
        if (Family.IPV6 if ":" in host else Family.IPV4) is not self.family:
            return None
        return (host, endpoint.port, 0, 0) if self.family is Family.IPV6 else (host, endpoint.port)


def _set(actions: bytearray, payload_type: int, action: Action) -> None:
    for second in (payload_type, payload_type | MARKER):
        if actions[second] != Action.RTCP:
            actions[second] = action


def _numeric(host: str) -> str | None:
    """An address as the socket module spells it, so that it compares; a name would be resolved while
    the loop waits, so it is none."""
    try:
        return str(ip_address(host))
    except ValueError:
        return None
