"""The packets of a run: time-coded PCMU, so that a recording tells which packet stands where.

Packet `k` of stream `s` carries one row of a random table, chosen by (s, k); no two packets of a
stream are alike and no two streams go through the table alike. No byte decodes to zero, so a zero in
a recording is always silence and never content.
"""

import numpy as np
from numpy.typing import NDArray

ROWS = 4093  # a prime, so that every stride visits every row: at most 4,093 packets (81 s) a stream
SAMPLES = 160  # 20 ms at 8 kHz
PTIME_NS = 20_000_000
PACKET_BYTES = 12 + SAMPLES
FIRST_SSRC = 0x10000000
FIRST_SEQ = 60_000  # wraps after 5,536 packets' worth of headers, like real streams do
SILENT_CODES = (0x7F, 0xFF)  # µ-law minus zero and plus zero
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


def payload_table() -> NDArray[np.uint8]:
    """ROWS rows of random µ-law codes without the silent ones."""
    codes = np.setdiff1d(np.arange(256, dtype=np.uint8), np.array(SILENT_CODES, dtype=np.uint8))
    return np.random.default_rng(_SEED).choice(codes, size=(ROWS, SAMPLES))


def rows(stream: NDArray[np.int64] | int, index: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Which row of the table packet `index` of `stream` carries."""
    return np.asarray((np.asarray(stream) * 997 + np.asarray(index) * (1 + np.asarray(stream))) % ROWS)


def fill(
    packets: NDArray[np.void],
    streams: NDArray[np.int64],
    index: NDArray[np.int64] | int,
    table: NDArray[np.uint8],
) -> None:
    """Write packet `index` of each of `streams` into the rows of `packets`."""
    packets["flags"] = 0x80
    packets["pt"] = 0
    packets["seq"] = (FIRST_SEQ + index) & 0xFFFF
    packets["ts"] = (SAMPLES * index) & 0xFFFFFFFF
    packets["ssrc"] = FIRST_SSRC + streams
    packets["payload"] = table[rows(streams, index)]


def recognise(
    packets: NDArray[np.void], table: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Stream and index of each packet as its header says, and whether every byte is as it was sent."""
    stream = packets["ssrc"].astype(np.int64) - FIRST_SSRC
    index = packets["ts"].astype(np.int64) // SAMPLES
    intact = (packets["flags"] == 0x80) & (packets["pt"] == 0) & (packets["ts"] % SAMPLES == 0)
    intact &= packets["seq"] == ((FIRST_SEQ + index) & 0xFFFF)
    intact &= (packets["payload"] == table[rows(stream, index)]).all(axis=1)
    return stream, index, intact


def stream_codes(stream: int, packets: int, table: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """All µ-law codes that `stream` speaks in its first `packets` packets."""
    return table[rows(stream, np.arange(packets, dtype=np.int64))].reshape(-1)


def decode_ulaw(codes: NDArray[np.uint8]) -> NDArray[np.int16]:
    """ITU-T G.711 µ-law to 16-bit linear, by the formula; independent of the proxy's own tables."""
    inverted = (~codes).astype(np.int32)
    magnitude = ((((inverted & 0x0F) << 3) + 0x84) << ((inverted & 0x70) >> 4)) - 0x84
    return np.where(inverted & 0x80, -magnitude, magnitude).astype(np.int16)
