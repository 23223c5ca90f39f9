"""The gate: in which intervals of the call clock audio may be kept."""

from dataclasses import dataclass

from mediaproxy.recording.manifest import Actor, Interval


@dataclass(slots=True)
class Opening:
    """`[start, end)`, `end` None while open; `tentative` until its journal line is durable."""

    number: int
    start: int
    started_by: Actor
    tentative: bool = True
    end: int | None = None
    ended_by: Actor | None = None

    def ends_after(self, position: int) -> bool:
        return self.end is None or self.end > position


class Gate:
    """Openings in the order of the call clock; they never overlap. At most the last one is open.

    `kind` is that of its intervals: "audio" of what the parties say, "announcement" of what we do.
    """

    __slots__ = ("_undecided", "kind", "openings")

    def __init__(self, kind: str = "audio") -> None:
        self.kind = kind
        self.openings: list[Opening] = []
        self._undecided: list[Opening] = []  # those of them that are tentative

    @property
    def is_open(self) -> bool:
        return bool(self.openings) and self.openings[-1].end is None

    @property
    def closed_at(self) -> int | None:
        """Where the last interval ended; None while open and when there never was one."""
        return self.openings[-1].end if self.openings else None

    def open(self, at: int, by: Actor, *, number: int) -> None:
        assert not self.is_open
        self.openings.append(Opening(number, at, by))
        self._undecided.append(self.openings[-1])

    def close(self, at: int, by: Actor) -> None:
        opening = self.openings[-1]
        opening.end, opening.ended_by = at, by

    def cut(self, duration: int, by: Actor) -> None:
        """Nothing lies at or beyond `duration`, for the end may have come before a toggle was applied."""
        self.openings = [o for o in self.openings if o.start < duration]
        self._undecided = [o for o in self._undecided if o.start < duration]
        if self.openings and self.openings[-1].ends_after(duration):
            self.close(duration, by)

    def confirm(self, number: int) -> None:
        for opening in self._undecided:
            if opening.number == number:
                opening.tentative = False
        self._undecided = [o for o in self._undecided if o.tentative]

    def annul(self, number: int) -> None:
        self.openings = [o for o in self.openings if o.number != number]
        self._undecided = [o for o in self._undecided if o.number != number]

    def overlaps(self, start: int, end: int) -> bool:
        """Whether any position of `[start, end)` lies in an interval."""
        for opening in reversed(self.openings):
            if not opening.ends_after(start):
                return False  # nor does any before it
            if opening.start < end:
                return True
        return False

    def contains(self, position: int) -> bool:
        return self.overlaps(position, position + 1)

    def settled_until(self) -> int | None:
        """Nothing at or beyond this position may be written out yet; None = no limit."""
        return self._undecided[0].start if self._undecided else None

    def admitting(self, arrival: int, late: int) -> list[Opening]:
        """The intervals that a packet with this arrival may fill: start <= arrival <= end + late."""
        found = []
        for opening in reversed(self.openings):
            if opening.end is not None and opening.end + late < arrival:
                break
            if opening.start <= arrival:
                found.append(opening)
        return found

    def intervals(self) -> tuple[Interval, ...]:
        """The closed, non-empty intervals."""
        return tuple(
            Interval(o.start, o.end, o.started_by, o.ended_by, self.kind)
            for o in self.openings
            if o.end is not None and o.ended_by is not None and o.end > o.start
        )
