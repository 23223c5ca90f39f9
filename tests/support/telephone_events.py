"""Pressed keys as packets (RFC 4733), and RTP out of a capture."""

import struct
from dataclasses import dataclass
from pathlib import Path

from mediaproxy.rtp.events import DIGITS, TelephoneEvent, build_event
from mediaproxy.rtp.packet import build

EVENT_TYPE = 101
PACKET_UNITS = 160


@dataclass(slots=True)
class Keypad:
    """Presses keys in a stream: events of `length` packets of 20 ms, then `ends` end packets."""

    ssrc: int = 0x0E05384E
    seq: int = 1000
    timestamp: int = 80_000

    def press(self, digit: str, *, length: int = 5, ends: int = 3, marker: bool = True) -> list[bytes]:
        code = DIGITS.index(digit)
        packets = [
            self._packet(TelephoneEvent(code, False, 10, n * PACKET_UNITS), marker and n == 0)
            for n in range(length)
        ]
        last = TelephoneEvent(code, True, 10, length * PACKET_UNITS)
        packets += [self._packet(last, False) for _ in range(ends)]
        self.timestamp += (length + ends) * PACKET_UNITS
        return packets

    def audio(self, payload: bytes = b"\x55" * 160) -> bytes:
        packet = build(0, False, self.seq, self.timestamp, self.ssrc, payload)
        self.seq += 1
        self.timestamp += PACKET_UNITS
        return packet

    def _packet(self, event: TelephoneEvent, marker: bool) -> bytes:
        packet = build(EVENT_TYPE, marker, self.seq, self.timestamp, self.ssrc, build_event(event))
        self.seq += 1
        return packet


def captured_rtp(path: Path) -> list[tuple[int, bytes]]:
    """(µs, UDP payload) of each packet of a pcap with Ethernet and IPv4 headers of the usual size."""
    data, at, packets = path.read_bytes(), 24, []
    while at < len(data):
        seconds, micros, length, _ = struct.unpack_from("<IIII", data, at)
        packets.append((seconds * 1_000_000 + micros, data[at + 16 + 42 : at + 16 + length]))
        at += 16 + length
    return packets
