"""The recorder of one media loop: from the ring to stretches of frames that are ready to be written.

It owns everything between tap and spool for all calls of the loop and does no I/O. Positions are
samples on each call's own call clock. Calls are named by their generation, as in the ring.

A toggle, a description and an end concern what arrives from then on: drain the ring before telling the
recorder of them (a toggle is exact either way: it is judged by arrival and media time).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mediaproxy.audio.sound import Sound
from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import Codec, LegId, Tap
from mediaproxy.clock import NS_PER_MS
from mediaproxy.native import library
from mediaproxy.recording.clock import CallClock
from mediaproxy.recording.compiled import CompiledLanes
from mediaproxy.recording.gate import Gate
from mediaproxy.recording.lanes import ANY_MARKER, Batch, Ints, Lanes
from mediaproxy.recording.live import CHUNK_MS, Ease, LiveRecording, Record
from mediaproxy.recording.manifest import Actor, Interval, StreamFacts
from mediaproxy.recording.packets import Margins
from mediaproxy.recording.ring import HAS_PAYLOAD, HEADER, IS_DIGIT, SLOT_BYTES, PacketRing
from mediaproxy.recording.states import Action, Refusal, State, Toggled
from mediaproxy.recording.tracks import G711_HZ, Laws
from mediaproxy.recording.transits import LeastTransits
from mediaproxy.recording.window import Stretch, WindowPool

FIRST_SLOTS = 64
GENERATIONS = 1 << 16  # of the look-up; generations that fall on one another go the slow way
CALLS_AT_ONCE = 64  # whose decoded audio is in memory at once, a chunk of each
FEW = 4  # fewer records than this are not worth a step over all lanes
NEVER_NS = (1 << 63) - 1
MAX_TAKEN_NS = 40 * NS_PER_MS  # of the 88 ms that a row holds beyond lag and chunk
CHUNK = CHUNK_MS * G711_HZ // 1000
CHUNK_NS = CHUNK_MS * NS_PER_MS

# A record's header as the lanes compare it: two words of eight bytes where the fields of `RECORD` lie.
WORDS = np.dtype(
    {
        "names": ["generation", "who", "next", "arrival_ns", "pass_number"],
        "formats": ["<u4", "<i8", "<i8", "<i8", "<u4"],
        "offsets": [0, 4, 12, 20, 28],
        "itemsize": HEADER.size,
    }
)


@dataclass(frozen=True, slots=True)
class Arm:
    """A call was answered and may be recorded. `channels[leg]` is the leg's channel, 0 or 1."""

    generation: int
    answered_ns: int
    policy: RecordingPolicy
    channels: tuple[int, int] = (0, 1)
    sample_rate: int = 8000
    barred: bool = False  # see `Recorder.bar`


class Write(NamedTuple):
    """Frames `[start, end)` of a call's file are final. `frames` is interleaved 16-bit little-endian
    stereo; None is a hole: silence, the file need only reach `end`. In order and without gaps."""

    generation: int
    start: int
    end: int
    frames: bytes | memoryview | None


class TapChange(NamedTuple):
    """Both legs' taps are to be set to `tap` now (emit SetTap for each leg)."""

    generation: int
    tap: Tap


class OpenInterval(NamedTuple):
    """The one that has no end yet; `kind` as in `manifest.Interval`."""

    start: int
    by: Actor
    kind: str


@dataclass(frozen=True, slots=True)
class Status:
    """A live recording as of a moment. `recorded_samples` are those of the parties' audio alone."""

    state: State
    sample_rate: int
    duration_samples: int
    recorded_samples: int
    intervals: tuple[Interval, ...]  # closed ones
    open_since: OpenInterval | None


@dataclass(frozen=True, slots=True)
class Finished:
    """The whole of a recording; `writes` brings the file to `duration_samples`.

    `opened` is false when no sample lies in an interval. `reasons` are fixed words that say why audio
    may be missing: `ring_full`, `window_full`, `codec_unsupported`, `payload_bad`, `streams_exceeded`,
    `recorder_failed`.
    """

    writes: list[Write]
    duration_samples: int
    intervals: tuple[Interval, ...]
    streams: tuple[StreamFacts, ...]
    reasons: tuple[str, ...]
    opened: bool


class Recorder:
    """All recordings of one media loop. `fast` off sends every packet through the rule, one by one, and
    `compiled` off those of the lanes through numpy: the files and counters are the same."""

    def __init__(self, *, fast: bool = True, compiled: bool = True) -> None:
        self._fast = fast
        self._pool = WindowPool()
        helper = library() if fast and compiled else None
        self._transits = LeastTransits(helper=helper)
        self._margins: dict[int, Margins] = {}  # by rate
        self._laws = Laws()
        self._live: dict[int, LiveRecording] = {}
        self._mark_ns = self._written_ns = 0  # up to when was taken, and written out
        self._holding: dict[int, LiveRecording] = {}
        self._tapping: dict[int, LiveRecording] = {}  # whose tap may have to change
        # Slot 0 is nobody's: what is not known falls on it.
        self._slot_of: NDArray[np.int32] = np.zeros(GENERATIONS, dtype=np.int32)
        self._compiled = (
            None if helper is None else CompiledLanes(helper, self._pool, self._transits, self._slot_of)
        )
        self._lanes = Lanes(self._pool, self._transits, self._compiled)
        self._generation: Ints = np.zeros(0, dtype=np.int64)
        self._due_ns: Ints = np.zeros(0, dtype=np.int64)
        self._by_slot: list[LiveRecording | None] = []
        self._free: list[int] = []
        self._resize(FIRST_SLOTS)

    def arm(self, arm: Arm) -> Toggled | None:
        """Begin a recording. An automatic one opens at 0, tentatively like every opening: the result is
        to be journalled and then confirmed or annulled. Ask `tap_changes` afterwards."""
        if not self._free:
            self._resize(len(self._by_slot) * 3 // 2)
        clock = CallClock(arm.answered_ns, arm.sample_rate)
        live = LiveRecording(
            arm.generation, self._free.pop(), clock, arm.policy, arm.channels, self._pool, self._transits,
            self._margins_of(arm.sample_rate), self._laws,
        )  # fmt: skip
        self._live[arm.generation] = self._tapping[arm.generation] = live
        self._by_slot[live.slot] = live
        self._generation[live.slot] = arm.generation
        self._slot_of[arm.generation % GENERATIONS] = live.slot
        self._due_ns[live.slot] = live.due_ns()
        live.states.barred = arm.barred
        if arm.policy.policy is not Policy.AUTOMATIC or arm.barred:
            return None
        opened = live.toggle(Action.START, Actor("policy"), 0)
        assert isinstance(opened, Toggled)
        return opened

    def describe(
        self,
        generation: int,
        leg: LegId,
        audio: Mapping[int, Codec],
        digits: frozenset[int] = frozenset(),
        *,
        heard: bool = True,
    ) -> None:
        """What the leg may send from now on, as in `plane.Describe`; absorbed when the call is unknown.
        `digits` say nothing more than that these types are no audio."""
        live = self._live.get(generation)
        if live is not None:
            self._lanes.recall(live)
            live.tracks[leg].describe(audio, digits, heard=heard)

    def bar(self, generation: int, *, barred: bool) -> None:
        """While barred every opening is refused; what is open is for the caller to stop."""
        live = self._live.get(generation)
        if live is not None:
            live.states.barred = barred

    def toggle(self, generation: int, action: Action, by: Actor, now_ns: int) -> Toggled | Refusal:
        """Apply a command at the call clock's position of `now_ns`; `ENDED` when the call is unknown.

        `Toggled.tentative`: journal it, then `confirm` or `annul`. Ask `tap_changes` afterwards.
        """
        live = self._live.get(generation)
        if live is None:
            return Refusal.ENDED
        self._lanes.recall(live)
        self._tapping[generation] = live
        return live.toggle(action, by, max(live.clock.position(now_ns), 0))

    def announced(self, generation: int, now_ns: int) -> Toggled | None:
        """The announcement that the recording waits for was played in full to everyone: it opens at the
        position of `now_ns`. To be journalled as any opening; None when nothing waits for it any more."""
        live = self._live.get(generation)
        if live is None:
            return None
        self._lanes.recall(live)
        self._tapping[generation] = live
        return live.announced(live.clock.position(now_ns))

    def speak(self, generation: int, leg: LegId, at_ns: int, sound: Sound, stretch: tuple[int, int]) -> None:
        """What `leg`'s party hears of ours from `at_ns` on: `stretch` is (first, ticks) of the sound. It
        stands where the other leg's audio would, in an announcement's interval alone; absorbed when the
        call is unknown."""
        live = self._live.get(generation)
        if live is not None:
            self._lanes.recall(live)
            pcm = sound.stretch(*stretch, live.clock.sample_rate)
            live.speak(live.tracks[leg.other].channel, live.clock.position(at_ns), pcm)

    def confirm(self, generation: int, number: int) -> None:
        """Opening `number` is durable: its audio may be written out. Unknown ones are absorbed."""
        live = self._live.get(generation)
        if live is not None:
            live.states.confirm(number)

    def annul(self, generation: int, number: int) -> None:
        """Opening `number` did not become durable: no byte of it was or will be handed out."""
        live = self._live.get(generation)
        if live is not None:
            self._lanes.recall(live)
            live.annul(number)
            self._tapping[generation] = live

    def tap_changes(self, now_ns: int) -> list[TapChange]:
        """Which taps must change: payload while open and for 200 ms after a stop, else headers.

        To be asked after `arm`, `toggle`, `annul` and once per drain; says each change once.
        """
        changes = []
        for generation, live in list(self._tapping.items()):
            tap = live.tap_at(live.clock.position(now_ns))
            if tap is not live.tap:
                live.tap = tap
                changes.append(TapChange(generation, tap))
            if tap is Tap.HEADERS or live.states.gate.is_open:
                del self._tapping[generation]
        return changes

    def drain(self, ring: PacketRing) -> list[Write]:
        """Take everything from the ring, place it, and return what became final (any call)."""
        while True:
            self.take(ring)
            if not ring.used:
                return list(self.write_out())

    def take(self, ring: PacketRing, most: int | None = None) -> None:
        """Take what waits in the ring, or at most so many records, up to where any were dropped; place it."""
        try:
            taken = ring.take(most)
            if self._compiled is not None:
                for records in taken:
                    self._receive_compiled(self._compiled, records, ring.passes_ns)
            else:
                for records, known in zip(taken, ring.heads, strict=True):
                    self._receive(records, known, ring.earliest_ns(known["pass_number"]))
        finally:  # whatever happens: audio stays in it no longer than this, and it never jams
            ring.free(None if self._compiled is None else self._compiled.wipe)
        self._mark_ns = ring.taken_until_ns
        for key in ring.take_dropped():
            live = self._live.get(key >> 1)
            if live is not None:
                self._lanes.recall(live)
                live.ring_full(key & 1, live.clock.position(self._mark_ns))

    @property
    def lags(self) -> bool:
        """So much was taken that windows may soon be full: `write_out` before more is."""
        return self._mark_ns - self._written_ns >= MAX_TAKEN_NS

    def write_out(self) -> Iterator[Write]:
        """What became final by what was taken (any call). To be asked for to its end at once: it is decoded
        meanwhile, some calls at a time."""
        mark_ns = self._written_ns = self._mark_ns
        self._settle(mark_ns)
        due = np.flatnonzero(self._due_ns <= mark_ns)
        for first in range(0, len(due), CALLS_AT_ONCE):
            yield from self._write_out(due[first : first + CALLS_AT_ONCE], mark_ns)

    def status(self, generation: int, now_ns: int) -> Status | None:
        """A live recording as of `now_ns`; None when it is unknown."""
        live = self._live.get(generation)
        if live is None:
            return None
        states, now = live.states, max(live.clock.position(now_ns), 0)
        recorded = sum(i.end_sample - i.start_sample for i in states.gate.intervals())
        open_since = _open_since(states.gate) or _open_since(states.notices)
        if states.gate.is_open:
            recorded += max(now - states.gate.openings[-1].start, 0)
        return Status(states.state, live.clock.sample_rate, now, recorded, states.intervals(), open_since)

    def state(self, generation: int) -> State | None:
        """Of `status`, for who asks it of all."""
        live = self._live.get(generation)
        return None if live is None else live.states.state

    def end(self, generation: int, ended_ns: int, by: Actor) -> Toggled | None:
        """The call ended at `ended_ns`: nothing at or beyond it is kept, no toggle is taken any more.

        To be told at once when `finish` has to wait for anything. None when it is unknown.
        """
        live = self._live.get(generation)
        if live is None:
            return None
        self._lanes.recall(live)
        self._tapping[generation] = live
        return live.end(live.clock.position(ended_ns), by)

    def finish(self, generation: int, ended_ns: int, by: Actor) -> Finished | None:
        """All of a recording whose call ended at `ended_ns` (or as told by `end` before); the recorder
        has forgotten it then.

        Drain the ring first. An opening that was not settled counts as annulled. None when unknown.
        """
        self.end(generation, ended_ns, by)
        live = self._live.pop(generation, None)
        if live is None:
            return None
        self._lanes.recall(live)
        stretches = self._guarded(live, live.finish)
        self._forget(live)
        intervals = live.states.intervals()
        return Finished(
            [Write(generation, *stretch) for stretch in stretches],
            live.duration or 0,
            intervals,
            tuple(fact for track in live.tracks for fact in track.all_facts()),
            tuple(sorted(live.reasons)),
            bool(intervals),
        )

    def _margins_of(self, rate: int) -> Margins:
        if rate not in self._margins:
            self._margins[rate] = Margins.of(rate)
        return self._margins[rate]

    # Slots.

    def _resize(self, slots: int) -> None:
        known = len(self._by_slot)
        self._generation = np.append(self._generation, np.full(slots - known, -1))
        self._due_ns = np.append(self._due_ns, np.full(slots - known, NEVER_NS))
        self._by_slot += [None] * (slots - known)
        self._free += range(slots - 1, max(known, 1) - 1, -1)
        self._lanes.resize(slots)
        if self._compiled is not None:
            self._compiled.aim(self._lanes.numbers, self._generation)

    def _forget(self, live: LiveRecording) -> None:
        live.discard()
        self._holding.pop(live.generation, None)
        self._tapping.pop(live.generation, None)
        self._by_slot[live.slot] = None
        self._generation[live.slot] = -1
        self._due_ns[live.slot] = NEVER_NS
        self._free.append(live.slot)

    # Packets.

    def _receive(self, records: NDArray[np.void], known: NDArray[np.void], earliest_ns: Ints) -> None:
        """Records of one segment of the ring, for each leg in their order."""
        raw = records.view(np.uint8).reshape(len(records), SLOT_BYTES)
        if not self._fast:
            for at in range(len(records)):
                self._receive_one(raw, at, int(earliest_ns[at]))
            return
        words = known.view(WORDS)
        generation, who = words["generation"].astype(np.int64), words["who"] & ANY_MARKER
        slot = self._slot_of.take(generation % GENERATIONS).astype(np.int64)
        lanes = np.where(self._generation.take(slot) == generation, slot * 2 + (who & 1), 0)
        everyone = np.arange(len(records), dtype=np.int64)
        batch = Batch(who, words["next"].copy(), words["arrival_ns"].copy(), earliest_ns, everyone)
        for chosen in _one_a_lane(lanes):
            self._receive_some(records, raw, lanes[chosen], batch.pick(chosen))

    def _receive_compiled(self, compiled: CompiledLanes, records: NDArray[np.void], passes_ns: Ints) -> None:
        """The same, in the order of the ring: up to a record that is not regular, which goes by the rule."""
        raw = records.view(np.uint8).reshape(len(records), SLOT_BYTES)
        numbers, mask = records["pass_number"], len(passes_ns) - 1
        for at in compiled.place(records, passes_ns):
            self._receive_one(raw, at, passes_ns.item(numbers.item(at) & mask))

    def _receive_some(
        self, records: NDArray[np.void], raw: NDArray[np.uint8], lanes: Ints, batch: Batch
    ) -> None:
        """At most one record a lane, but for lane 0, where everything is."""
        at, earliest_ns = batch.at, batch.earliest_ns
        if len(at) >= FEW:
            refused = ~self._lanes.place(lanes, batch, records)
            at, earliest_ns = at[refused], earliest_ns[refused]
        for each in zip(at.tolist(), earliest_ns.tolist(), strict=True):
            self._receive_one(raw, *each)

    def _receive_one(self, raw: NDArray[np.uint8], at: int, earliest_ns: int) -> None:
        """One record by the rule."""
        (generation, leg, flags, payload_type, _, ssrc, seq, length, timestamp, arrival_ns, _) = (
            HEADER.unpack_from(raw[at])
        )
        live = self._live.get(generation)
        if live is None or live.broken:
            return
        payload = raw[at, HEADER.size : HEADER.size + length].tobytes() if flags & HAS_PAYLOAD else None
        record = Record(
            leg, bool(flags & IS_DIGIT), payload_type, ssrc, seq, length, timestamp, earliest_ns, arrival_ns,
            payload,
        )  # fmt: skip
        try:
            self._apply(live, record)
        except Exception:  # noqa: BLE001  # the supervisor of each call: one broken call never hurts another
            self._break(live)

    def _apply(self, live: LiveRecording, record: Record) -> None:
        self._lanes.recall_leg(live.slot * 2 + record.leg)
        self._lanes.before_touch(live)
        received = live.receive(record)
        self._lanes.after_touch(live)
        if received is None:
            return
        stream, packet = received
        if stream.hold is not None:
            self._holding[live.generation] = live
        elif self._fast:
            self._lanes.lend(live, record.leg, stream, packet)

    def _guarded(self, live: LiveRecording, hand_out: Callable[[], list[Stretch]]) -> list[Stretch]:
        """What waited is decoded as it is handed out: a fault there is silence of this call alone."""
        try:
            return hand_out()
        except Exception:  # noqa: BLE001  # as in _receive_one
            self._break(live)
            return hand_out()

    def _break(self, live: LiveRecording) -> None:
        """From here on this recording is silence; it still becomes as long as its call."""
        self._lanes.recall(live)
        self._holding.pop(live.generation, None)
        live.break_off()

    # Time.

    def _settle(self, mark_ns: int) -> None:
        for generation, live in list(self._holding.items()):
            self._lanes.recall(live)
            try:
                live.settle(live.clock.position(mark_ns))
            except Exception:  # noqa: BLE001  # as in _receive_one
                self._break(live)
            if not live.holds:
                self._holding.pop(generation, None)

    def _write_out(self, due: Ints, mark_ns: int) -> list[Write]:
        writes: list[Write] = []
        while some := self._take_easy(due):
            writes += some
            due = due[self._due_ns[due] <= mark_ns]
        for slot in due.tolist():
            live = self._by_slot[slot]
            assert live is not None
            writes += [Write(live.generation, *stretch) for stretch in self._take(live, mark_ns)]
        return writes

    def _take_easy(self, due: Ints) -> list[Write]:
        """A chunk of each call of which there is no doubt: what `_take` would hand out, for all at once."""
        ease = self._lanes.ease[due]
        return self._take_steady(due[ease == Ease.STEADY]) + self._take_silent(due[ease == Ease.SILENT])

    def _take_steady(self, slots: Ints) -> list[Write]:
        if not len(slots):
            return []
        slots, sounds = self._lanes.take(slots, CHUNK)
        self._due_ns[slots] += CHUNK_NS
        starts = self._lanes.bases(slots) - CHUNK
        generations = self._generation[slots].tolist()
        return list(map(Write, generations, starts.tolist(), (starts + CHUNK).tolist(), sounds))

    def _take_silent(self, slots: Ints) -> list[Write]:
        self._due_ns[slots] += CHUNK_NS
        silent = [live for slot in slots.tolist() if (live := self._by_slot[slot]) is not None]
        return [Write(live.generation, *live.pass_silence()) for live in silent]

    def _take(self, live: LiveRecording, mark_ns: int) -> list[Stretch]:
        self._lanes.before_touch(live)
        base = live.window.base
        mark = live.clock.position(mark_ns)
        stretches = self._guarded(live, lambda: live.write_out(mark))
        if live.window.base != base:
            self._lanes.after_take(live)
            self._lanes.after_touch(live)
            self._due_ns[live.slot] = live.due_ns()
        self._lanes.ease[live.slot] = live.ease
        return stretches


def _open_since(gate: Gate) -> OpenInterval | None:
    if not gate.is_open:
        return None
    opening = gate.openings[-1]
    return OpenInterval(opening.start, opening.started_by, gate.kind)


def _one_a_lane(lanes: Ints) -> Iterator[Ints | slice]:
    """Indices in rounds: the n-th record of each lane is in the n-th round; all of lane 0 in the first."""
    if np.bincount(lanes)[1:].max(initial=0) <= 1:  # as with hundreds of calls
        yield slice(None)
        return
    order = np.argsort(lanes, kind="stable")
    ordered = lanes[order]
    nobodys = int(np.searchsorted(ordered, 1))
    bounds = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))
    starts, counts = bounds[:-1], bounds[1:] - bounds[:-1]
    if nobodys:
        yield order[:nobodys]
        starts, counts = starts[1:], counts[1:]
    for number in range(int(counts.max(initial=0))):
        yield order[starts[counts > number] + number]
