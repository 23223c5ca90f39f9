"""RTP's fixed header (RFC 3550 5.1), its validity (A.1) and its demultiplexing from RTCP (RFC 5761 4).

For the hot path: integers and tuples, and an answer instead of an exception.
"""

from struct import Struct
from typing import Final

HEADER: Final = Struct("!BBHII")  # version..CSRC count, marker and payload type, seq, timestamp, SSRC
HEADER_BYTES: Final = HEADER.size
SEQUENCE: Final = Struct("!H")
SEQUENCE_AT: Final = 2
PLAIN: Final = 0x80  # the first byte of a packet without padding, extension or CSRCs
MARKER: Final = 0x80
PADDING: Final = 0x20  # of the first byte
RTCP_TYPES: Final = range(192, 224)  # of the second byte, where RTP and RTCP share a port

_EXTENSION: Final = 0x10


def payload_bounds(packet: bytes | bytearray | memoryview, size: int) -> tuple[int, int] | None:
    """Where the payload of `packet[:size]` begins and ends, without padding; None: not RTP."""
    if size < HEADER_BYTES or packet[0] >> 6 != 2:
        return None
    first = packet[0]
    start, end = HEADER_BYTES + 4 * (first & 0x0F), size
    if first & _EXTENSION:
        if start + 4 > size:
            return None
        start += 4 + 4 * (packet[start + 2] << 8 | packet[start + 3])
    if first & PADDING:
        padding = packet[size - 1]
        if padding == 0:
            return None
        end -= padding
    return (start, end) if start <= end else None


def build(payload_type: int, marker: bool, seq: int, timestamp: int, ssrc: int, payload: bytes) -> bytes:
    """A packet without padding, extension or CSRCs. `seq` and `timestamp` wrap by themselves."""
    second = payload_type | MARKER if marker else payload_type
    return HEADER.pack(PLAIN, second, seq & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload
