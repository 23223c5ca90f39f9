"""The ring between the tap and the recorder: fixed-size records in one block of memory.

The producer (a media plane) and the consumer (the recorder) run on the same loop. The producer
never blocks or raises: a record that finds the ring full is dropped and counted, as are the next ones of
its leg, one to four seconds long, and the sample positions they would have filled read as silence. A hole
costs the recorder more than a hundred packets in order: with many short ones it would never catch up. A
plane in the kernel can fill a ring of the same layout.

One *pass* is one round of the plane over its sockets:

    ring.begin_pass(now_ns)            # a reading taken before the first read
    ring.put(...) ...                  # arrival_ns: a reading taken after the reads it stamps
    ring.end_pass(emptied=True)        # emptied: every socket was found empty in this pass

From that the ring knows the *drain mark* D (everything that arrived before it has been seen) and, for
every record, A0 = D as it stood before the record's pass: the packet arrived between A0 and A.
"""

from array import array
from collections.abc import Callable
from struct import Struct

import numpy as np
from numpy.typing import NDArray

SLOT_BYTES = 1536
HEADER = Struct("<IBBBBIHHIqI")
MAX_PAYLOAD_BYTES = SLOT_BYTES - HEADER.size
DEFAULT_SLOTS = 16_384
LEAST_LEFT_OUT, MORE_LEFT_OUT = 64, 128  # records of a leg, from the one that found no slot on

HAS_PAYLOAD = 1  # flag: the record carries its payload; else `length` alone tells its size
IS_DIGIT = 2  # flag: the span of a withheld digit; `length` is its duration in timestamp units

RECORD = np.dtype(
    [
        ("generation", "<u4"),
        ("leg", "u1"),
        ("flags", "u1"),
        ("payload_type", "u1"),
        ("marker", "u1"),
        ("ssrc", "<u4"),
        ("seq", "<u2"),
        ("length", "<u2"),
        ("timestamp", "<u4"),
        ("arrival_ns", "<i8"),
        ("pass_number", "<u4"),
        ("payload", "u1", (MAX_PAYLOAD_BYTES,)),
    ]
)

HEAD = np.dtype(RECORD.descr[:-1])  # all but the payload

_pack_into = HEADER.pack_into


def left_out(key: int) -> int:
    """How many records of a leg (`generation * 2 + leg`) are left out: not as many of each, so that they do
    not come back together."""
    return LEAST_LEFT_OUT + key % MORE_LEFT_OUT


class PacketRing:
    """A power of two of slots of 1,536 bytes, all touched at construction: RSS stays flat after it.

    Field values are taken as they come off the wire and must be in range; `leg` is a `LegId`.
    """

    __slots__ = (
        "_before_ns",
        "_drain_mark_ns",
        "_earliest_ns",
        "_heads",
        "_holes",
        "_mask",
        "_memory",
        "_pass_number",
        "_pass_written",
        "_passes",
        "_read",
        "_records",
        "_slots",
        "_taken",
        "_view",
        "_written",
        "left_out",
    )

    def __init__(self, slots: int = DEFAULT_SLOTS, *, now_ns: int = 0) -> None:
        if slots <= 0 or slots & (slots - 1):
            raise ValueError("the number of slots must be a power of two")
        self._slots = slots
        self._mask = slots - 1
        self.left_out: dict[int, int] = {}  # by `generation * 2 + leg`: how many more records are dropped
        self._memory = bytearray(b"\0") * (slots * SLOT_BYTES)  # repeats by memset, so it is resident
        self._view = memoryview(self._memory)
        self._records: NDArray[np.void] = np.frombuffer(self._memory, dtype=RECORD)
        self._written = 0
        self._read = 0
        self._taken = 0
        self._heads: list[NDArray[np.void]] | None = None
        self._holes: list[tuple[int, dict[int, int]]] = []  # before which record, and what is missing
        # A pass without records gets no number, so the records in the ring span at most `slots` passes.
        self._passes = array("q", [now_ns]) * slots
        self._earliest_ns: NDArray[np.int64] = np.frombuffer(self._passes, dtype=np.int64)
        self._pass_number = 0
        self._pass_written = 0
        self._before_ns = now_ns
        self._drain_mark_ns = now_ns

    # The producer's side.

    def begin_pass(self, now_ns: int) -> None:
        """A pass over the sockets begins; `now_ns` was read before its first read."""
        self._before_ns = now_ns
        if self._written != self._pass_written:
            self._pass_written = self._written
            self._pass_number += 1
        self._passes[self._pass_number & self._mask] = self._drain_mark_ns

    def end_pass(self, *, emptied: bool) -> None:
        """The pass is over; `emptied` says that every socket was read until nothing was left."""
        if emptied and self._before_ns > self._drain_mark_ns:
            self._drain_mark_ns = self._before_ns

    def found_empty_since(self, now_ns: int) -> None:
        """Each socket was found empty at some moment after `now_ns`, not all of them in one pass: a busy
        plane knows that sooner than it finds all of them empty at once."""
        if now_ns > self._drain_mark_ns:
            self._drain_mark_ns = now_ns

    def put(
        self,
        generation: int,
        leg: int,
        payload_type: int,
        marker: int,
        ssrc: int,
        seq: int,
        timestamp: int,
        arrival_ns: int,
        payload: bytes | memoryview,
    ) -> None:
        """Copy a packet with its payload (Tap.PAYLOAD), padding and extensions left out."""
        at = self._written
        length = len(payload)
        if (at - self._read > self._mask or self.left_out) and self._leaves_out(generation, leg):
            return
        if length > MAX_PAYLOAD_BYTES:
            self.drop(generation, leg)
            return
        start = (at & self._mask) * SLOT_BYTES
        _pack_into(
            self._memory, start, generation, leg, HAS_PAYLOAD, payload_type, marker, ssrc, seq, length,
            timestamp, arrival_ns, self._pass_number & 0xFFFFFFFF,
        )  # fmt: skip
        start += 32
        self._view[start : start + length] = payload
        self._written = at + 1

    def put_header(
        self,
        generation: int,
        leg: int,
        payload_type: int,
        marker: int,
        ssrc: int,
        seq: int,
        timestamp: int,
        arrival_ns: int,
        length: int,
    ) -> None:
        """Copy a packet's header alone (Tap.HEADERS); `length` is what its payload would have had."""
        at = self._written
        if (at - self._read > self._mask or self.left_out) and self._leaves_out(generation, leg):
            return
        _pack_into(
            self._memory, (at & self._mask) * SLOT_BYTES, generation, leg, 0, payload_type, marker, ssrc,
            seq, length, timestamp, arrival_ns, self._pass_number & 0xFFFFFFFF,
        )  # fmt: skip
        self._written = at + 1

    def put_digit(
        self,
        generation: int,
        leg: int,
        payload_type: int,
        ssrc: int,
        seq: int,
        timestamp: int,
        arrival_ns: int,
        duration: int,
    ) -> None:
        """A digit was withheld (RFC 4733): the leg's track is zero for `duration` units from `timestamp`.

        To be put for every packet of the digit, with the duration that it names.
        """
        at = self._written
        if (at - self._read > self._mask or self.left_out) and self._leaves_out(generation, leg):
            return
        _pack_into(
            self._memory, (at & self._mask) * SLOT_BYTES, generation, leg, IS_DIGIT, payload_type, 0, ssrc,
            seq, min(duration, 0xFFFF), timestamp, arrival_ns, self._pass_number & 0xFFFFFFFF,
        )  # fmt: skip
        self._written = at + 1

    # The producer's side, for one that writes records by itself.

    @property
    def address(self) -> int:
        """Where the first slot lies in memory; it never moves."""
        address: int = self._records.ctypes.data
        return address

    def room(self) -> tuple[int, int, int]:
        """`(written, until, pass number)`: records may be written from number `written` up to, not including,
        `until`, each into slot `number % slots`. To be told to `wrote`."""
        return self._written, self._read + self._slots, self._pass_number & 0xFFFFFFFF

    def wrote(self, written: int) -> None:
        self._written = written

    @property
    def used(self) -> int:
        """Slots waiting for the consumer. Above half of them the plane should ask for a drain at once,
        also within a pass: after a stall a single pass can bring more than the ring holds."""
        return self._written - self._read

    @property
    def pressed(self) -> bool:
        """More than half full: drain now."""
        return (self._written - self._read) * 2 > self._slots

    # The consumer's side.

    @property
    def slots(self) -> int:
        return self._slots

    @property
    def drain_mark_ns(self) -> int:
        """D: everything that arrived before it has been put into the ring."""
        return self._drain_mark_ns

    @property
    def taken_until_ns(self) -> int:
        """Everything that arrived before it has been taken: D, or where the waiting records begin."""
        if self._written == self._read:
            return self._drain_mark_ns
        oldest: int = HEADER.unpack_from(self._memory, (self._read & self._mask) * SLOT_BYTES)[-1]
        return min(self._drain_mark_ns, self._passes[oldest & self._mask])

    def take(self, most: int | None = None) -> list[NDArray[np.void]]:
        """The waiting records, oldest first, as at most two views of `RECORD`; valid until `free`, as are
        their `heads`. None of them came after any that was dropped and not told by `take_dropped`."""
        waiting = (self._holes[0][0] if self._holes else self._written) - self._read
        self._taken = waiting if most is None else min(most, waiting)
        self._heads = None
        return self._views()

    @property
    def heads(self) -> list[NDArray[np.void]]:
        """The headers of what was taken, as `HEAD`."""
        if self._heads is None:
            self._heads = [_heads(records) for records in self._views()]
        return self._heads

    def _views(self) -> list[NDArray[np.void]]:
        start, count = self._read & self._mask, self._taken
        if not count:
            return []
        first = self._records[start : start + count]
        rest = count - len(first)
        return [first, self._records[:rest]] if rest else [first]

    def earliest_ns(self, pass_numbers: NDArray[np.uint32]) -> NDArray[np.int64]:
        """A0 of each pass number: the earliest moment at which its packets can have arrived."""
        return self._earliest_ns.take(pass_numbers & np.uint32(self._mask))

    @property
    def passes_ns(self) -> NDArray[np.int64]:
        """A0 by pass number, modulo their count."""
        return self._earliest_ns

    def free(self, wipe: Callable[[NDArray[np.void]], None] | None = None) -> None:
        """Overwrite what `take` returned with zeros and give the slots back. `wipe` overwrites the payloads
        of some records in another way."""
        if wipe is None:
            self._wipe()
        else:
            for records in self._views():
                wipe(records)
        self._read += self._taken
        self._taken = 0
        self._heads = None

    def _wipe(self) -> None:
        for records, known in zip(self._views(), self.heads, strict=True):
            carried = known["length"][known["flags"] & HAS_PAYLOAD != 0]
            if len(carried):
                records["payload"][:, : int(carried.max())] = 0

    def take_dropped(self) -> dict[int, int]:
        """Records dropped for want of a slot between what was taken and what comes next, by
        `generation * 2 + leg`."""
        if not self._holes or self._holes[0][0] > self._read:
            return {}
        return self._holes.pop(0)[1]

    def drop(self, generation: int, leg: int, count: int = 1) -> None:
        """So many records of a leg were dropped up to here."""
        if not self._holes or self._holes[-1][0] != self._written:
            self._holes.append((self._written, {}))
        dropped, key = self._holes[-1][1], generation * 2 + leg
        dropped[key] = dropped.get(key, 0) + count

    def _leaves_out(self, generation: int, leg: int) -> bool:
        """Whether the leg's record is dropped. The first and the last of those that are tell the recorder."""
        key = generation * 2 + leg
        left = self.left_out.get(key)
        if left is None:
            if self._written - self._read <= self._mask:
                return False
            if len(self.left_out) >= self._slots:
                self.left_out.clear()  # mostly of legs that are gone
            self.left_out[key] = left_out(key) - 1
            self.drop(generation, leg)
        elif left > 1:
            self.left_out[key] = left - 1
        else:
            del self.left_out[key]
            self.drop(generation, leg, left_out(key) - 1)
        return True


def _heads(records: NDArray[np.void]) -> NDArray[np.void]:
    """The records' headers side by side, as `HEAD`: each record is far from the next, so that every field
    read in place would fetch all of them anew."""
    there: NDArray[np.void] = np.ndarray(records.shape, f"V{HEAD.itemsize}", records, 0, records.strides)
    return there.copy().view(HEAD)
