"""Is this RTCP? RFC 3550 A.2, relaxed by RFC 5506: a reduced-size packet may begin with any type.

What the reports say is the parties' own matter: a compound packet is relayed whole, with types that
we do not know (extended reports, feedback, what comes next). Only who was sent a stream with other
numbers than its sender's speaks of numbers that this sender does not know: they are put right.
"""

from collections.abc import Callable
from struct import Struct
from typing import Final

from mediaproxy.rtp.packet import RTCP_TYPES
from mediaproxy.serial import signed_distance

_PADDING: Final = 0x20
_COUNT: Final = 0x1F
_BLOCKS_AT: Final = {200: 28, 201: 8}  # of sender reports and receiver reports (RFC 3550 6.4)
_BLOCK_BYTES: Final = 24
_SSRC: Final = Struct("!I")
_HIGHEST: Final = Struct("!I")  # extended: cycles, then the sequence number
_HIGHEST_AT: Final = 8  # in a report block


def is_rtcp(packet: bytes | bytearray | memoryview, size: int) -> bool:
    """Whether `packet[:size]` is a row of whole RTCP packets, only the last of them padded."""
    at = 0
    while at + 4 <= size:
        first = packet[at]
        if first >> 6 != 2 or packet[at + 1] not in RTCP_TYPES:
            return False
        length = 4 + 4 * (packet[at + 2] << 8 | packet[at + 3])
        at += length
        if first & _PADDING:
            return at == size and 0 < packet[size - 1] <= length - 4
    return at == size and at > 0


def renumber_reports(packet: memoryview, original: Callable[[int, int], int]) -> None:
    """Put the highest sequence numbers of its report blocks back to the sender's own (RFC 3550 7.2), in
    place. `packet` is RTCP by `is_rtcp`; `original` is asked with an SSRC and the number relayed."""
    at = 0
    while at + 4 <= len(packet):
        length = 4 + 4 * (packet[at + 2] << 8 | packet[at + 3])
        block = at + _BLOCKS_AT.get(packet[at + 1], length)
        for _ in range(packet[at] & _COUNT):
            if block + _BLOCK_BYTES > at + length:
                break
            _renumber(packet[block : block + _BLOCK_BYTES], original)
            block += _BLOCK_BYTES
        at += length


def _renumber(block: memoryview, original: Callable[[int, int], int]) -> None:
    [ssrc], [highest] = _SSRC.unpack_from(block), _HIGHEST.unpack_from(block, _HIGHEST_AT)
    number = highest & 0xFFFF
    by = signed_distance(number, original(ssrc, number), bits=16)
    _HIGHEST.pack_into(block, _HIGHEST_AT, highest + by & 0xFFFFFFFF)
