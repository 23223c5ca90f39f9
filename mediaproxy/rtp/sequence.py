"""Sequence numbers after packets were withheld or added: the receiver sees no gap and no repeat.

Every change takes effect from a sequence number on, so a packet that comes late is numbered as its
neighbours were. A packet that is withheld *after* its successors were relayed leaves a hole, like a
lost one: closing it would give a number twice.
"""

from typing import Final

from mediaproxy.limits import MAX_STREAMS_PER_LEG
from mediaproxy.serial import signed_distance

_MAX_MISORDER: Final = 100  # further back than this the sender has begun anew
_MAX_STEPS: Final = 64


class SequenceMap:
    """The renumbering of one SSRC. In and out are 16-bit sequence numbers."""

    __slots__ = ("_highest", "_offset", "_steps")

    def __init__(self, highest: int) -> None:
        """`highest` was the last sequence number relayed unchanged."""
        self._highest = highest  # extended; what came in
        self._offset = 0  # of everything after `_highest`
        self._steps: list[tuple[int, int]] = []  # (first extended sequence, offset before it)

    def forward(self, seq: int) -> int:
        """The number under which `seq` is relayed."""
        ahead = seq - self._highest & 0xFFFF
        if 0 < ahead < 0x8000:  # the usual case, on the hot path
            self._highest += ahead
            return seq + self._offset & 0xFFFF
        at = self._extend(seq)
        if at > self._highest:
            self._highest = at
            return at + self._offset & 0xFFFF
        return at + self._offset_at(at) & 0xFFFF

    def backward(self, seq: int) -> int:
        """The number under which came what was relayed as `seq`; of a packet of ours, and of what followed
        withheld ones, that of the last one before it."""
        offset = self._offset
        at = self._highest + offset
        at += signed_distance(at & 0xFFFF, seq, bits=16)
        for first, before in reversed(self._steps):
            if at >= first + offset:
                break
            if at >= first + before:
                return first - 1 & 0xFFFF
            offset = before
        return at - offset & 0xFFFF

    def withhold(self, seq: int) -> None:
        """`seq` is not relayed."""
        at = self._extend(seq)
        if at > self._highest:
            self._highest = at
            self._change(-1)

    def insert(self) -> int:
        """The number for a packet of ours that follows everything relayed so far."""
        self._change(+1)
        return self._highest + self._offset & 0xFFFF

    def _change(self, by: int) -> None:
        self._steps.append((self._highest + 1, self._offset))
        del self._steps[:-_MAX_STEPS]
        self._offset += by

    def _offset_at(self, at: int) -> int:
        offset = self._offset
        for first, before in reversed(self._steps):
            if at >= first:
                break
            offset = before
        return offset

    def _extend(self, seq: int) -> int:
        distance = signed_distance(self._highest & 0xFFFF, seq, bits=16)
        if distance < -_MAX_MISORDER:
            self._highest += distance - 1
            self._steps.clear()
            return self._highest + 1
        return self._highest + distance


class Renumbering:
    """The sequence maps of one direction, by SSRC; SSRCs without one pass unchanged."""

    __slots__ = ("_maps",)

    def __init__(self) -> None:
        self._maps: dict[int, SequenceMap] = {}

    def forward(self, ssrc: int, seq: int) -> int:
        found = self._maps.get(ssrc)
        return seq if found is None else found.forward(seq)

    def backward(self, ssrc: int, seq: int) -> int:
        """The other way round; see `SequenceMap.backward`."""
        found = self._maps.get(ssrc)
        return seq if found is None else found.backward(seq)

    def withhold(self, ssrc: int, seq: int, *, relayed: int | None) -> None:
        """`relayed`: the SSRC's last sequence number relayed so far, None when there is none."""
        self._map(ssrc, seq - 1 if relayed is None else relayed).withhold(seq)

    def know(self, ssrc: int, *, relayed: int) -> None:
        """From here on this SSRC is numbered here: packets of ours may come between its own."""
        self._map(ssrc, relayed)

    def insert(self, ssrc: int, *, relayed: int) -> int:
        return self._map(ssrc, relayed).insert()

    def _map(self, ssrc: int, relayed: int) -> SequenceMap:
        found = self._maps.get(ssrc)
        if found is None:
            if len(self._maps) >= MAX_STREAMS_PER_LEG:
                del self._maps[next(iter(self._maps))]
            found = self._maps[ssrc] = SequenceMap(relayed)
        return found
