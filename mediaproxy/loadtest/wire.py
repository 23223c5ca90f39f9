"""The packets of a run: time-coded G.711, so that a recording tells which packet stands where.

Packet `k` of stream `s` lies at one moment of a common speech of 16.7 million packets, each stream
beginning elsewhere in it: nothing repeats within a stream for 93 hours, and no two streams say the same
at the same time. A moment is two halves of rows of a random table whose lengths are different primes.
No byte decodes to zero, so a zero in a recording is always silence and never content.
"""

import numpy as np
from numpy.typing import NDArray

ROWS = 4093
_OTHER_ROWS = 4091  # the second half of a packet goes round this much faster
PERIOD = ROWS * _OTHER_ROWS  # packets
_STRIDE = 7_919  # packets between the beginnings of two streams
SAMPLES = 160  # 20 ms at 8 kHz
_HALF = SAMPLES // 2
PTIME_NS = 20_000_000
PACKET_BYTES = 12 + SAMPLES
FIRST_SSRC = 0x10000000
FIRST_SEQ = 60_000  # wraps after 5,536 packets' worth of headers, like real streams do
PCMU = 0
SILENT_CODES = {PCMU: (0x7F, 0xFF)}  # µ-law minus zero and plus zero
_SEED = 20260105

PACKET = np.dtype(
    [
        ("flags", "u1"),
        ("pt", "u1"),
        ("seq", ">u2"),
        ("ts", ">u4"),
        ("ssrc", ">u4"),
        ("payload", "u1", (SAMPLES,)),
    ]
)
assert PACKET.itemsize == PACKET_BYTES

Integers = NDArray[np.int64]


def payload_table(payload_type: int = PCMU) -> NDArray[np.uint8]:
    """ROWS rows of random codes without the silent ones."""
    silent = np.array(SILENT_CODES.get(payload_type, ()), dtype=np.uint8)
    codes = np.setdiff1d(np.arange(256, dtype=np.uint8), silent)
    return np.random.default_rng(_SEED).choice(codes, size=(ROWS, SAMPLES))


def payloads(stream: Integers | int, index: Integers | int, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What packets `index` of `stream` carry, a row each."""
    moment = (np.asarray(stream) * _STRIDE + np.asarray(index)) % PERIOD
    said: NDArray[np.uint8] = table[moment % ROWS]
    said[..., _HALF:] = table[moment % _OTHER_ROWS, _HALF:]
    return said


def fill(
    packets: NDArray[np.void],
    streams: Integers,
    index: Integers | int,
    table: NDArray[np.uint8],
    payload_type: int = PCMU,
) -> None:
    """Write packet `index` of each of `streams` into the rows of `packets`."""
    packets["flags"] = 0x80
    packets["pt"] = payload_type
    packets["seq"] = (FIRST_SEQ + index) & 0xFFFF
    packets["ts"] = (SAMPLES * index) & 0xFFFFFFFF
    packets["ssrc"] = FIRST_SSRC + streams
    packets["payload"] = payloads(streams, index, table)


def recognise(
    packets: NDArray[np.void], table: NDArray[np.uint8], payload_type: int = PCMU
) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """Stream and index of each packet as its header says, and whether every byte is as it was sent."""
    stream, index, intact = recognise_moved(packets, table, payload_type)
    return stream, index, intact & (shifts(packets, index) == 0)


def recognise_moved(
    packets: NDArray[np.void], table: NDArray[np.uint8], payload_type: int = PCMU
) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """The same, whatever the sequence number: `shifts` tells it, for what a proxy withholds moves it."""
    stream = packets["ssrc"].astype(np.int64) - FIRST_SSRC
    index = packets["ts"].astype(np.int64) // SAMPLES
    intact = (packets["flags"] == 0x80) & (packets["pt"] == payload_type) & (packets["ts"] % SAMPLES == 0)
    intact &= (packets["payload"] == payloads(stream, index, table)).all(axis=1)
    return stream, index, intact


def shifts(packets: NDArray[np.void], index: Integers) -> Integers:
    """By how much each packet's sequence number is lower than it was sent."""
    return np.asarray((FIRST_SEQ + index - packets["seq"].astype(np.int64)) & 0xFFFF)


def stream_codes(stream: int, packets: int, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """All codes that `stream` speaks in its first `packets` packets."""
    return payloads(stream, np.arange(packets, dtype=np.int64), table).reshape(-1)


def decode_ulaw(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """ITU-T G.711 µ-law to 16-bit linear, by the formula; independent of the proxy's own tables."""
    inverted = (~codes).astype(np.int32)
    magnitude = ((((inverted & 0x0F) << 3) + 0x84) << ((inverted & 0x70) >> 4)) - 0x84
    return np.where(inverted & 0x80, -magnitude, magnitude).astype(np.int16)


def decode_alaw(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """ITU-T G.711 A-law to 16-bit linear, by the formula."""
    even = (codes ^ 0x55).astype(np.int32)
    mantissa, segment = ((even & 0x0F) << 4) + 8, (even & 0x70) >> 4
    magnitude = np.where(segment == 0, mantissa, (mantissa + 0x100) << np.maximum(segment - 1, 0))
    return np.where(even & 0x80, magnitude, -magnitude).astype(np.int16)
