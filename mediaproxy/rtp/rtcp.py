"""Is this RTCP? RFC 3550 A.2, relaxed by RFC 5506: a reduced-size packet may begin with any type.

What the reports say is the parties' own matter: a compound packet is relayed whole, with types that
we do not know (extended reports, feedback, what comes next).
"""

from typing import Final

from mediaproxy.rtp.packet import RTCP_TYPES

_PADDING: Final = 0x20


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
