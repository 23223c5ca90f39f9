"""One leg of a call on the plane: its sockets, whom it hears, where it sends, what it counts.

Everything that the hot path asks is an attribute here, kept ready by whoever changes the state.
"""

import errno
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from mediaproxy.calls.plane import Codec, Connect, Describe, LegCounters, LegId, Tap
from mediaproxy.ids import CallId
from mediaproxy.media.ports import PortPair, Source
from mediaproxy.media.userspace.latching import Latching
from mediaproxy.media.userspace.reports import Reports
from mediaproxy.media.userspace.sounding import Sounding
from mediaproxy.net import Family
from mediaproxy.rtp.digits import DigitFilter
from mediaproxy.rtp.packet import MARKER, RTCP_TYPES
from mediaproxy.rtp.sequence import Renumbering

if TYPE_CHECKING:
    from mediaproxy.media.userspace.lines import FastLines

Packet = bytes | bytearray | memoryview

Fields = tuple[int, int, int, int, int]
"""An RTP header as `packet.HEADER` unpacks it."""


class Action(IntEnum):
    """What an RTP packet's second byte (marker and payload type) asks for."""

    RELAY = 0
    TAP_HEADER = 1  # also of what is no audio: its sequence numbers are not lost ones
    TAP_PAYLOAD = 2
    DETOUR = 3  # digits that may be ours, audio for a sound to be mixed in
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
        "latching",
        "lent_at",
        "loan",
        "malformed",
        "narrowed",
        "other",
        "oversize",
        "packets",
        "pair",
        "receive",
        "relayed",
        "renumbering",
        "reports",
        "rtcp",
        "send",
        "send_failed",
        "sounding",
        "source",
        "tap",
        "target",
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
        self.receive = pair.rtp.recv_into  # once narrowed
        self.send: Callable[[Packet], object] = _to_nobody  # to the other leg's party
        self.latching = Latching(family)
        self.source: Source | None = None  # locked
        self.narrowed: Source | None = None  # whom alone `pair.rtp` hears
        self.destination: Source | None = None  # where this leg's party is sent RTP
        self.target: Source | None = None  # the other leg's destination
        self.actions = _PLAIN_ACTIONS
        self.audio: Mapping[int, Codec] = {}
        self.digits: frozenset[int] = frozenset()
        self.heard = False
        self.tap = Tap.OFF
        self.filter: DigitFilter | None = None
        self.renumbering: Renumbering | None = None
        self.sounding: Sounding | None = None  # what of ours this leg's party hears
        self.last: Fields | None = None  # relayed
        self.last_ns = 0
        self.loan: FastLines | None = None  # to whom it is lent, and where it stands there
        self.lent_at = 0
        self.reports = Reports()  # what this leg's party says it hears
        self.packets = self.relayed = self.rtcp = self.wrong_source = self.malformed = self.oversize = 0
        self.withheld = self.injected = self.send_failed = 0

    def couple(self, other: "Leg") -> None:
        self.other = other

    @property
    def goes_straight(self) -> bool:
        """Whether its packets go from one connected socket to another one as they are."""
        other = self.other
        return (
            self.loan is None
            and self.renumbering is None
            and other.destination is not None
            and other.destination == other.narrowed
        )

    def recall(self) -> None:
        """To be called before what decides about its packets changes, or what they were is asked for."""
        if self.loan is not None:
            self.loan.recall(self)

    @property
    def heard_ns(self) -> int:
        """When its last packet came."""
        return self.last_ns if self.loan is None else self.loan.last_ns(self)

    def send_on(self, packet: Packet) -> bool:
        """To the other leg's party, from its socket; whether it went out."""
        if self.target is None:
            return False
        try:
            self.send(packet)
        except OSError as error:
            return self.send_again(packet, error)
        return True

    def send_again(self, packet: Packet, error: OSError) -> bool:
        """A narrowed socket says of a packet before this one that nobody took it, and sends nothing then."""
        if isinstance(error, ConnectionRefusedError):
            with suppress(OSError):
                self.send(packet)
                return True
        self.send_failed += 1
        return False

    def counters(self) -> LegCounters:
        self.recall()
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
            reports=self.reports.count,
            reported_lost=self.reports.lost,
            last_reported_loss_percent=self.reports.last_loss_percent,
            worst_reported_loss_percent=self.reports.worst_loss_percent,
            last_reported_jitter_ms=self.reports.last_jitter_ms,
            worst_reported_jitter_ms=self.reports.worst_jitter_ms,
        )

    def receive_rtcp(self, packet: memoryview, now_ns: int) -> None:
        """Valid RTCP of this leg's party, already relayed: what does it say of what we sent it?"""
        self.other.recall()
        if (sent := self.other.last) is None:
            return
        codec = self.other.audio.get(sent[1] & ~MARKER)
        clock_hz = self.other.clock_hz if codec is None else codec.clock_hz
        self.reports.receive(packet, ssrc=sent[4], clock_hz=clock_hz, now_ns=now_ns)

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
        self.recall()
        actions = bytearray(_PLAIN_ACTIONS)
        if self.heard and self.tap is not Tap.OFF:
            for payload_type in range(128):
                audio = payload_type in self.audio and self.tap is Tap.PAYLOAD
                _set(actions, payload_type, Action.TAP_PAYLOAD if audio else Action.TAP_HEADER)
        if self.filter is not None:
            for payload_type in self.digits:
                _set(actions, payload_type, Action.DETOUR)
        if self.other.sounding is not None:
            for payload_type in range(128):
                _set(actions, payload_type, Action.DETOUR)
        self.actions = bytes(actions)

    # Where it is.

    def connect(self, operation: Connect, now_ns: int) -> None:
        self.latching.connect(operation, now_ns)
        self._refresh_addresses()

    def lock(self, source: Source) -> None:
        """A valid RTP packet came from `source`, which may be this leg's party."""
        self.latching.source = source
        with suppress(OSError):  # then every packet brings its address along, as before
            self.pair.narrow(source)
            self.narrowed = source
        self._refresh_addresses()

    def _refresh_addresses(self) -> None:
        self.recall()
        self.other.recall()
        self.source = self.latching.source
        destination = self.destination = self.other.target = self.latching.destination
        if destination is None:
            self.other.send = _to_nobody
        elif destination == self.narrowed:
            self.other.send = self.pair.rtp.send
        else:
            sendto = self.pair.rtp.sendto
            self.other.send = lambda packet: sendto(packet, destination)


def _to_nobody(packet: Packet) -> object:
    raise OSError(errno.EDESTADDRREQ, "the other party has not said where")


def _set(actions: bytearray, payload_type: int, action: Action) -> None:
    for second in (payload_type, payload_type | MARKER):
        if actions[second] != Action.RTCP:
            actions[second] = action
