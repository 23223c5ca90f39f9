"""Digits that a synthetic agent dials in its stream: telephone-events (RFC 4733) in place of speech."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest import wire
from mediaproxy.rtp.events import DIGITS, TelephoneEvent, build_event

PAYLOAD_TYPE = 101
PACKETS = 7  # of a digit: 100 ms of it, whose last packet is sent three times
_LASTS = 5
_PAUSE = 5  # between two digits
_VOLUME = 10  # -dBm0
_LENGTH = 16  # header and event

Packet = tuple[int, TelephoneEvent]  # how many packets after the digit's first, and what it says


def dialled(digits: Iterable[tuple[int, str]]) -> list[tuple[int, Packet]]:
    """Index and content of every packet of `digits`: (index, digit)."""
    return [
        (first + at, (at, TelephoneEvent(DIGITS.index(digit), at >= _LASTS - 1, _VOLUME, _duration(at))))
        for first, digit in digits
        for at in range(PACKETS)
    ]


def code(index: int, digits: str) -> tuple[tuple[int, str], ...]:
    """A code that is dialled from packet `index` on."""
    return tuple((index + at * (PACKETS + _PAUSE), digit) for at, digit in enumerate(digits))


def silent(digits: Sequence[tuple[int, str]], packets: int) -> NDArray[np.bool_]:
    """Which of a stream's packets carry no speech because a digit stands there."""
    found = np.zeros(packets, dtype=np.bool_)
    for first, _ in digits:
        found[first : first + PACKETS] = True
    return found


def write(row: NDArray[np.void], packet: Packet) -> int:
    """Make a packet of speech one of a digit; gives its length. All of a digit have its first's timestamp."""
    at, event = packet
    row["pt"] = PAYLOAD_TYPE | (0x80 if at == 0 else 0)
    row["ts"] = (int(row["ts"][0]) - at * wire.SAMPLES) & 0xFFFFFFFF
    row["payload"][0, :4] = np.frombuffer(build_event(event), dtype=np.uint8)
    return _LENGTH


def _duration(at: int) -> int:
    return min(at + 1, _LASTS) * wire.SAMPLES
