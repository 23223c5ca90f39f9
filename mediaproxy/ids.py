"""Our own identifiers: UUIDv7 (RFC 9562 5.7), lower case. Nothing of a peer's enters them."""

from typing import NewType

CallId = NewType("CallId", str)
RecordingId = NewType("RecordingId", str)

RANDOM_BYTES = 10


def uuid7(unix_ms: int, random: bytes) -> str:
    """A UUIDv7 of a wall time in ms and ten random bytes."""
    value = (unix_ms & (1 << 48) - 1) << 80 | int.from_bytes(random[:RANDOM_BYTES], "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
