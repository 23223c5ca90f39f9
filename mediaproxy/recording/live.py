"""One call's recording while it lives: its clock, its gate, the streams of both legs and its window."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from mediaproxy.calls.model import RecordingPolicy
from mediaproxy.calls.plane import Tap
from mediaproxy.limits import MAX_STREAMS_PER_LEG
from mediaproxy.recording.clock import CallClock
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.packets import Margins, Packet
from mediaproxy.recording.states import Action, Refusal, States, Toggled
from mediaproxy.recording.streams import NOWHERE_ELSE, Stream
from mediaproxy.recording.tracks import OTHERS, Laws, Track, facts
from mediaproxy.recording.transits import LeastTransits
from mediaproxy.recording.wav import FRAME_BYTES, HEADER_BYTES
from mediaproxy.recording.window import Pcm, Stretch, Window, WindowPool

LAG_MS = 400  # how far the written end stays behind the drain mark
CHUNK_MS = 256  # how much is handed out at once: whole pages of the file, at least at 8 kHz
PHASE = HEADER_BYTES // FRAME_BYTES  # what is before the first frame in the file
WINDOW_S = 8  # at most: a stall of ours, a journal that is slow
LATE_PAYLOAD_MS = 200  # how long after a stop audio spoken before it may still arrive
EVICT_MS = 1_000  # a stream that was silent for so long gives its place to a fifth one
USUAL_MS = 20  # what a packet lasts of which nobody knows
MAX_STREAM_FACTS = 64  # per leg: a sender that changes its SSRC all day must not fill our memory

RING_FULL = "ring_full"
WINDOW_FULL = "window_full"
CODEC_UNSUPPORTED = "codec_unsupported"
PAYLOAD_BAD = "payload_bad"
STREAMS_EXCEEDED = "streams_exceeded"
RECORDER_FAILED = "recorder_failed"


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


class Ease(IntEnum):
    """How a call's next chunk can be handed out."""

    NONE = 0  # something has to be looked at
    STEADY = 1  # everything is final when its time has come
    SILENT = 2  # so it is, and there is nothing but silence until somebody opens


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
        margins: Margins,
        laws: Laws,
    ) -> None:
        rate = clock.sample_rate
        self.generation = generation
        self.slot = slot
        self.clock = clock
        self.states = States(policy)
        self.tracks = (Track("A", channels[0], rate, laws), Track("B", channels[1], rate, laws))
        self.window = Window(pool, WINDOW_S * rate)
        self.duration: int | None = None  # once the call is over
        self.reasons: set[str] = set()
        self.tap = Tap.OFF
        self.broken = False  # by a fault of ours: no packet is taken any more
        self._margins = margins
        self._transits = transits
        self._lag, self._chunk, self._late = (ms * rate // 1000 for ms in (LAG_MS, CHUNK_MS, LATE_PAYLOAD_MS))
        self._openings: list[int] = []  # those after more than a second of closed gate

    # Commands.

    def toggle(self, action: Action, by: Actor, at: int) -> Toggled | Refusal:
        """Apply a command at position `at`, or at the first that was not handed out."""
        closed_at = self.states.gate.closed_at
        outcome = self.states.toggle(action, by, max(at, self.window.base, *self._decoded()))
        if isinstance(outcome, Toggled) and outcome.changed:
            start = outcome.effective_sample
            if not outcome.tentative:
                self.window.erase(start, self.window.top)  # a fast sender's audio runs ahead of the clock
            elif not outcome.announcing:
                self._opened(start, closed_at)
        return outcome

    def announced(self, at: int) -> Toggled | None:
        """The announcement was played in full: the gate opens at `at`, tentatively like every opening."""
        closed_at = self.states.gate.closed_at
        outcome = self.states.announced(max(at, self.window.base, *self._decoded()))
        if outcome is not None:
            self._opened(outcome.effective_sample, closed_at)
        return outcome

    def speak(self, channel: int, position: int, pcm: Pcm) -> None:
        """Samples of ours that were heard from `position` on; those outside an announcement are not kept."""
        end = position + len(pcm) if self.duration is None else min(position + len(pcm), self.duration)
        for notice in self.states.notices.openings:
            first = max(position, notice.start)
            last = end if notice.end is None else min(end, notice.end)
            if first < last:
                self.window.write(channel, first, pcm[first - position : last - position])

    def annul(self, number: int) -> None:
        for opening in (*self.states.gate.openings, *self.states.notices.openings):
            if opening.number == number:
                end = self.window.top if opening.end is None else opening.end
                self.window.erase(opening.start, end)
        for track in self.tracks:
            track.annul(number)
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
        if packet.ticks and not packet.digit:
            stream.codec = track.laws.codec(packet.law)
        elif not packet.digit and (codec := track.missing(record.payload_type)) is not None:
            self._miss(stream, codec, packet.arrival)
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

    def ring_full(self, leg: int, mark: int) -> None:
        """The leg's packets found no slot in the ring until `mark`: what they held reads as silence."""
        if self.states.gate.is_open:
            self.reasons.add(RING_FULL)
        for stream in self.tracks[leg].streams.values():
            stream.missed(mark)

    def break_off(self) -> None:
        """A fault of ours met this call: no packet is taken any more, nothing that is held is placed."""
        self.broken = True
        self.reasons.add(RECORDER_FAILED)
        for track in self.tracks:
            track.silence()
            for stream in track.streams.values():
                stream.hold = None

    # Writing out.

    def due_ns(self) -> int:
        """When there will be something to hand out."""
        return self.clock.reached_ns(self._whole(self.window.base) + self._chunk + self._lag)

    def write_out(self, mark: int) -> list[Stretch]:
        """What became final, to the end of a chunk."""
        until = self._whole(self._final(mark))
        if until <= self.window.base:
            return []
        self._pour(until)
        stretches = self.window.take(until)
        if not self.states.gate.is_open:
            self.window.rest()
        return stretches

    @property
    def ease(self) -> Ease:
        """How what comes now is handed out, as long as nothing happens but steady packets."""
        undecided = self.states.settled_until() is not None or self.duration is not None or self.holds
        if undecided or any(track.waits for track in self.tracks):
            return Ease.NONE
        if self.states.is_open or not self.window.is_empty:
            return Ease.STEADY
        return Ease.SILENT

    def pass_silence(self) -> Stretch:
        """Hand out a chunk of silence."""
        base = self.window.base
        until = self._whole(base) + self._chunk
        self.window.moved_on(until)
        return Stretch(base, until, None)

    def end(self, duration: int, by: Actor) -> Toggled:
        """The call is over. What was handed out already can't be taken back: it is part of it."""
        if self.duration is None:
            self.duration = max(duration, self.window.base)
        return self.states.finish(self.duration, by)

    def finish(self) -> list[Stretch]:
        """Everything up to the end of the call; nothing of it stays in memory."""
        assert self.duration is not None, "a recording is told its end before it is finished"
        openings = (*self.states.gate.openings, *self.states.notices.openings)
        for opening in [o for o in openings if o.tentative]:
            self.annul(opening.number)
        is_open = self._counts(self.duration)
        for track in self.tracks:
            for stream in track.streams.values():
                for placed in stream.finish(is_open=is_open):
                    self._write(track, stream, placed)
        self._pour(self.duration)
        return self.window.take(self.duration)

    def discard(self) -> None:
        self.window.discard()
        for track in self.tracks:
            for stream in track.streams.values():
                stream.give_back()

    # Helpers.

    def _opened(self, start: int, closed_at: int | None) -> None:
        if closed_at is None or start - closed_at > self._margins.closed:
            self._openings.append(start)

    def _counts(self, at: int) -> bool:
        """Whether a move of an offset at `at` can show: audio that was held or late may still be kept."""
        return self.states.gate.overlaps(at - self._margins.give_up - self._late, at + 1)

    def _packet(self, track: Track, record: Record) -> Packet:
        law = None if record.is_digit else track.menu.laws.get(record.payload_type)
        ticks, clock_hz = self._measure(track, record, law)
        return Packet(
            self.clock.position(record.earliest_ns),
            self.clock.position(record.arrival_ns),
            record.seq,
            record.timestamp,
            ticks,
            record.payload,
            law or 0,
            payload_type=record.payload_type,
            digit=record.is_digit,
            clock_hz=None if clock_hz == self.clock.sample_rate else clock_hz,
        )

    def _measure(self, track: Track, record: Record, law: int | None) -> tuple[int, int]:
        """How long a record lasts, and the RTP clock that counts it."""
        stream = track.streams.get(record.ssrc)
        if record.is_digit:  # on the clock of the sound that it interrupts (RFC 4733 2.1)
            return record.length, track.menu.digits_hz if stream is None else self._clock_of(stream)
        if law is None:
            return 0, self.clock.sample_rate
        clock_hz = track.laws.clock_hz(law)
        ticks = track.laws.ticks(law, record.payload, record.length)
        if ticks is None:
            usual = None if stream is None else stream.usual_ticks(record.seq, record.timestamp, clock_hz)
            ticks = clock_hz * USUAL_MS // 1000 if usual is None else usual
        if not ticks and self.states.gate.contains(self.clock.position(record.arrival_ns)):
            self.reasons.add(PAYLOAD_BAD)
        return ticks, clock_hz

    def _clock_of(self, stream: Stream) -> int:
        return self.clock.sample_rate if stream.clock_hz is None else stream.clock_hz

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
            track.facts += (facts(track.name, oldest),)
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
            if packet.law >= OTHERS:
                if start < end:
                    track.wait(stream.ssrc, packet, opening, start, end)
                continue
            if start < end:
                self._decode(track, packet, start, end)
            if packet.repeat and opening.start - early < packet.position < end:
                self._repeat(track, packet)

    def _decode(self, track: Track, packet: Packet, start: int, end: int) -> None:
        """Cut first, then decode: what lies outside the gate is never heard by anyone."""
        assert packet.payload is not None
        codes = packet.payload[start - packet.position : end - packet.position]
        if self.window.write_codes(track.channel, start, np.frombuffer(codes, dtype=np.uint8), packet.law):
            self.reasons.add(WINDOW_FULL)

    def _repeat(self, track: Track, packet: Packet) -> None:
        """A slip: the sample before this packet is its first one."""
        assert packet.payload is not None
        first = np.frombuffer(packet.payload[:1], dtype=np.uint8)
        self.window.write_codes(track.channel, packet.position - 1, first, packet.law)

    def _pour(self, until: int) -> None:
        """Decode what was waiting for its turn."""
        for track in self.tracks:
            if not track.waits:
                continue
            for position, pcm in track.pour(until):
                if self.window.write(track.channel, position, pcm):
                    self.reasons.add(WINDOW_FULL)
            if track.faults:
                self.reasons.add(PAYLOAD_BAD)

    def _whole(self, position: int) -> int:
        """The end of the last whole chunk, as they lie in the file."""
        return position - (position + PHASE) % self._chunk

    def _decoded(self) -> list[int]:
        return [track.decoded for track in self.tracks if track.waits]

    def _final(self, mark: int) -> int:
        """Up to where nothing can change any more."""
        for track in self.tracks:
            for stream in track.streams.values():
                if stream.hold is not None:
                    mark = min(mark, stream.hold.earliest)
        until = mark - self._lag
        for limit in (self.states.settled_until(), self.duration):
            until = until if limit is None else min(until, limit)
        return until
