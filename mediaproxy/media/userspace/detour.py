"""The few packets that need more than copying: digits that may command us, audio with a tone in it; and
the packets of ours that this brings about.

`withheld` and `injected` are counted where the packets would have come from: on the leg whose stream
to the other one was changed.
"""

import os
from collections.abc import Callable, Mapping

from mediaproxy.calls import plane
from mediaproxy.calls.plane import Codec, CodeDialled, DigitsSeen, PlaneEvent, Tap
from mediaproxy.clock import NS_PER_S
from mediaproxy.media.userspace.leg import Fields, Leg
from mediaproxy.media.userspace.tone import PACKET_NS, RATE_HZ, SILENT_NS, Tone, can_sound
from mediaproxy.recording.ring import PacketRing
from mediaproxy.rtp.digits import Dialled, DigitFilter, Regenerated, Seen
from mediaproxy.rtp.events import TelephoneEvent, parse_event
from mediaproxy.rtp.packet import HEADER, MARKER, PLAIN, SEQUENCE, SEQUENCE_AT, build
from mediaproxy.rtp.sequence import Renumbering


class Detour:
    """`emit` takes plane events; `rearm` is called when `next_deadline_ns` may have changed."""

    def __init__(
        self, ring: PacketRing, emit: Callable[[PlaneEvent], None], rearm: Callable[[], None]
    ) -> None:
        self._ring = ring
        self._emit = emit
        self._rearm = rearm
        self._timed: dict[Leg, None] = {}  # legs with a filter that waits or a tone that sounds

    # Operations.

    def watch(self, leg: Leg, codes: Mapping[str, str], now_ns: int) -> None:
        if leg.filter is None:
            if not codes:
                return
            leg.filter = DigitFilter(codes)
            leg.refresh_actions()
        else:
            leg.filter.watch(codes, now_ns)
            self._settle(leg)

    def play(self, leg: Leg, tone: plane.Tone, now_ns: int) -> None:
        """Sound `tone` to `leg`'s party, instead of one that still sounds; nothing when it can't be."""
        if leg.destination is None or _tone_codec(leg.other) is None:
            return
        leg.tone = Tone(tone, max(now_ns, leg.other.last_ns + SILENT_NS))
        leg.other.refresh_actions()
        self._wait_for(leg)

    def forget(self, leg: Leg) -> None:
        self._timed.pop(leg, None)

    # Packets.

    def relay(self, leg: Leg, packet: bytearray, size: int, start: int, end: int, now_ns: int) -> None:
        """A valid packet of `leg`, still as it came; `packet` may be changed."""
        fields = HEADER.unpack_from(packet)
        if leg.filter is not None and fields[1] & 0x7F in leg.digits:
            event = parse_event(memoryview(packet)[start:end])
            if event is not None and not self._let_pass(leg, leg.filter, fields, event, now_ns):
                return self._withhold(leg, fields, event, now_ns)
        if leg.target is None:
            return None
        view = memoryview(packet)
        payload: bytes | memoryview = view[start:end]
        if leg.other.tone is not None:
            payload = bytes(payload)  # the recorder is given what the party said, without the tone
            self._mix(leg, leg.other.tone, packet, start, payload, fields[1] & 0x7F, now_ns)
        if leg.renumbering is not None:
            SEQUENCE.pack_into(packet, SEQUENCE_AT, leg.renumbering.forward(fields[4], fields[2]))
        if self._send(leg, view[:size]):
            leg.relayed += 1
            leg.last = fields
            self._tap(leg, fields, payload, now_ns)
        return None

    def _tap(self, leg: Leg, fields: Fields, payload: bytes | memoryview, now_ns: int) -> None:
        _, second, seq, timestamp, ssrc = fields
        payload_type, marker = second & 0x7F, second >> 7
        if not leg.heard or leg.tap is Tap.OFF:
            return
        if leg.tap is Tap.PAYLOAD and payload_type in leg.audio:
            self._ring.put(
                leg.generation, leg.id, payload_type, marker, ssrc, seq, timestamp, now_ns, payload
            )
        else:
            self._ring.put_header(
                leg.generation, leg.id, payload_type, marker, ssrc, seq, timestamp, now_ns, len(payload)
            )

    def _send(self, leg: Leg, packet: bytes | memoryview) -> bool:
        if leg.target is None:
            return False
        try:
            leg.send(packet, leg.target)
        except OSError:
            leg.send_failed += 1
            return False
        return True

    # Digits.

    def _let_pass(
        self, leg: Leg, digits: DigitFilter, fields: Fields, event: TelephoneEvent, now_ns: int
    ) -> bool:
        _, second, _, timestamp, ssrc = fields
        relayed = digits.receive(ssrc, timestamp, second & 0x7F, event, now_ns, clock_hz=leg.clock_hz)
        self._settle(leg)
        return relayed

    def _withhold(self, leg: Leg, fields: Fields, event: TelephoneEvent, now_ns: int) -> None:
        _, second, seq, timestamp, ssrc = fields
        self._renumbering(leg).withhold(ssrc, seq, relayed=_last_seq(leg, ssrc))
        leg.withheld += 1
        if leg.heard and leg.tap is not Tap.OFF:
            self._ring.put_digit(
                leg.generation, leg.id, second & 0x7F, ssrc, seq, timestamp, now_ns, event.duration
            )

    def _settle(self, leg: Leg) -> None:
        """Do what the leg's filter wants done, and wait for what it waits for."""
        assert leg.filter is not None
        for output in leg.filter.drain():
            match output:
                case Seen(arrived_ns):
                    self._emit(DigitsSeen(leg.call, leg.id, arrived_ns))
                case Dialled(action, arrived_ns):
                    self._emit(CodeDialled(leg.call, leg.id, action, arrived_ns))
                case Regenerated():
                    self._inject(leg, output)
        self._wait_for(leg)

    def _inject(self, leg: Leg, packet: Regenerated) -> None:
        seq = self._renumbering(leg).insert(packet.ssrc, relayed=_last_seq(leg, packet.ssrc) or 0)
        sent = self._send(
            leg, build(packet.payload_type, packet.marker, seq, packet.timestamp, packet.ssrc, packet.payload)
        )
        leg.injected += sent

    def _renumbering(self, leg: Leg) -> Renumbering:
        if leg.renumbering is None:
            leg.renumbering = Renumbering()
        return leg.renumbering

    # Tones: `leg` is whose stream carries it, to the other one.

    def _mix(
        self,
        leg: Leg,
        tone: Tone,
        packet: bytearray,
        start: int,
        payload: bytes,
        payload_type: int,
        now_ns: int,
    ) -> None:
        codec = leg.audio.get(payload_type)
        if codec is None or not can_sound(codec):
            return
        packet[start : start + len(payload)] = tone.mix(codec, payload)
        leg.injected += 1
        tone.due_ns = now_ns + SILENT_NS
        self._end_if_over(leg.other, tone)

    def _play_alone(self, leg: Leg, tone: Tone) -> None:
        """The next 20 ms of the melody to `leg`, as the other leg's stream would go on."""
        found = _tone_codec(leg.other)
        if found is None:
            leg.tone = None
            leg.other.refresh_actions()
            return
        payload_type, codec = found
        source = leg.other
        fields = source.last or _begin_stream(source, payload_type)
        _, _, seq, timestamp, ssrc = fields
        timestamp += (tone.due_ns - source.last_ns) * RATE_HZ // NS_PER_S
        seq = self._renumbering(source).insert(ssrc, relayed=seq)
        source.injected += self._send(
            source, build(payload_type, False, seq, timestamp, ssrc, tone.alone(codec))
        )
        tone.due_ns += PACKET_NS
        self._end_if_over(leg, tone)

    def _end_if_over(self, leg: Leg, tone: Tone) -> None:
        if tone.over:
            leg.tone = None
            leg.other.refresh_actions()

    # Time.

    def next_deadline_ns(self) -> int | None:
        return min((at for leg in self._timed if (at := _deadline_ns(leg)) is not None), default=None)

    def handle_timer(self, now_ns: int) -> None:
        for leg in tuple(self._timed):
            if leg.filter is not None:
                leg.filter.handle_timer(now_ns)
                self._settle(leg)
            while leg.tone is not None and leg.tone.due_ns <= now_ns:
                self._play_alone(leg, leg.tone)
            if _deadline_ns(leg) is None:
                del self._timed[leg]

    def _wait_for(self, leg: Leg) -> None:
        if _deadline_ns(leg) is not None:
            self._timed[leg] = None
            self._rearm()


def _deadline_ns(leg: Leg) -> int | None:
    waits = leg.filter.next_deadline_ns() if leg.filter is not None else None
    if leg.tone is None:
        return waits
    return leg.tone.due_ns if waits is None else min(waits, leg.tone.due_ns)


def _last_seq(leg: Leg, ssrc: int) -> int | None:
    """The last sequence number of `ssrc` that was relayed."""
    return leg.last[2] if leg.last is not None and leg.last[4] == ssrc else None


def _tone_codec(source: Leg) -> tuple[int, Codec] | None:
    """The payload type and codec for a tone in `source`'s stream: what it speaks now, or may speak."""
    spoken = source.last[1] & 0x7F if source.last is not None else -1
    for payload_type in (spoken,) if spoken in source.audio else source.audio:
        if can_sound(source.audio[payload_type]):
            return payload_type, source.audio[payload_type]
    return None


def _begin_stream(source: Leg, payload_type: int) -> Fields:
    """Nothing was ever relayed: the tone begins a stream of its own."""
    ssrc = int.from_bytes(os.urandom(4), "big")
    source.last = (PLAIN, payload_type | MARKER, 0, 0, ssrc)
    return source.last
