"""Messages for a capture server: the Homer Encapsulation Protocol, version 3 (HEP3, also called EEP)."""

import socket
from struct import Struct
from typing import Final

from mediaproxy.net import Endpoint, Family
from mediaproxy.sip.trace import Said
from mediaproxy.transport.counters import TransportCounters

_HEAD: Final = Struct("!4sH")
_CHUNK: Final = Struct("!HHH")  # vendor (0: the protocol's own), type, length with this
_MOST_BYTES: Final = 0xFFFF - 1024  # of a payload that fits a datagram

# Chunk types.
FAMILY, PROTOCOL, SOURCE_4, TO_4, SOURCE_6, TO_6, SOURCE_PORT, TO_PORT = range(1, 9)
SECONDS, MICROSECONDS, KIND, CAPTURE_ID, PAYLOAD, CORRELATION = 9, 10, 11, 12, 15, 17
SIP: Final = 1


class CaptureServer:
    """Where copies of messages go. Nobody waits for it: what it does not take is gone, and counted."""

    def __init__(self, collector: Endpoint, capture_id: int, counters: TransportCounters) -> None:
        six = collector.family is Family.IPV6
        self._socket = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._collector = tuple(collector)
        self._capture_id = capture_id
        self._counters = counters

    def send(self, said: Said, *, wall_ns: int) -> None:
        try:
            self._socket.sendto(encode(said, wall_ns=wall_ns, capture_id=self._capture_id), self._collector)
        except OSError:
            self._counters.capture_failed += 1
        else:
            self._counters.captured += 1

    def close(self) -> None:
        self._socket.close()


def encode(said: Said, *, wall_ns: int, capture_id: int) -> bytes:
    """One datagram. `wall_ns` is when, in Unix time."""
    source, to = said.flow.local, said.flow.remote
    if not said.sent:
        source, to = to, source
    six = source.family is Family.IPV6
    family = socket.AF_INET6 if six else socket.AF_INET
    protocol = socket.IPPROTO_UDP if said.flow.transport == "udp" else socket.IPPROTO_TCP
    seconds, rest_ns = divmod(wall_ns, 1_000_000_000)
    chunks = b"".join(
        (
            _chunk(FAMILY, bytes([family])),
            _chunk(PROTOCOL, bytes([protocol])),
            _chunk(SOURCE_6 if six else SOURCE_4, socket.inet_pton(family, source.host)),
            _chunk(TO_6 if six else TO_4, socket.inet_pton(family, to.host)),
            _chunk(SOURCE_PORT, source.port.to_bytes(2)),
            _chunk(TO_PORT, to.port.to_bytes(2)),
            _chunk(SECONDS, (seconds & 0xFFFFFFFF).to_bytes(4)),
            _chunk(MICROSECONDS, (rest_ns // 1000).to_bytes(4)),
            _chunk(KIND, bytes([SIP])),
            _chunk(CAPTURE_ID, capture_id.to_bytes(4)),
            _chunk(PAYLOAD, said.text[:_MOST_BYTES]),
        )
    )
    return _HEAD.pack(b"HEP3", _HEAD.size + len(chunks)) + chunks


def _chunk(kind: int, value: bytes) -> bytes:
    return _CHUNK.pack(0, kind, _CHUNK.size + len(value)) + value
