"""The recorder of one media loop: from the ring to stretches of frames that are ready to be written.

It owns everything between tap and spool for all calls of the loop and does no I/O. Positions are
samples on each call's own call clock. Calls are named by their generation, as in the ring.

A toggle, a description and an end concern what arrives from then on: drain the ring before telling the
recorder of them (a toggle is exact either way: it is judged by arrival and media time).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mediaproxy.calls.model import RecordingPolicy
from mediaproxy.calls.plane import Codec, LegId, Tap
from mediaproxy.recording.manifest import Actor, Interval, StreamFacts
from mediaproxy.recording.ring import PacketRing
from mediaproxy.recording.states import Action, Refusal, State, Toggled


@dataclass(frozen=True, slots=True)
class Arm:
    """A call was answered and may be recorded. `channels[leg]` is the leg's channel, 0 or 1."""

    generation: int
    answered_ns: int
    policy: RecordingPolicy
    channels: tuple[int, int] = (0, 1)
    sample_rate: int = 8000


class Write(NamedTuple):
    """Frames `[start, end)` of a call's file are final. `frames` is interleaved 16-bit little-endian
    stereo; None is a hole: silence, the file need only reach `end`. In order and without gaps."""

    generation: int
    start: int
    end: int
    frames: bytes | None


class TapChange(NamedTuple):
    """Both legs' taps are to be set to `tap` now (emit SetTap for each leg)."""

    generation: int
    tap: Tap


@dataclass(frozen=True, slots=True)
class Status:
    """A live recording as of a moment."""

    state: State
    sample_rate: int
    duration_samples: int
    recorded_samples: int
    intervals: tuple[Interval, ...]  # closed ones
    open_since: tuple[int, Actor] | None  # start and author of the open one


@dataclass(frozen=True, slots=True)
class Finished:
    """The whole of a recording; `writes` brings the file to `duration_samples`.

    `opened` is false when no sample lies in an interval. `reasons` are fixed words that say why audio
    may be missing: `ring_full`, `window_full`, `codec_unsupported`, `streams_exceeded`.
    """

    writes: list[Write]
    toggled: Toggled
    duration_samples: int
    intervals: tuple[Interval, ...]
    streams: tuple[StreamFacts, ...]
    reasons: tuple[str, ...]
    opened: bool


class Recorder:
    """All recordings of one media loop."""

    def arm(self, arm: Arm) -> Toggled | None:
        """Begin a recording. An automatic one opens at 0, tentatively like every opening: the result is
        to be journalled and then confirmed or annulled. Ask `tap_changes` afterwards."""
        raise NotImplementedError

    def describe(
        self,
        generation: int,
        leg: LegId,
        audio: Mapping[int, Codec],
        digits: frozenset[int] = frozenset(),
        *,
        heard: bool = True,
    ) -> None:
        """What the leg may send from now on, as in `plane.Describe`. May precede nothing but `arm`."""
        raise NotImplementedError

    def toggle(self, generation: int, action: Action, by: Actor, now_ns: int) -> Toggled | Refusal:
        """Apply a command at the call clock's position of `now_ns`; `ENDED` when the call is unknown.

        `Toggled.tentative`: journal it, then `confirm` or `annul`. Ask `tap_changes` afterwards.
        """
        raise NotImplementedError

    def confirm(self, generation: int, number: int) -> None:
        """Opening `number` is durable: its audio may be written out. Unknown ones are absorbed."""
        raise NotImplementedError

    def annul(self, generation: int, number: int) -> None:
        """Opening `number` did not become durable: no byte of it was or will be handed out."""
        raise NotImplementedError

    def tap_changes(self, now_ns: int) -> list[TapChange]:
        """Which taps must change: payload while open and for 200 ms after a stop, else headers.

        To be asked after `arm`, `toggle`, `annul` and once per drain; says each change once.
        """
        raise NotImplementedError

    def drain(self, ring: PacketRing) -> list[Write]:
        """Take everything from the ring, place it, and return what became final (any call)."""
        raise NotImplementedError

    def status(self, generation: int, now_ns: int) -> Status | None:
        raise NotImplementedError

    def finish(self, generation: int, ended_ns: int, by: Actor) -> Finished | None:
        """The call ended at `ended_ns`. None when it is unknown. Drain the ring first, and settle every
        opening: an unsettled one counts as annulled."""
        raise NotImplementedError
