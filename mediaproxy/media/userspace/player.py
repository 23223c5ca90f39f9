"""Sounds of ours on their way to one leg each.

While the other leg's audio flows, a sound is mixed into it: header, timing and size of the packets stay
as they came, no telephone sees a second stream or a jump, and nobody's speech is lost. While nothing
flows, packets of ours go between the last one and the next, in that stream's numbers. What is changed or
added is counted on the leg whose stream it is.

What cannot carry a sound, a codec or a length that we do not have, stays away while packets of ours do:
two voices at once in one stream are heard as neither.
"""

import os
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Final, NamedTuple

from mediaproxy.audio.sound import TICK_HZ, Sound
from mediaproxy.calls import plane
from mediaproxy.calls.plane import (
    AnnouncementHindered,
    AnnouncementPlayed,
    AnnouncementSpoken,
    Codec,
    Hindrance,
    PlaneEvent,
)
from mediaproxy.clock import NS_PER_MS
from mediaproxy.media.userspace.leg import Fields, Leg
from mediaproxy.media.userspace.sounding import (
    PACKET_NS,
    PACKET_TICKS,
    SILENT_NS,
    TICK_NS,
    Carried,
    Line,
    Sounding,
    Spoken,
)
from mediaproxy.media.userspace.tone import TONES
from mediaproxy.media.userspace.voices import Payload, can_speak, mixes
from mediaproxy.rtp.packet import MARKER, PLAIN, build
from mediaproxy.rtp.sequence import Renumbering

GRACE_NS: Final = 500 * NS_PER_MS  # a party that was just answered may not listen before it speaks


class Mixed(NamedTuple):
    """A payload with a sound in it; call `went` when it is out, and `forget` in any case."""

    payload: Payload
    went: Callable[[], None]
    forget: Callable[[], None]


class Player:
    """`emit` takes plane events; `rearm` is called when `next_deadline_ns` may have changed."""

    def __init__(self, emit: Callable[[PlaneEvent], None], rearm: Callable[[], None]) -> None:
        self._emit = emit
        self._rearm = rearm
        self._agenda: list[tuple[int, int, Leg, Sounding]] = []  # a heap; what is out of date is passed over
        self._numbers = count()

    # Operations.

    def play_tone(self, leg: Leg, tone: plane.Tone, now_ns: int) -> None:
        """Nothing when it can't be heard at once, or would hide an announcement. Where it would hide speech
        a confirmation is not worth it; a warning is."""
        announcing = leg.sounding is not None and leg.sounding.number is not None
        found = _codec(leg.other)
        if announcing or _hindrance(leg) is not None or found is None:
            return
        if tone is not plane.Tone.WARNING and not mixes(found[1]):
            return
        self._set(leg, Sounding(TONES[tone]))
        self._begin(leg, now_ns, grace_ns=0)

    def announce(self, leg: Leg, number: int, sound: Sound, now_ns: int) -> None:
        self._set(leg, Sounding(sound, number))
        if (reason := _hindrance(leg)) is not None:
            return self._emit(AnnouncementHindered(leg.call, leg.id, number, reason))
        return self._begin(leg, now_ns, grace_ns=GRACE_NS)

    def stop(self, leg: Leg) -> None:
        """Whatever announcement sounds or waits."""
        if leg.sounding is not None and leg.sounding.number is not None:
            self._end(leg)

    def reconsider(self, leg: Leg, now_ns: int) -> None:
        """What decides whether the leg's party can hear a sound may have changed."""
        sounding = leg.sounding
        if sounding is None or sounding.over:
            return
        reason = _hindrance(leg)
        if reason is not None and sounding.number is None:
            self._end(leg)
        elif reason is not None and not sounding.waits:
            sounding.wait()
            self._emit(AnnouncementHindered(leg.call, leg.id, sounding.number or 0, reason))
        elif reason is None and sounding.waits:
            self._begin(leg, now_ns, grace_ns=GRACE_NS)

    def forget(self, leg: Leg) -> None:
        leg.sounding = None

    # Packets of `leg`, whose stream carries a sound to the other one.

    def hides(self, leg: Leg, sounding: Sounding, fields: Fields, payload: Payload) -> bool:
        """Whether this packet stays away: the sound goes alone, and it is speech that cannot carry it."""
        codec = leg.audio.get(fields[1] & ~MARKER)
        return sounding.alone and codec is not None and not _carries(sounding, codec, payload)

    def mix(
        self, leg: Leg, sounding: Sounding, fields: Fields, payload: Payload, now_ns: int
    ) -> Mixed | None:
        """The payload with the next stretch in it; None: it passes as it is."""
        _, second, seq, timestamp, ssrc = fields
        codec = leg.audio.get(second & ~MARKER)
        if codec is None or sounding.waits or not _ready(leg.other, sounding, now_ns):
            return None
        again = sounding.repeated(ssrc, timestamp)
        if again is not None and again.payload is not None:
            return Mixed(again.payload, lambda: _count(leg), lambda: None)
        if not _carries(sounding, codec, payload):
            return None
        voice = sounding.voice(codec)
        ticks = voice.ticks(payload)
        stretch = again.stretch if again else sounding.carried_by(ssrc, timestamp, ticks, now_ns)
        if stretch is None:
            return None
        mixed = voice.over(payload, sounding.sound.stretch(stretch.first, ticks, voice.rate_hz))
        if again is not None:
            return Mixed(mixed, lambda: _count(leg), voice.forget)
        end = timestamp + ticks * codec.clock_hz // TICK_HZ & 0xFFFFFFFF
        line = Line(ssrc, seq, end, now_ns + ticks * TICK_NS + PACKET_NS)
        carried = Carried(stretch, None if mixes(codec) else bytes(mixed))

        def went() -> None:
            _count(leg)
            self._went(leg.other, sounding, sounding.went_along(line, carried, timestamp, now_ns))

        return Mixed(mixed, went, voice.forget)

    def _went(self, leg: Leg, sounding: Sounding, spoken: Spoken) -> None:
        if sounding.number is not None:
            (first, ticks), at_ns = spoken
            self._emit(AnnouncementSpoken(leg.call, leg.id, sounding.number, first, ticks, at_ns))
            self._look_at(leg, sounding)
        elif sounding.over:
            self._end(leg)

    # Time.

    def next_deadline_ns(self) -> int | None:
        return self._agenda[0][0] if self._agenda else None

    def handle_timer(self, now_ns: int) -> None:
        while self._agenda and self._agenda[0][0] <= now_ns:
            at_ns, _, leg, sounding = heappop(self._agenda)
            if sounding.armed_ns != at_ns:
                continue
            sounding.armed_ns = None
            if leg.sounding is sounding and not sounding.waits:
                self._continue(leg, sounding, now_ns)

    def _continue(self, leg: Leg, sounding: Sounding, now_ns: int) -> None:
        if sounding.due_ns <= now_ns and sounding.over:
            return self._played(leg, sounding)
        if sounding.due_ns <= now_ns:
            self._play_alone(leg, sounding, now_ns)
        return self._look_at(leg, sounding)

    def _look_at(self, leg: Leg, sounding: Sounding) -> None:
        """When it is due, unless that is known or it is looked at before."""
        if leg.sounding is not sounding or not (
            sounding.armed_ns is None or sounding.due_ns < sounding.armed_ns
        ):
            return
        sounding.armed_ns = sounding.due_ns
        heappush(self._agenda, (sounding.due_ns, next(self._numbers), leg, sounding))
        self._rearm()

    def _played(self, leg: Leg, sounding: Sounding) -> None:
        self._end(leg)
        if sounding.number is not None:
            self._emit(AnnouncementPlayed(leg.call, leg.id, sounding.number, sounding.until_ns))

    def _play_alone(self, leg: Leg, sounding: Sounding, now_ns: int) -> None:
        """The next 20 ms to `leg`, as the other leg's stream would go on."""
        source = leg.other
        found = _codec(source)
        assert found is not None  # without one the sound waits
        payload_type, codec = found
        voice = sounding.voice(codec)
        stretch = sounding.next(PACKET_TICKS)
        line = sounding.line or _line_of(source, payload_type, codec, sounding.due_ns)
        timestamp = line.timestamp_at(sounding.due_ns, codec.clock_hz)
        payload = voice.alone(sounding.sound.stretch(stretch.first, stretch.ticks, voice.rate_hz))
        seq = renumbering(source).insert(line.ssrc, relayed=line.seq)
        if not source.send_on(build(payload_type, False, seq, timestamp, line.ssrc, payload)):
            return sounding.put_off(now_ns)  # the same stretch once more: none is left out
        _count(source)
        end = timestamp + PACKET_TICKS * codec.clock_hz // TICK_HZ & 0xFFFFFFFF
        stands = Line(line.ssrc, line.seq, end, sounding.due_ns + PACKET_NS)
        return self._went(leg, sounding, sounding.went_alone(stretch, stands, now_ns))

    # Helpers.

    def _set(self, leg: Leg, sounding: Sounding) -> None:
        leg.sounding = sounding
        leg.other.refresh_actions()

    def _begin(self, leg: Leg, now_ns: int, *, grace_ns: int) -> None:
        assert leg.sounding is not None
        source = leg.other
        silent_ns = source.last_ns + 2 * SILENT_NS if source.packets else 0
        graced = grace_ns if not (leg.packets and source.packets) else 0
        ready_ns = now_ns if leg.packets else now_ns + grace_ns
        leg.sounding.begin(ready_ns, max(now_ns + graced, silent_ns))
        self._look_at(leg, leg.sounding)

    def _end(self, leg: Leg) -> None:
        leg.sounding = None
        leg.other.refresh_actions()


def renumbering(leg: Leg) -> Renumbering:
    leg.recall()
    if leg.renumbering is None:
        leg.renumbering = Renumbering()
    return leg.renumbering


def _hindrance(leg: Leg) -> Hindrance | None:
    """Why `leg`'s party would not hear a sound of ours."""
    if leg.destination is None:
        return Hindrance.NOWHERE
    if not leg.other.heard:
        return Hindrance.NOT_LISTENING
    return None if _codec(leg.other) else Hindrance.CODEC


def _carries(sounding: Sounding, codec: Codec, payload: Payload) -> bool:
    return can_speak(codec) and sounding.voice(codec).ticks(payload) > 0


def _ready(leg: Leg, sounding: Sounding, now_ns: int) -> bool:
    return leg.packets > 0 or now_ns >= sounding.ready_ns


def _codec(source: Leg) -> tuple[int, Codec] | None:
    """The payload type and codec for packets of ours in `source`'s stream: what it speaks now, or may."""
    spoken = source.last[1] & ~MARKER if source.last is not None else -1
    for payload_type in (spoken, *source.audio):
        codec = source.audio.get(payload_type)
        if codec is not None and can_speak(codec):
            return payload_type, codec
    return None


def _line_of(source: Leg, payload_type: int, codec: Codec, due_ns: int) -> Line:
    """Where `source`'s stream stands; when nothing was ever relayed, one of ours begins."""
    if source.last is not None:
        _, _, seq, timestamp, ssrc = source.last
        end = timestamp + PACKET_TICKS * codec.clock_hz // TICK_HZ & 0xFFFFFFFF  # ours never lies beneath it
        return Line(ssrc, seq, end, source.last_ns + 2 * PACKET_NS)
    ssrc = int.from_bytes(os.urandom(4), "big")
    source.last = (PLAIN, payload_type | MARKER, 0, 0, ssrc)
    return Line(ssrc, 0, 0, due_ns)


def _count(source: Leg) -> None:
    source.injected += 1
