"""A live recording as the loop keeps it: audio that waits for its turn to the disk. Does no I/O.

The rule that makes a crash harmless: **the file never reaches beyond a toggle that is not yet
durable in the journal.** So the audio of an interval reaches the disk only after its start line, and
a file that is longer than the last toggle proves that no toggle is missing up to its length.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mediaproxy.recording.journal import Header, Toggled
from mediaproxy.recording.manifest import Interval
from mediaproxy.recording.wav import FRAME_BYTES


class Piece(NamedTuple):
    """Consecutive sample frames from `first` on."""

    first: int
    frames: bytes | memoryview

    @property
    def end(self) -> int:
        return self.first + len(self.frames) // FRAME_BYTES

    def within(self, start: int, end: int) -> "Piece | None":
        """The part that lies in `[start, end)`."""
        first, last = max(start, self.first), min(end, self.end)
        if first >= last:
            return None
        if (first, last) == (self.first, self.end):
            return self
        begin = (first - self.first) * FRAME_BYTES
        stop = (last - self.first) * FRAME_BYTES
        return Piece(first, memoryview(self.frames)[begin:stop])


@dataclass(slots=True)
class _Opening:
    number: int
    position: int
    refused: bool = False


@dataclass(slots=True)
class LiveRecording:
    header: Header
    frames: int = 0  # the call clock, as far as it is final
    handed: int = 0  # what the file has been told of it
    waiting_bytes: int = 0
    lost_samples: int = 0
    due_ns: int = 0
    reasons: dict[str, None] = field(default_factory=dict)  # an ordered set
    _pieces: list[Piece] = field(default_factory=list)
    _barriers: dict[int, int] = field(default_factory=dict)  # ticket -> position
    _openings: list[_Opening] = field(default_factory=list)
    _refused: bool = False

    def write(self, first: int, frames: bytes | memoryview) -> None:
        self._pieces.append(Piece(first, frames))
        self.waiting_bytes += len(frames)
        self.extend(first + len(frames) // FRAME_BYTES)

    def extend(self, frames: int) -> None:
        if frames > self.frames:
            self.frames = frames

    def lose(self, samples: int, reason: str) -> None:
        """Audio that cannot be kept becomes silence, and the recording is degraded for it."""
        self.lost_samples += samples
        self.reasons[reason] = None

    def await_header(self, ticket: int) -> None:
        """Nothing leaves before the journal and the file are there."""
        self._barriers[ticket] = 0

    def await_toggle(self, ticket: int, toggled: Toggled) -> None:
        """Nothing from the toggle's position on leaves before `settle(ticket)`."""
        self._barriers[ticket] = toggled.position
        if toggled.opens:
            self._openings.append(_Opening(toggled.number, toggled.position))

    def await_annulment(self, ticket: int, number: int) -> None:
        """The opening is refused: its audio never leaves, and nothing does before `settle(ticket)`."""
        self.refuse(number)
        position = next((each.position for each in self._openings if each.number == number), self.frames)
        self._barriers[ticket] = position

    def settle(self, ticket: int) -> None:
        self._barriers.pop(ticket, None)

    def refuse(self, number: int) -> None:
        for opening in self._openings:
            if opening.number == number:
                opening.refused = self._refused = True

    @property
    def awaits(self) -> bool:
        """Whether some line must become durable before all may go to the disk."""
        return bool(self._barriers)

    def take(self) -> list[Piece]:
        """The pieces that may go to the disk now, in the order they came; moves `handed` on."""
        if self._barriers:
            return self._take_until(min(*self._barriers.values(), self.frames))
        self.handed = self.frames
        if len(self._openings) < 2 and not self._refused:
            return self._swap()
        return self._take_until(self.frames) if self._refused else self._take_settled()

    def _take_settled(self) -> list[Piece]:
        self._forget_openings()
        return self._swap()

    def _swap(self) -> list[Piece]:
        pieces, self._pieces = self._pieces, []
        self.waiting_bytes = 0
        return pieces

    def _take_until(self, limit: int) -> list[Piece]:
        self.handed = max(self.handed, limit)
        pieces = self._swap()
        self._pieces = [rest for each in pieces if (rest := each.within(limit, each.end))]
        self._measure()
        allowed = self._allowed([head for each in pieces if (head := each.within(0, limit))])
        self._forget_openings()
        return allowed

    def _forget_openings(self) -> None:
        """However often the gate was moved, only the openings that audio may still come for are kept."""
        openings = self._openings
        over = 0
        while over + 1 < len(openings) and openings[over + 1].position <= self.handed:
            over += 1
        if over:
            del openings[:over]
            self._refused = any(opening.refused for opening in openings)

    def take_all(self, duration: int, intervals: Sequence[Interval]) -> list[Piece]:
        """At the end: what lies in the intervals, whatever is still awaited; the rest is dropped."""
        pieces = self._swap()
        self.handed = self.frames = duration
        spans = [(i.start_sample, min(i.end_sample, duration)) for i in intervals]
        return [part for each in pieces for start, end in spans if (part := each.within(start, end))]

    def _measure(self) -> None:
        self.waiting_bytes = sum(len(each.frames) for each in self._pieces)

    def _allowed(self, pieces: list[Piece]) -> list[Piece]:
        for index, opening in enumerate(self._openings):
            if opening.refused:
                after = [each.position for each in self._openings[index + 1 :]]
                pieces = _without(pieces, opening.position, after[0] if after else None)
        return pieces


def _without(pieces: list[Piece], start: int, end: int | None) -> list[Piece]:
    parts = [each.within(0, start) for each in pieces]
    if end is not None:
        parts += [each.within(end, each.end) for each in pieces]
    return sorted((part for part in parts if part), key=lambda each: each.first)
