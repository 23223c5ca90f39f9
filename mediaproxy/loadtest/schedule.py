"""Who sends when: every stream has its own phase within the 20 ms, in slots of a quarter millisecond.

Even slots belong to the callers' sockets and odd ones to the callees', and all streams of a slot
share a socket, so that a slot is one system call. A packet that is delayed (`network`) stays with its
socket: delays are multiples of the number of sockets.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest.wire import PTIME_NS

SLOTS = 80
SLOT_NS = PTIME_NS // SLOTS
SOCKETS = 16
CALLER_HOST = "127.0.0.2"
CALLEE_HOST = "127.0.0.3"

Number = TypeVar("Number", int, NDArray[np.int64])


@dataclass(frozen=True, slots=True)
class Stream:
    """What one leg's party says: `number` is 2 × call + leg; it is sent to the proxy's `port`."""

    number: int
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Speech:
    """`packets` packets of a stream, the first in the cycle `first`.

    In `pause` (indices, [from, to)) nothing is sent, as on hold; `digits` (index, digit) are dialled.
    """

    stream: Stream
    first: int
    packets: int
    pause: tuple[int, int] = (0, 0)
    digits: tuple[tuple[int, str], ...] = ()


def slot(stream: Number) -> Number:
    """Of one stream, or of many."""
    leg = stream % 2
    return 2 * ((stream // 2 * (1 + 6 * leg) + 3 * leg) % (SLOTS // 2)) + leg


def first_cycle(stream: int) -> int:
    """When a stream begins whose call is up long before: one call after the other begins to talk, 50 a
    second."""
    return stream // 2


def socket_index(stream: Number) -> Number:
    """Which of the sockets the stream is sent from; its leg's packets from the proxy arrive there too."""
    return slot(stream) % SOCKETS


def sink_index(stream: Number) -> Number:
    """Which socket must receive the stream: the one of the call's other leg."""
    return socket_index(stream ^ 1)
