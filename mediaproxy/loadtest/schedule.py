"""Who sends when: every stream has its own phase within the 20 ms, in slots of a quarter millisecond.

Calls begin to talk one after the other within the first two seconds, as calls do; each of them talks for
the same time.

Even slots belong to the callers' sockets and odd ones to the callees', and all streams of a slot
share a socket, so that a slot is one system call.
"""

from dataclasses import dataclass

from mediaproxy.loadtest.wire import PTIME_NS

SLOTS = 80
SLOT_NS = PTIME_NS // SLOTS
RAMP = 100  # cycles of 20 ms within which all calls begin
SOCKETS = 16
CALLER_HOST = "127.0.0.2"
CALLEE_HOST = "127.0.0.3"
HOSTS = (CALLER_HOST, CALLEE_HOST)


@dataclass(frozen=True, slots=True)
class Stream:
    """What one leg's party says: `number` is 2 × call + leg; it is sent to the proxy's `port`."""

    number: int
    host: str
    port: int


def slot(stream: int) -> int:
    call, leg = divmod(stream, 2)
    spread = call if leg == 0 else call * 7 + 3
    return 2 * (spread % (SLOTS // 2)) + leg


def first_cycle(stream: int) -> int:
    """The cycle of 20 ms in which the stream's first packet is sent."""
    return (stream // 2 * 37) % RAMP


def socket_index(stream: int) -> int:
    """Which of the sockets the stream is sent from; its leg's packets from the proxy arrive there too."""
    return slot(stream) % SOCKETS


def sink_index(stream: int) -> int:
    """Which socket must receive the stream: the one of the call's other leg."""
    return socket_index(stream ^ 1)
