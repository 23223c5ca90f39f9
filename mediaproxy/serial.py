"""Serial number arithmetic (RFC 1982) for RTP sequence numbers and timestamps."""


def signed_distance(a: int, b: int, *, bits: int) -> int:
    """How far `b` lies ahead of `a` (negative: behind), the shorter way round 2**bits."""
    half = 1 << (bits - 1)
    return ((b - a + half) & ((1 << bits) - 1)) - half


def unwrap(reference: int, value: int, *, bits: int) -> int:
    """The integer nearest to `reference` that equals `value` modulo 2**bits."""
    return reference + signed_distance(reference, value, bits=bits)
