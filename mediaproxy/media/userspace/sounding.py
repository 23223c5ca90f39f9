"""A sound on its way to one leg: what of it is out, and where it goes into the other leg's stream.

Each of that stream's packets carries the next stretch. A packet that comes twice carries the same one
twice, a late one none, so that whatever the network does the hearer gets the sound whole and in order.
What a second stream of the leg brings meanwhile passes as it is.
"""

from collections import OrderedDict
from typing import Final, NamedTuple

from mediaproxy.audio.sound import TICK_HZ, Sound
from mediaproxy.calls.plane import Codec
from mediaproxy.clock import NS_PER_MS, NS_PER_S
from mediaproxy.media.userspace.voices import Voice, voice_of
from mediaproxy.serial import signed_distance

PACKET_TICKS: Final = 160
PACKET_NS: Final = 20 * NS_PER_MS
SILENT_NS: Final = 100 * NS_PER_MS  # without audio for so long, the sound goes alone
EARLY_NS: Final = NS_PER_MS  # the loop's clock ticks in ms, so it looks so much ahead of time
STALLED_NS: Final = 100 * NS_PER_MS  # later than this, a pause is better than a burst
TICK_NS: Final = NS_PER_S // TICK_HZ
_REMEMBERED: Final = 16  # packets, for their repetitions
_BEGUN_ANEW: Final = 48_000  # further back than this is no late packet


class Stretch(NamedTuple):
    """What of a sound a packet carries."""

    first: int
    ticks: int


class Carried(NamedTuple):
    """What a packet carried, should it come once more: a payload only where it is our sound alone, for
    nothing that a party said is kept."""

    stretch: Stretch
    payload: bytes | None


class Spoken(NamedTuple):
    """A stretch that went out, and from when on it is heard."""

    stretch: Stretch
    at_ns: int


class Line(NamedTuple):
    """Where a stream stands: its last number, and that `timestamp` belongs to the moment `at_ns`.

    That is a packet later than the stream itself means it, so that what the stream brings when it goes
    on lies behind what we sent, not beneath it.
    """

    ssrc: int
    seq: int
    timestamp: int
    at_ns: int

    def timestamp_at(self, now_ns: int, clock_hz: int) -> int:
        passed = max(now_ns - self.at_ns, 0) * clock_hz // NS_PER_S
        return self.timestamp + passed & 0xFFFFFFFF


class Sounding:
    """`number` is that of an announcement, None for a tone. `due_ns` is when the next packet of ours is
    due if nothing comes to carry the sound, and at the end when the last of it was heard."""

    __slots__ = (
        "_alive_ns", "_at", "_carried", "_newest", "_ssrc", "_until_ns", "_voices", "alone", "armed_ns",
        "due_ns", "line", "number", "ready_ns", "sound", "waits",
    )  # fmt: skip

    def __init__(self, sound: Sound, number: int | None = None) -> None:
        self.sound = sound
        self.number = number
        self.armed_ns: int | None = None  # when it will be looked at
        self.wait()

    def wait(self) -> None:
        """Nobody can hear it now: what was played counts for nothing."""
        self.waits = True
        self.alone = False  # the stretch before was a packet of ours
        self.due_ns = self.ready_ns = 0
        self.line: Line | None = None
        self._at = 0
        self._until_ns: int | None = None
        self._ssrc: int | None = None
        self._newest = 0
        self._alive_ns = 0
        self._carried: OrderedDict[int, Carried] = OrderedDict()
        self._voices: dict[Codec, Voice] = {}

    def begin(self, ready_ns: int, due_ns: int) -> None:
        """From `ready_ns` on the sound may be mixed in, at `due_ns` it goes alone."""
        self.waits = False
        self.ready_ns, self.due_ns = ready_ns, due_ns

    @property
    def over(self) -> bool:
        """All of it is out."""
        return self._at >= self.sound.ticks

    @property
    def until_ns(self) -> int:
        """When the last of what is out was heard."""
        return self._until_ns or 0

    def voice(self, codec: Codec) -> Voice:
        found = self._voices.get(codec)
        if found is None:
            found = self._voices[codec] = voice_of(codec)
        return found

    def next(self, ticks: int) -> Stretch:
        """What a packet of ours of this length carries."""
        return Stretch(self._at, ticks)

    def repeated(self, ssrc: int, timestamp: int) -> Carried | None:
        """What a packet carried that comes once more."""
        return self._carried.get(timestamp) if ssrc == self._ssrc else None

    def carried_by(self, ssrc: int, timestamp: int, ticks: int, now_ns: int) -> Stretch | None:
        """What a packet of the stream carries; None: it passes as it is."""
        if self.over:
            return None
        if ssrc != self._ssrc:
            if now_ns < self._alive_ns:
                return None
            self._ssrc = ssrc
            self._carried.clear()
        behind = -signed_distance(self._newest, timestamp, bits=32)
        if self._carried and 0 < behind < _BEGUN_ANEW:
            return None
        return Stretch(self._at, ticks)

    def went_along(self, line: Line, carried: Carried, timestamp: int, now_ns: int) -> Spoken:
        """The packet of this timestamp is out with a stretch in it; after it the stream stands at `line`."""
        stretch = carried.stretch
        self._carried[timestamp] = carried
        if len(self._carried) > _REMEMBERED:
            self._carried.popitem(last=False)
        self._newest = timestamp
        self.alone = False
        self.line = line
        spoken = self._went(stretch, now_ns)
        self._alive_ns = now_ns + max(SILENT_NS, 2 * stretch.ticks * TICK_NS)
        self.due_ns = self.until_ns + EARLY_NS if self.over else self._alive_ns
        return spoken

    def went_alone(self, stretch: Stretch, line: Line, now_ns: int) -> Spoken:
        """A packet of ours is out; the stream now stands at `line`."""
        spoken = self._went(stretch, now_ns)
        self.alone = True
        self.line = line
        self.put_off(now_ns)
        return spoken

    def put_off(self, now_ns: int) -> None:
        """The next packet of ours is due 20 ms after this one was, not after it was sent."""
        self.due_ns += PACKET_NS
        if self.over:
            self.due_ns = self.until_ns + EARLY_NS
        elif now_ns - self.due_ns > STALLED_NS:
            self.due_ns = now_ns

    def _went(self, stretch: Stretch, now_ns: int) -> Spoken:
        """Without a pause each stretch is heard where the one before it ended, however its packet fared."""
        until_ns = self._until_ns
        at_ns = now_ns if until_ns is None or now_ns >= until_ns + SILENT_NS else until_ns
        ticks = min(stretch.ticks, self.sound.ticks - stretch.first)
        self._at = stretch.first + ticks
        self._until_ns = at_ns + ticks * TICK_NS
        return Spoken(Stretch(stretch.first, ticks), at_ns)
