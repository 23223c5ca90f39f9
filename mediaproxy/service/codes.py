"""Dialled codes, from whatever means told them, to demands that are made once and of the right leg.

A telephone may tell a digit twice, in RTP (RFC 4733) and by SIP INFO; and a code may begin a longer one.
Such a code takes effect at once in a way that can be taken back: a closing closes, an opening is tentative
and nothing of it is written until it is certain.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from mediaproxy.calls.events import CallRecord, Participant
from mediaproxy.calls.plane import LegId
from mediaproxy.clock import NS_PER_S
from mediaproxy.ids import CallId
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.states import Action
from mediaproxy.service.control import Control
from mediaproxy.service.media import Recordings

TOLD_TWICE_NS: Final = 2 * NS_PER_S
FOR_CARRIERS: Final = {Action.STOP: Action.STOP, Action.PAUSE: Action.PAUSE, Action.TOGGLE: Action.STOP}


@dataclass(frozen=True, slots=True)
class Code:
    """A code that a leg dialled; `in_rtp` says whether RFC 4733 told it, or INFO."""

    call: CallId
    leg: LegId
    action: Action
    arrived_ns: int
    certain: bool
    in_rtp: bool


@dataclass(slots=True)
class _Undecided:
    """A code that may still become a longer one; `was_open`: the gate, before its first digits."""

    action: Action
    was_open: bool
    certain: asyncio.Future[bool]


@dataclass(slots=True)
class _Leg:
    undecided: _Undecided | None = None
    by_info: Code | None = None  # acted upon; RFC 4733 may tell it too


class DialledCodes:
    """What a code asks for; everything is called on the loop of the recordings."""

    def __init__(
        self, live_call: Callable[[CallId], CallRecord | None], recordings: Recordings, control: Control
    ) -> None:
        self._live_call = live_call
        self._recordings = recordings
        self._control = control
        self._legs: dict[tuple[CallId, LegId], _Leg] = {}

    def receive(self, code: Code) -> Coroutine[Any, Any, None] | None:
        """The demand that follows, to be started at once; None when there is none."""
        who, action = self._allowed(code)
        if who is None or action is None:
            return None
        leg = self._legs.setdefault((code.call, code.leg), _Leg())
        if _is_told_twice(leg, code):
            return None
        if not code.in_rtp and code.certain:
            leg.by_info = code
        undecided, leg.undecided = leg.undecided, None
        if undecided is not None:
            if undecided.action is action:
                self._tell_again(leg, undecided, code)
                return None
            _settle(undecided.certain, to=False)
            if action is Action.TOGGLE:  # as it was meant: before the shorter code did anything
                action = Action.STOP if undecided.was_open else Action.START
        was_open = self._recordings.is_open(code.call) if undecided is None else undecided.was_open
        certain = None if code.certain else asyncio.get_running_loop().create_future()
        if certain is not None:
            leg.undecided = _Undecided(action, was_open, certain)
        return self._demand(code, action, Actor("dtmf", who), certain, after=undecided)

    def ended(self, call: CallId) -> None:
        """No further digit will come: what is undecided is what it looks like."""
        for leg_id in LegId:
            leg = self._legs.pop((call, leg_id), None)
            if leg is not None and leg.undecided is not None:
                _settle(leg.undecided.certain, to=True)

    def _tell_again(self, leg: _Leg, undecided: _Undecided, code: Code) -> None:
        if code.certain:
            _settle(undecided.certain, to=True)
        else:
            leg.undecided = undecided

    async def _demand(
        self,
        code: Code,
        action: Action,
        by: Actor,
        certain: asyncio.Future[bool] | None,
        *,
        after: _Undecided | None,
    ) -> None:
        if after is not None:
            await self._recordings.opening_settled(code.call)
        await self._control.demand(code.call, action, by, at_ns=code.arrived_ns, certain=certain)

    def _allowed(self, code: Code) -> tuple[str | None, Action | None]:
        """Who dialled, and what they may ask for: only our side opens."""
        record = self._live_call(code.call)
        who = None if record is None else on_leg(record, code.leg)
        if who is None:
            return None, None
        if who.kind == "agent":
            return who.name, code.action
        if self._recordings.closed_by_carriers(code.call):
            return who.name, FOR_CARRIERS.get(code.action)
        return None, None


def on_leg(record: CallRecord, leg: LegId) -> Participant | None:
    """Who is on that leg now."""
    return next((one for one in record.participants if one.leg is leg and one.to_ms is None), None)


def _is_told_twice(leg: _Leg, code: Code) -> bool:
    """INFO came first and was acted upon; each such code is told in RTP once."""
    before = leg.by_info
    if before is None or not code.in_rtp:
        return False
    if code.arrived_ns - before.arrived_ns >= TOLD_TWICE_NS or code.action is not before.action:
        leg.by_info = None
        return False
    if code.certain:
        leg.by_info = None
    return True


def _settle(certain: asyncio.Future[bool], *, to: bool) -> None:
    if not certain.done():
        certain.set_result(to)
