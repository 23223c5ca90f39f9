"""What a leg's party says in RTCP about the stream that it hears (RFC 3550 6.4): lost packets, jitter.

Read for telling alone, after the packet was relayed: nothing is decided by it, so a party that lies
here spoils its own figures and no more.
"""

from typing import Final

from aiortc.rtp import RtcpPacket, RtcpReceiverInfo, RtcpRrPacket, RtcpSrPacket

from mediaproxy.clock import NS_PER_MS
from mediaproxy.limits import MAX_STREAMS_PER_LEG

_REPORT_TYPES: Final = (200, 201)  # SR, RR: RFC 3550 6.1 has one of them first in every compound packet
_COUNT: Final = 0x1F
_FULL_LOSS: Final = 256  # "fraction lost" counts in 256ths
_MAX_JITTER_MS: Final = 10_000.0  # more than any call survives: a broken or lying party
_SPACING_NS: Final = 100 * NS_PER_MS  # RTCP comes every few seconds; a flood of it is not worth reading


class Reports:
    """`lost` counts packets: also those that got lost before they reached us."""

    __slots__ = (
        "_lost",
        "_lost_before",
        "_not_before_ns",
        "count",
        "last_jitter_ms",
        "last_loss_percent",
        "worst_jitter_ms",
        "worst_loss_percent",
    )

    def __init__(self) -> None:
        self.count = 0
        self.last_loss_percent = self.worst_loss_percent = 0.0
        self.last_jitter_ms = self.worst_jitter_ms = 0.0
        self._lost: dict[int, int] = {}  # by SSRC, as last told: each counts from 0
        self._lost_before = 0  # of SSRCs that were let go
        self._not_before_ns = 0

    @property
    def lost(self) -> int:
        return self._lost_before + sum(self._lost.values())

    def receive(self, packet: memoryview, *, ssrc: int, clock_hz: int, now_ns: int) -> None:
        """A valid RTCP packet; `ssrc` is the stream that its sender is sent. Never raises."""
        if packet[1] not in _REPORT_TYPES or not packet[0] & _COUNT or now_ns < self._not_before_ns:
            return
        self._not_before_ns = now_ns + _SPACING_NS
        for block in _blocks(packet):
            jitter_ms = block.jitter * 1000 / clock_hz
            if block.ssrc == ssrc and jitter_ms <= _MAX_JITTER_MS:
                self._keep(block, jitter_ms)

    def _keep(self, block: RtcpReceiverInfo, jitter_ms: float) -> None:
        self.count += 1
        loss_percent = block.fraction_lost * 100 / _FULL_LOSS
        self.last_loss_percent = loss_percent
        self.worst_loss_percent = max(self.worst_loss_percent, loss_percent)
        self.last_jitter_ms = jitter_ms
        self.worst_jitter_ms = max(self.worst_jitter_ms, jitter_ms)
        if block.ssrc not in self._lost and len(self._lost) == MAX_STREAMS_PER_LEG:
            self._lost_before += self._lost.pop(next(iter(self._lost)))
        self._lost[block.ssrc] = max(block.packets_lost, 0)  # negative: duplicates outnumber losses


def _blocks(packet: memoryview) -> list[RtcpReceiverInfo]:
    """The report blocks of the first packet of a compound one; what follows it is not looked at."""
    size = 4 + 4 * (packet[2] << 8 | packet[3])
    try:
        parsed = RtcpPacket.parse(bytes(packet[:size]))
    except ValueError:
        return []
    return [
        block for each in parsed if isinstance(each, RtcpRrPacket | RtcpSrPacket) for block in each.reports
    ]
