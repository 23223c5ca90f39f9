"""The relay's hot path in C, for who has built it: legs of which there is nothing to decide are *lent* to it.

A leg is lent when a packet of its line went the plain way in Python; the next ones do the same in C.
Whatever changes what its packets ask for, or wants to know what they were, recalls it first: then the leg is
as if all of them had gone by Python, and the next one does.
"""

import ctypes
from struct import Struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mediaproxy.limits import MAX_RTP_BYTES
from mediaproxy.media.userspace.leg import Leg
from mediaproxy.native import library
from mediaproxy.recording.ring import PacketRing, left_out
from mediaproxy.rtp.packet import HEADER

DESCRIPTORS: Final = (
    1 << 16
)  # a larger one is never lent. Memory is taken as lines are used, from the first on
_LINE: Final = Struct("<iIBBBBiqQQQQ12s4x")  # struct line of native/relay.c, but for the actions
_LINE_BYTES: Final = _LINE.size + 256
_LAST_NS: Final = 16  # where it lies in a line
_INT64: Final = Struct("<q")
_EVENT_BYTES: Final = 16  # of a struct epoll_event, at most


class _Pass(ctypes.Structure):
    _fields_ = (
        ("line_of", ctypes.c_void_p),
        ("lines", ctypes.c_void_p),
        ("ring", ctypes.c_void_p),
        ("buffer", ctypes.c_void_p),
        ("events", ctypes.c_void_p),
        ("ready", ctypes.c_void_p),
        ("left", ctypes.c_void_p),
        ("dropped", ctypes.c_void_p),
        ("mask", ctypes.c_uint64),
        ("written", ctypes.c_uint64),
        ("until", ctypes.c_uint64),
        ("pass_number", ctypes.c_uint32),
        ("descriptors", ctypes.c_int32),
        ("most", ctypes.c_int32),
        ("count", ctypes.c_int32),
        ("next", ctypes.c_int32),
        ("left_count", ctypes.c_int32),
        ("dropped_count", ctypes.c_int32),
        ("held", ctypes.c_int32),
        ("size", ctypes.c_int32),
    )


class FastLines:
    """`buffer` is where packets are read into: MAX_RTP_BYTES + 1 bytes that never move."""

    def __init__(self, hot: ctypes.PyDLL, ring: PacketRing, buffer: bytearray) -> None:
        self._poll, self._read = hot.relay_poll, hot.relay_read
        self._poll.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
        self._read.argtypes, self._read.restype = (ctypes.c_void_p,), None
        self._ring = ring
        self._line_of: NDArray[np.int32] = np.zeros(DESCRIPTORS, dtype=np.int32)
        self._lines: NDArray[np.uint8] = np.zeros(DESCRIPTORS * _LINE_BYTES, dtype=np.uint8)
        self._free: list[int] = []
        self._used = 1  # line 0 is nobody's
        self._view = self._lines.data
        self._pass = _Pass(
            line_of=self._line_of.ctypes.data,
            lines=self._lines.ctypes.data,
            ring=ring.address,
            buffer=ctypes.addressof(ctypes.c_char.from_buffer(buffer)),
            mask=ring.slots - 1,
            descriptors=DESCRIPTORS,
            most=MAX_RTP_BYTES,
        )
        self._address = ctypes.addressof(self._pass)
        self._make_room(64)

    def _make_room(self, descriptors: int) -> None:
        self._events: NDArray[np.uint8] = np.zeros(descriptors * _EVENT_BYTES, dtype=np.uint8)
        self._ready: NDArray[np.int32] = np.zeros(descriptors, dtype=np.int32)
        self._left: NDArray[np.int32] = np.zeros(descriptors, dtype=np.int32)
        self._dropped: NDArray[np.uint64] = np.zeros(descriptors, dtype=np.uint64)
        self._pass.dropped = self._dropped.ctypes.data
        self._pass.events = self._events.ctypes.data
        self._pass.ready, self._pass.left = self._ready.ctypes.data, self._left.ctypes.data

    # A pass.

    def poll(self, epoll: int, at_most: int) -> int:
        """How many sockets are ready."""
        if at_most > len(self._ready):
            self._make_room(2 * at_most)
        count: int = self._poll(self._address, epoll, at_most)
        return count

    def read(self) -> int:
        """Relay and tap what is lent. -1, or a descriptor whose packet (`size`) lies in the buffer for
        somebody else: then to be called again."""
        state, ring = self._pass, self._ring
        state.written, state.until, state.pass_number = ring.room()
        self._read(self._address)
        ring.wrote(state.written)
        if state.dropped_count:
            for key in self._dropped[: state.dropped_count].tolist():
                ring.drop(key >> 2, key >> 1 & 1, left_out(key >> 1) - 1 if key & 1 else 1)
        held: int = state.held
        return held

    @property
    def size(self) -> int:
        size: int = self._pass.size
        return size

    def ready(self) -> list[int]:
        """The descriptors of the last poll."""
        descriptors: list[int] = self._ready[: self._pass.count].tolist()
        return descriptors

    def left(self) -> list[int]:
        """Those that nobody has read yet."""
        descriptors: list[int] = self._left[: self._pass.left_count].tolist()
        return descriptors

    # Lines.

    def lend(self, descriptor: int, leg: Leg) -> None:
        """From now on its packets go from its socket, `descriptor`, straight to the other leg's."""
        if descriptor >= DESCRIPTORS:
            return
        line = self._free.pop() if self._free else self._used
        self._used = max(self._used, line + 1)
        at = line * _LINE_BYTES
        more = self._ring.left_out.pop(leg.generation * 2 + leg.id, 0)
        _LINE.pack_into(
            self._view, at, leg.other.pair.rtp.fileno(), leg.generation, 1, leg.id, 0, more, descriptor,
            leg.last_ns, 0, 0, 0, 0, b"",
        )  # fmt: skip
        self._line_of[descriptor] = line
        self._view[at + _LINE.size : at + _LINE_BYTES] = leg.actions
        leg.loan, leg.lent_at = self, at

    def recall(self, leg: Leg) -> None:
        """The leg is as if all of its packets had gone by Python."""
        at, leg.loan = leg.lent_at, None
        _, _, _, _, heard, more, descriptor, last_ns, packets, relayed, oversize, send_failed, last = (
            _LINE.unpack_from(self._view, at)
        )
        if more:
            self._ring.left_out[leg.generation * 2 + leg.id] = more
        self._line_of[descriptor] = 0
        self._free.append(at // _LINE_BYTES)
        self._view[at : at + _LINE.size] = bytes(_LINE.size)
        leg.last_ns = last_ns
        leg.packets += packets
        leg.relayed += relayed
        leg.oversize += oversize
        leg.send_failed += send_failed
        if heard:
            leg.last = HEADER.unpack(last)

    def last_ns(self, leg: Leg) -> int:
        """When its last packet came."""
        last_ns: int = _INT64.unpack_from(self._view, leg.lent_at + _LAST_NS)[0]
        return last_ns


def fast_lines(ring: PacketRing, buffer: bytearray) -> FastLines | None:
    """None where the helper was not built."""
    hot = library()
    return None if hot is None else FastLines(hot, ring, buffer)
