"""A recorder with one call whose A-leg speaks any codec, packet by packet, in virtual time."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from mediaproxy.audio.codecs import Coding, coding
from mediaproxy.audio.g711 import Pcm
from mediaproxy.audio.resample import resample
from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import Codec, LegId, Tap
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.recorder import Arm, Finished, Recorder, Write
from mediaproxy.recording.ring import PacketRing
from mediaproxy.recording.states import Action, Toggled

MS = 1_000_000
ANSWERED = 50_000 * MS
USER = Actor("api", "alice")
CODECS = {
    0: Codec("PCMU", 8000), 8: Codec("PCMA", 8000), 9: Codec("G722", 8000), 10: Codec("L16", 44100, 2),
    96: Codec("L16", 16000), 97: Codec("L16", 44100), 98: Codec("L16", 48000, 2),
    111: Codec("OPUS", 48000, 2),
}  # fmt: skip


def coding_of(payload_type: int) -> Coding:
    codec = CODECS[payload_type]
    found = coding(codec.name, codec.clock_hz, codec.channels)
    assert found is not None
    return found


def chirp(rate_hz: int, seconds: float, low_hz: float = 200.0, high_hz: float = 3000.0) -> Pcm:
    """A sweep: any two stretches of it differ, so a wrong place can't go unnoticed."""
    at = np.arange(round(rate_hz * seconds)) / rate_hz
    phase = low_hz * at + (high_hz - low_hz) / (2 * seconds) * at * at
    return (9000 * np.sin(2 * np.pi * phase)).astype(np.int16)


@dataclass(frozen=True)
class Sent:
    """An RTP packet, and when it arrives in ms after the answer."""

    arrives_ms: float
    payload_type: int
    seq: int
    timestamp: int
    payload: bytes


def speech(payload_type: int, sound: Pcm, ptime_ms: int = 20, *, at_ms: int = 0, seq: int = 1) -> list[Sent]:
    """`sound` (at the codec's rate) as a phone sends it: each packet arrives when it was spoken."""
    encoder = coding_of(payload_type).encoder()
    length, ticks = encoder.rate_hz * ptime_ms // 1000, encoder.clock_hz * ptime_ms // 1000
    return [
        Sent(
            at_ms + (number + 1) * ptime_ms,
            payload_type,
            (seq + number) & 0xFFFF,
            (7_000 + at_ms * encoder.clock_hz // 1000 + number * ticks) & 0xFFFFFFFF,
            encoder.encode(sound[number * length : (number + 1) * length]),
        )
        for number in range(len(sound) // length)
    ]


def heard(packets: Iterable[Sent], rate_hz: int) -> Pcm:
    """The reference: all packets decoded in their order, at `rate_hz`."""
    packets = list(packets)
    decoder = coding_of(packets[0].payload_type).decoder(rate_hz)
    return resample(np.concatenate([decoder.decode(p.payload) for p in packets]), decoder.rate_hz, rate_hz)


@dataclass
class CodedCall:
    """`plan` are toggles: (ms after the answer, action)."""

    rate: int = 8000
    plan: list[tuple[int, Action]] = field(default_factory=list)
    policy: Policy = Policy.AUTOMATIC
    tick_ms: int = 20
    ssrc: Callable[[Sent], int] = lambda packet: 77

    def record(
        self,
        packets: Iterable[Sent],
        until_ms: int,
        *,
        every: tuple[int, Callable[["CodedCall"], None]] | None = None,
    ) -> tuple[Finished, Pcm]:
        """Run the call; the file as (frames, channels). `every` so many ms have a look at it."""
        self._begin()
        waiting = sorted(packets, key=lambda packet: packet.arrives_ms)
        plan = list(self.plan)
        for now_ms in range(0, until_ms + 1, self.tick_ms):
            while plan and plan[0][0] <= now_ms:
                self.toggle(*plan.pop(0))
            self.now_ns = ANSWERED + now_ms * MS
            self.ring.begin_pass(self.now_ns)
            while waiting and waiting[0].arrives_ms <= now_ms:
                self._put(waiting.pop(0))
            self.ring.end_pass(emptied=True)
            self._drain()
            if every is not None and now_ms % every[0] == 0:
                every[1](self)
        finished = self.recorder.finish(1, ANSWERED + until_ms * MS, Actor("call_end"))
        assert finished is not None
        self.writes += finished.writes
        return finished, self._file(finished.duration_samples)

    def toggle(self, at_ms: int, action: Action) -> None:
        outcome = self.recorder.toggle(1, action, USER, ANSWERED + at_ms * MS)
        assert isinstance(outcome, Toggled)
        if outcome.tentative:
            self.recorder.confirm(1, outcome.number)
        self._taps()

    def _begin(self) -> None:
        self.now_ns = ANSWERED
        self.ring = PacketRing(1024, now_ns=ANSWERED)
        self.recorder = Recorder()
        self.writes: list[Write] = []
        self.tap = Tap.OFF
        opened = self.recorder.arm(Arm(1, ANSWERED, RecordingPolicy(self.policy), sample_rate=self.rate))
        if opened is not None:
            self.recorder.confirm(1, opened.number)
        self.recorder.describe(1, LegId.A, CODECS, frozenset({101}))
        self._taps()

    def _put(self, packet: Sent) -> None:
        head = (1, LegId.A, packet.payload_type, 0, self.ssrc(packet), packet.seq, packet.timestamp)
        if self.tap is Tap.PAYLOAD:
            self.ring.put(*head, self.now_ns, packet.payload)
        elif self.tap is Tap.HEADERS:
            self.ring.put_header(*head, self.now_ns, len(packet.payload))

    def _drain(self) -> None:
        self.writes += self.recorder.drain(self.ring)
        self._taps()

    def _taps(self) -> None:
        for change in self.recorder.tap_changes(self.now_ns):
            self.tap = change.tap

    def _file(self, frames: int) -> Pcm:
        file = np.zeros((frames, 2), dtype=np.int16)
        end = 0
        for write in self.writes:
            assert write.start == end, "handed out in order and without gaps"
            end = write.end
            if write.frames is not None:
                file[write.start : write.end] = np.frombuffer(write.frames, dtype="<i2").reshape(-1, 2)
        assert end == frames
        return file
