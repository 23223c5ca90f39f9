"""The few packets that need more than copying: digits that may command us, audio with a sound of ours in
it; and the packets of ours that digits bring about.

`withheld` and `injected` are counted where the packets would have come from: on the leg whose stream
to the other one was changed.
"""

from collections.abc import Callable, Mapping

from mediaproxy.calls.plane import CodeDialled, DigitsSeen, PlaneEvent, Tap
from mediaproxy.limits import MAX_RTP_BYTES
from mediaproxy.media.userspace.leg import Fields, Leg
from mediaproxy.media.userspace.player import Player, renumbering
from mediaproxy.media.userspace.sounding import Sounding
from mediaproxy.media.userspace.voices import Payload
from mediaproxy.recording.ring import PacketRing
from mediaproxy.rtp.digits import Dialled, DigitFilter, Regenerated, Seen
from mediaproxy.rtp.events import TelephoneEvent, parse_event
from mediaproxy.rtp.packet import HEADER, PADDING, SEQUENCE, SEQUENCE_AT, build


class Detour:
    """`emit` takes plane events; `rearm` is called when `next_deadline_ns` may have changed."""

    def __init__(
        self, ring: PacketRing, emit: Callable[[PlaneEvent], None], rearm: Callable[[], None]
    ) -> None:
        self.player = Player(emit, rearm)
        self._ring = ring
        self._emit = emit
        self._rearm = rearm
        self._said = memoryview(bytearray(MAX_RTP_BYTES))  # while a sound is put into it
        self._timed: dict[Leg, None] = {}  # legs with a filter that waits

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

    def forget(self, leg: Leg) -> None:
        self._timed.pop(leg, None)
        self.player.forget(leg)

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
        sounding = leg.other.sounding
        if sounding is not None and self._sounds(leg, sounding, packet, size, start, end, now_ns):
            return None
        self._number(leg, fields, packet)
        view = memoryview(packet)
        if leg.send_on(view[:size]):
            leg.relayed += 1
            leg.last = fields
            self._tap(leg, fields, view[start:end], now_ns)
        return None

    def _sounds(
        self, leg: Leg, sounding: Sounding, packet: bytearray, size: int, start: int, end: int, now_ns: int
    ) -> bool:
        """Relay a packet with a stretch of the sound in it, or withhold it while the sound goes alone;
        False: it passes as it is. The recorder is given what the party said, without the sound."""
        fields, said = HEADER.unpack_from(packet), self._said[: end - start]
        _, _, seq, _, ssrc = fields
        last = _last_seq(leg, ssrc)
        renumbering(leg).know(ssrc, relayed=seq - 1 if last is None else last)
        said[:] = memoryview(packet)[start:end]
        try:
            mixed = self.player.mix(leg, sounding, fields, said, now_ns)
            if mixed is None:
                return self.player.hides(leg, sounding, fields, said) and self._hide(
                    leg, fields, len(said), now_ns
                )
            self._number(leg, fields, packet)
            if leg.send_on(_with_payload(packet, size, start, end, mixed.payload)):
                leg.relayed += 1
                leg.last = fields
                self._tap(leg, fields, said, now_ns)
                mixed.went()
            mixed.forget()
            return True
        finally:
            said[:] = bytes(len(said))  # nothing of it stays here

    def _hide(self, leg: Leg, fields: Fields, length: int, now_ns: int) -> bool:
        """Withhold what nobody would understand beside the sound; who does not hear it, records none."""
        _, second, seq, timestamp, ssrc = fields
        renumbering(leg).withhold(ssrc, seq, relayed=_last_seq(leg, ssrc))
        leg.withheld += 1
        if leg.heard and leg.tap is not Tap.OFF:
            self._ring.put_header(
                leg.generation, leg.id, second & 0x7F, second >> 7, ssrc, seq, timestamp, now_ns, length
            )
        return True

    def _number(self, leg: Leg, fields: Fields, packet: bytearray) -> None:
        if leg.renumbering is not None:
            SEQUENCE.pack_into(packet, SEQUENCE_AT, leg.renumbering.forward(fields[4], fields[2]))

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
        renumbering(leg).withhold(ssrc, seq, relayed=_last_seq(leg, ssrc))
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
                case Dialled(action, arrived_ns, certain):
                    self._emit(CodeDialled(leg.call, leg.id, action, arrived_ns, certain))
                case Regenerated():
                    self._inject(leg, output)
        self._wait_for(leg)

    def _inject(self, leg: Leg, packet: Regenerated) -> None:
        payload_type = packet.payload_type
        if payload_type not in leg.digits:  # a re-INVITE has changed it since
            if not leg.digits:
                return
            payload_type = min(leg.digits)
        seq = renumbering(leg).insert(packet.ssrc, relayed=_last_seq(leg, packet.ssrc) or 0)
        sent = leg.send_on(
            build(payload_type, packet.marker, seq, packet.timestamp, packet.ssrc, packet.payload)
        )
        leg.injected += sent

    # Time.

    def next_deadline_ns(self) -> int | None:
        deadlines = [at for leg in self._timed if (at := _deadline_ns(leg)) is not None]
        sound_ns = self.player.next_deadline_ns()
        return min(deadlines if sound_ns is None else [*deadlines, sound_ns], default=None)

    def handle_timer(self, now_ns: int) -> None:
        for leg in tuple(self._timed):
            if leg.filter is not None:
                leg.filter.handle_timer(now_ns)
                self._settle(leg)
            if _deadline_ns(leg) is None:
                self._timed.pop(leg, None)
        self.player.handle_timer(now_ns)

    def _wait_for(self, leg: Leg) -> None:
        if _deadline_ns(leg) is not None:
            self._timed[leg] = None
            self._rearm()


def _deadline_ns(leg: Leg) -> int | None:
    return leg.filter.next_deadline_ns() if leg.filter is not None else None


def _last_seq(leg: Leg, ssrc: int) -> int | None:
    """The last sequence number of `ssrc` that was relayed."""
    return leg.last[2] if leg.last is not None and leg.last[4] == ssrc else None


def _with_payload(packet: bytearray, size: int, start: int, end: int, payload: Payload) -> bytes | memoryview:
    """The packet with another payload. Of the same length it goes where the old one was; another one
    goes without padding."""
    if len(payload) == end - start:
        view = memoryview(packet)
        view[start:end] = payload  # a slice of the array itself would take a copy
        return view[:size]
    return bytes([packet[0] & ~PADDING]) + bytes(packet[1:start]) + payload
