"""Who is told what while calls are recorded: the announcement at an opening, and reminders after it.

Where consent is required, the recording waits until everyone addressed has heard the whole announcement;
what of it went out when stands in the file. Elsewhere it is played while the recording goes on, and the
file holds the parties alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

import structlog

from mediaproxy.calls.events import CallAnswered
from mediaproxy.calls.model import Addressed
from mediaproxy.calls.plane import (
    AnnouncementEvent,
    AnnouncementHindered,
    AnnouncementPlayed,
    AnnouncementSpoken,
    LegId,
    PlaneOperation,
    PlayAnnouncement,
    StopAnnouncement,
)
from mediaproxy.clock import NS_PER_S
from mediaproxy.ids import CallId
from mediaproxy.recording.recorder import Recorder
from mediaproxy.service.sounds import Sounds

log = structlog.get_logger()


class _Playing(NamedTuple):
    number: int
    sound: str


@dataclass(slots=True)
class _Told:
    """What is played in one call; once everyone has heard the announcement, that is enough for the call."""

    answered: CallAnswered
    playing: dict[LegId, _Playing] = field(default_factory=dict)  # what sounded last, or waits to
    unheard: frozenset[LegId] = frozenset()  # who has not heard all of the announcement
    done: bool = False
    waited_for: bool = False
    reminds: bool = False
    remind_ns: int | None = None


class Announcements:
    """`heard(call, now_ns)` is called when a recording waits no more: everyone has heard the whole
    announcement."""

    def __init__(
        self,
        sounds: Sounds,
        recorder: Recorder,
        *,
        perform: Callable[[PlaneOperation], None],
        heard: Callable[[CallId, int], None],
    ) -> None:
        self._sounds = sounds
        self._recorder = recorder
        self._perform = perform
        self._heard = heard
        self._told: dict[CallId, _Told] = {}
        self._numbers = count(1)

    def await_consent(self, answered: CallAnswered) -> None:
        """The recording opens when the announcement was heard."""
        told = self._of(answered)
        told.waited_for = True
        self._announce(told)

    def opened(self, answered: CallAnswered) -> None:
        """The recording is open: it is announced, if it was not, and reminded of from now on."""
        told = self._of(answered)
        told.waited_for = False
        if not told.done and answered.policy.announcement.sound:
            self._announce(told)
        told.reminds = bool(answered.policy.announcement.reminder)

    def closed(self, call: CallId) -> None:
        """Nothing of ours is to be heard any more."""
        told = self._told.get(call)
        if told is not None:
            told.playing.clear()
            told.waited_for, told.reminds, told.remind_ns = False, False, None
            for leg in LegId:
                self._perform(StopAnnouncement(call, leg))

    def ended(self, call: CallId) -> None:
        self.closed(call)
        self._told.pop(call, None)

    def receive(self, event: AnnouncementEvent, now_ns: int) -> None:
        told = self._told.get(event.call)
        playing = None if told is None else told.playing.get(event.leg)
        if told is None or playing is None or event.number != playing.number:
            return
        match event:
            case AnnouncementSpoken():
                self._keep(told, playing.sound, event)
            case AnnouncementPlayed(leg=leg):
                self._played(told, leg, now_ns)
            case AnnouncementHindered(leg=leg, reason=reason):
                log.warning("announcement_hindered", call=event.call, leg=leg.name, why=reason.value)

    def _played(self, told: _Told, leg: LegId, now_ns: int) -> None:
        told.unheard -= {leg}
        if told.unheard:
            return
        told.done = True
        if told.waited_for:
            self._heard(told.answered.call.id, now_ns)

    def tick(self, now_ns: int) -> None:
        """Reminders that are due."""
        for told in [one for one in self._told.values() if one.reminds]:
            if told.remind_ns is not None and told.remind_ns <= now_ns:
                to = frozenset(addressed(told.answered)) - told.unheard  # else it would take its place
                self._play(told, told.answered.policy.announcement.reminder, to)
            if told.remind_ns is None or told.remind_ns <= now_ns:
                every_s = told.answered.policy.announcement.reminder_every_s
                told.remind_ns = now_ns + round(every_s * NS_PER_S)

    def _of(self, answered: CallAnswered) -> _Told:
        return self._told.setdefault(answered.call.id, _Told(answered))

    def _announce(self, told: _Told) -> None:
        told.unheard = frozenset(addressed(told.answered))
        self._play(told, told.answered.policy.announcement.sound, told.unheard)

    def _play(self, told: _Told, name: str, to: frozenset[LegId]) -> None:
        sound = self._sounds.get(name)
        if sound is None:  # nobody hears it, so what waits for it does not open
            log.error("announcement_missing", call=told.answered.call.id, file=name)
            return
        number = next(self._numbers)
        for leg in sorted(to):
            told.playing[leg] = _Playing(number, name)
            self._perform(PlayAnnouncement(told.answered.call.id, leg, number, sound))

    def _keep(self, told: _Told, name: str, spoken: AnnouncementSpoken) -> None:
        sound = self._sounds.get(name)
        if told.waited_for and sound is not None:
            stretch = (spoken.first, spoken.ticks)
            self._recorder.speak(told.answered.generation, spoken.leg, spoken.at_ns, sound, stretch)


def addressed(answered: CallAnswered) -> tuple[LegId, ...]:
    """Who is to hear the announcement."""
    carrier = answered.carrier_leg
    match answered.policy.announcement.to:
        case Addressed.CARRIER:
            return (carrier,)
        case Addressed.AGENT:
            return (carrier.other,)
        case Addressed.BOTH:
            return tuple(LegId)
