"""One call's recording while it lives: its clock, its gate, the streams of both legs and its window."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mediaproxy.audio.g711 import ALAW_TO_PCM, ULAW_TO_PCM
from mediaproxy.calls.model import RecordingPolicy
from mediaproxy.calls.plane import Codec, Tap
from mediaproxy.limits import MAX_STREAMS_PER_LEG
from mediaproxy.recording.clock import CallClock
from mediaproxy.recording.manifest import Actor, StreamFacts
from mediaproxy.recording.packets import Margins, Packet
from mediaproxy.recording.states import Action, Refusal, States, Toggled
from mediaproxy.recording.streams import NOWHERE_ELSE, Stream
from mediaproxy.recording.transits import LeastTransits
from mediaproxy.recording.window import Stretch, Window, WindowPool

LAG_MS = 400  # how far the written end stays behind the drain mark
CHUNK_MS = 250  # how much is handed out at once
LATE_PAYLOAD_MS = 200  # how long after a stop audio spoken before it may still arrive
EVICT_MS = 1_000  # a stream that was silent for so long gives its place to a fifth one
MAX_STREAM_FACTS = 64  # per leg: a sender that changes its SSRC all day must not fill our memory

RING_FULL = "ring_full"
WINDOW_FULL = "window_full"
CODEC_UNSUPPORTED = "codec_unsupported"
STREAMS_EXCEEDED = "streams_exceeded"
RECORDER_FAILED = "recorder_failed"

PCMU, PCMA = 0, 1
LAWS: dict[str, int] = {"PCMU": PCMU, "PCMA": PCMA}
TABLES: tuple[NDArray[np.int16], NDArray[np.int16]] = (ULAW_TO_PCM, ALAW_TO_PCM)
UNPLACED = frozenset({"CN", "TELEPHONE-EVENT"})
G711_HZ = 8_000


class Record(NamedTuple):
    """A record of the ring; times in ns. `payload` is None when it was not tapped."""

    leg: int
    is_digit: bool
    payload_type: int
    ssrc: int
    seq: int
    length: int
    timestamp: int
    earliest_ns: int
    arrival_ns: int
    payload: bytes | None


class Track:
    """One leg's share: what it may send, and its streams."""

    __slots__ = ("channel", "facts", "heard", "laws", "name", "streams", "unsupported")

    def __init__(self, name: str, channel: int) -> None:
        self.name = name
        self.channel = channel
        self.heard = True
        self.laws: dict[int, int] = {}  # payload type -> law
        self.unsupported: dict[int, str] = {}  # payload type -> codec
        self.streams: dict[int, Stream] = {}
        self.facts: list[StreamFacts] = []  # of streams that gave their place away

    def describe(self, audio: Mapping[int, Codec], rate: int, *, heard: bool) -> None:
        audio = {number: codec for number, codec in audio.items() if codec.name not in UNPLACED}
        decodable = {n for n, c in audio.items() if c.name in LAWS and c.clock_hz == rate and c.channels == 1}
        self.laws = {number: LAWS[audio[number].name] for number in decodable}
        self.unsupported = {number: codec.name for number, codec in audio.items() if number not in decodable}
        if heard and not self.heard:
            for stream in self.streams.values():
                stream.resume()
        self.heard = heard

    def all_facts(self) -> list[StreamFacts]:
        return self.facts + [facts(self.name, stream) for stream in self.streams.values()]


class LiveRecording:
    """Everything that is known of a call's recording between its answer and its end."""

    __slots__ = (
        "_chunk", "_lag", "_late", "_margins", "_openings", "_transits", "broken", "clock", "duration",
        "generation", "reasons", "slot", "states", "tap", "tracks", "window",
    )  # fmt: skip

    def __init__(
        self,
        generation: int,
        slot: int,
        clock: CallClock,
        policy: RecordingPolicy,
        channels: tuple[int, int],
        pool: WindowPool,
        transits: LeastTransits,
    ) -> None:
        rate = clock.sample_rate
        self.generation = generation
        self.slot = slot
        self.clock = clock
        self.states = States(policy)
        self.tracks = (Track("A", channels[0]), Track("B", channels[1]))
        self.window = Window(pool)
        self.duration: int | None = None  # once the call is over
        self.reasons: set[str] = set()
        self.tap = Tap.OFF
        self.broken = False  # by a fault of ours: no packet is taken any more
        self._margins = Margins.of(rate)
        self._transits = transits
        self._lag, self._chunk, self._late = (ms * rate // 1000 for ms in (LAG_MS, CHUNK_MS, LATE_PAYLOAD_MS))
        self._openings: list[int] = []  # those after more than a second of closed gate

    # Commands.

    def toggle(self, action: Action, by: Actor, at: int) -> Toggled | Refusal:
        """Apply a command at position `at`, or at the first that was not handed out."""
        closed_at = self.states.gate.closed_at
        outcome = self.states.toggle(action, by, max(at, self.window.base))
        if isinstance(outcome, Toggled) and outcome.changed:
            start = outcome.effective_sample
            if not outcome.tentative:
                self.window.erase(start, self.window.top)  # a fast sender's audio runs ahead of the clock
            elif closed_at is None or start - closed_at > self._margins.closed:
                self._openings.append(start)
        return outcome

    def annul(self, number: int) -> None:
        for opening in self.states.gate.openings:
            if opening.number == number:
                end = self.window.top if opening.end is None else opening.end
                self.window.erase(opening.start, end)
        self.states.annul(number)

    def tap_at(self, position: int) -> Tap:
        gate = self.states.gate
        ended = gate.closed_at
        late = ended is not None and position <= ended + self._late
        return Tap.PAYLOAD if gate.is_open or late else Tap.HEADERS

    # Packets.

    @property
    def openings(self) -> int:
        return len(self._openings)

    @property
    def holds(self) -> bool:
        return any(stream.hold for track in self.tracks for stream in track.streams.values())

    def receive(self, record: Record) -> tuple[Stream, Packet] | None:
        """Place one record by the rule of media time; None when it belongs to no stream of ours."""
        track = self.tracks[record.leg]
        packet = self._packet(track, record)
        stream = self._stream(track, record.ssrc, packet.arrival) if track.heard else None
        if stream is None:
            return None
        counts = self._counts(packet.arrival)
        for placed in stream.opened(self._openings, packet.arrival, is_open=counts):
            self._write(track, stream, placed)
        if packet.samples and not packet.digit:
            stream.codec = _NAMES[packet.law]
        elif record.payload_type in track.unsupported:
            self._miss(stream, track.unsupported[record.payload_type], packet.arrival)
        for placed in stream.receive(packet, is_open=counts):
            self._write(track, stream, placed)
        return stream, packet

    def settle(self, mark: int) -> None:
        """Everything that arrived before position `mark` was received."""
        is_open = self._counts(mark)
        for track in self.tracks:
            for stream in track.streams.values():
                for placed in stream.settle(mark, is_open=is_open):
                    self._write(track, stream, placed)

    def ring_full(self) -> None:
        """Packets found no slot in the ring: what they held reads as silence."""
        if self.states.gate.is_open:
            self.reasons.add(RING_FULL)

    def break_off(self) -> None:
        """A fault of ours met this call: no packet is taken any more, nothing that is held is placed."""
        self.broken = True
        self.reasons.add(RECORDER_FAILED)
        for track in self.tracks:
            for stream in track.streams.values():
                stream.hold = None

    # Writing out.

    def due_ns(self) -> int:
        """When there will be something to hand out."""
        return self.clock.reached_ns(self.window.base + self._chunk + self._lag)

    def write_out(self, mark: int) -> list[Stretch]:
        """What became final, at least a chunk of it."""
        until = self._final(mark)
        if until - self.window.base < self._chunk:
            return []
        stretches = self.window.take(until)
        if not self.states.gate.is_open:
            self.window.rest()
        return stretches

    def end(self, duration: int, by: Actor) -> Toggled:
        """The call is over. What was handed out already can't be taken back: it is part of it."""
        if self.duration is None:
            self.duration = max(duration, self.window.base)
        return self.states.finish(self.duration, by)

    def finish(self) -> list[Stretch]:
        """Everything up to the end of the call; nothing of it stays in memory."""
        assert self.duration is not None, "a recording is told its end before it is finished"
        for opening in [o for o in self.states.gate.openings if o.tentative]:
            self.annul(opening.number)
        is_open = self._counts(self.duration)
        for track in self.tracks:
            for stream in track.streams.values():
                for placed in stream.finish(is_open=is_open):
                    self._write(track, stream, placed)
        return self.window.take(self.duration)

    def discard(self) -> None:
        self.window.discard()
        for track in self.tracks:
            for stream in track.streams.values():
                stream.give_back()

    # Helpers.

    def _counts(self, at: int) -> bool:
        """Whether a move of an offset at `at` can show: audio that was held or late may still be kept."""
        return self.states.gate.overlaps(at - self._margins.give_up - self._late, at + 1)

    def _packet(self, track: Track, record: Record) -> Packet:
        law = track.laws.get(record.payload_type)
        return Packet(
            self.clock.position(record.earliest_ns),
            self.clock.position(record.arrival_ns),
            record.seq,
            record.timestamp,
            record.length if law is not None or record.is_digit else 0,
            record.payload,
            law or 0,
            payload_type=record.payload_type,
            digit=record.is_digit,
        )

    def _stream(self, track: Track, ssrc: int, arrival: int) -> Stream | None:
        stream = track.streams.get(ssrc)
        if stream is None and self._has_place(track, arrival):
            stream = Stream(ssrc, self._margins, self._transits, len(self._openings))
            stream.last_arrival = arrival
            track.streams[ssrc] = stream
        return stream

    def _has_place(self, track: Track, arrival: int) -> bool:
        """At most four streams a leg; the one silent for longest goes, unless all are speaking."""
        if len(track.streams) < MAX_STREAMS_PER_LEG:
            return True
        oldest = min(track.streams.values(), key=lambda stream: stream.last_arrival)
        if arrival - oldest.last_arrival <= EVICT_MS * self.clock.sample_rate // 1000:
            if self.states.gate.contains(arrival):
                self.reasons.add(STREAMS_EXCEEDED)
            return False
        for placed in oldest.finish(is_open=self._counts(arrival)):
            self._write(track, oldest, placed)
        if len(track.facts) < MAX_STREAM_FACTS:
            track.facts.append(facts(track.name, oldest))
        oldest.give_back()
        del track.streams[oldest.ssrc]
        return True

    def _miss(self, stream: Stream, codec: str, arrival: int) -> None:
        stream.codec = codec
        if self.states.gate.contains(arrival):
            self.reasons.add(CODEC_UNSUPPORTED)

    def _write(self, track: Track, stream: Stream, packet: Packet) -> None:
        if packet.digit:
            end = min(packet.end, packet.arrival + self._margins.ahead)
            if self.states.gate.overlaps(packet.position, end):
                self.window.blank(track.channel, packet.position, end)
            return
        if packet.end <= self.window.base:
            stream.late += packet.end > 0  # below 0 there was no call yet
            return
        if packet.payload is None:
            return
        openings = self.states.gate.admitting(packet.arrival, self._late)
        early, late = stream.spread(packet) if openings else NOWHERE_ELSE
        for opening in openings:
            start = max(packet.position, opening.start - early)
            end = packet.end if opening.end is None else min(packet.end, opening.end - late)
            if start < end:
                self._decode(track, packet, start, end)
            if packet.repeat and opening.start - early < packet.position < end:
                self._repeat(track, packet)

    def _decode(self, track: Track, packet: Packet, start: int, end: int) -> None:
        """Cut first, then decode: what lies outside the gate is never heard by anyone."""
        assert packet.payload is not None
        codes = packet.payload[start - packet.position : end - packet.position]
        pcm = TABLES[packet.law][np.frombuffer(codes, dtype=np.uint8)]
        if self.window.write(track.channel, start, pcm):
            self.reasons.add(WINDOW_FULL)

    def _repeat(self, track: Track, packet: Packet) -> None:
        """A slip: the sample before this packet is its first one."""
        assert packet.payload is not None
        first = TABLES[packet.law][np.frombuffer(packet.payload[:1], dtype=np.uint8)]
        self.window.write(track.channel, packet.position - 1, first)

    def _final(self, mark: int) -> int:
        """Up to where nothing can change any more."""
        for track in self.tracks:
            for stream in track.streams.values():
                if stream.hold is not None:
                    mark = min(mark, stream.hold.earliest)
        until = mark - self._lag
        for limit in (self.states.gate.settled_until(), self.duration):
            until = until if limit is None else min(until, limit)
        return until


_NAMES = {law: name for name, law in LAWS.items()}


def facts(leg: str, stream: Stream) -> StreamFacts:
    return StreamFacts(
        leg,
        stream.ssrc,
        stream.codec,
        stream.packets,
        lost=stream.lost,
        late=stream.late,
        duplicate=stream.duplicate,
        reordered=stream.reordered,
        reanchors=stream.reanchors,
        slips=stream.slips,
        ppm=stream.ppm,
    )
