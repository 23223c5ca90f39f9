"""The states of a recording and what a toggle does to them.

A recording is armed `inactive` at the answer. Every change happens at one position of the call clock,
has an author, and moves the gate exactly there. An opening is *tentative* until its journal line is
durable: it takes effect at once in memory, but nothing of it is written out, and `annul` makes it as if
it had never been. A closing needs nobody's permission.

Where consent is required the first opening opens no gate: it begins an announcement (an interval of its
own, `notices`), and only when that was played in full does the gate open, tentatively once more. Once a
call is enough: whoever heard it all has been told.
"""

from dataclasses import dataclass
from enum import Enum

from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.recording.gate import Gate
from mediaproxy.recording.manifest import Actor, Interval


class State(Enum):
    INACTIVE = "inactive"
    RECORDING = "recording"
    PAUSED = "paused"
    FINISHED = "finished"


class Action(Enum):
    START = "start"
    STOP = "stop"
    PAUSE = "pause"
    RESUME = "resume"
    TOGGLE = "toggle"  # start if not recording, else stop
    FINISH = "finish"  # the call is over; never asked for by a user
    ANNOUNCED = "announced"  # the announcement was heard; never asked for by a user


class Refusal(Enum):
    """Why a toggle was not applied, in the order in which it is judged."""

    ENDED = "ended"
    NOT_ENABLED = "not_enabled"
    LOCKED = "locked"


# An absent pair changes nothing: repeating a command is harmless.
TRANSITIONS: dict[tuple[State, Action], State] = {
    (State.INACTIVE, Action.START): State.RECORDING,
    (State.INACTIVE, Action.RESUME): State.RECORDING,
    (State.INACTIVE, Action.FINISH): State.FINISHED,
    (State.RECORDING, Action.PAUSE): State.PAUSED,
    (State.RECORDING, Action.STOP): State.INACTIVE,
    (State.RECORDING, Action.FINISH): State.FINISHED,
    (State.PAUSED, Action.START): State.RECORDING,
    (State.PAUSED, Action.RESUME): State.RECORDING,
    (State.PAUSED, Action.STOP): State.INACTIVE,
    (State.PAUSED, Action.FINISH): State.FINISHED,
}

CLOSING = frozenset({Action.STOP, Action.PAUSE})
OPENING = frozenset({Action.START, Action.RESUME})


@dataclass(frozen=True, slots=True)
class Toggled:
    """What a toggle did. When `changed` is false, `effective_sample` is when the present state began.

    `number` counts the changes of one recording from 1 (0 when nothing changed). With `tentative` the
    change is an opening that waits for `confirm(number)` or `annul(number)`; with `announcing` it opens
    nothing yet: the announcement is to be played.
    """

    action: Action
    by: Actor
    state: State
    changed: bool
    effective_sample: int
    number: int = 0
    announcing: bool = False

    @property
    def tentative(self) -> bool:
        return self.changed and self.state is State.RECORDING


@dataclass(frozen=True, slots=True)
class _Before:
    """Where an annulled opening returns to."""

    number: int
    state: State
    since: int


class States:
    """One recording's state, its gate, its announcements and the policy that all obey."""

    __slots__ = ("_before", "_may_open", "_number", "_policy", "barred", "gate", "notices", "since", "state")

    def __init__(self, policy: RecordingPolicy) -> None:
        self.barred = False  # whoever is on the call now may not be recorded: nothing opens
        self.gate = Gate()
        self.notices = Gate("announcement")
        self.state = State.INACTIVE
        self.since = 0
        self._policy = policy
        self._may_open = not policy.consent_required
        self._number = 0
        self._before: _Before | None = None

    def intervals(self) -> tuple[Interval, ...]:
        """The closed, non-empty intervals of both kinds, in their order."""
        found = (*self.gate.intervals(), *self.notices.intervals())
        return tuple(sorted(found, key=lambda interval: interval.start_sample))

    @property
    def is_open(self) -> bool:
        """Whether anything may come into the file now."""
        return self.gate.is_open or self.notices.is_open

    def settled_until(self) -> int | None:
        """Nothing at or beyond this position may be written out yet; None = no limit."""
        limits = (self.gate.settled_until(), self.notices.settled_until())
        return min((limit for limit in limits if limit is not None), default=None)

    def toggle(self, action: Action, by: Actor, at: int) -> Toggled | Refusal:
        """Apply a command at position `at`."""
        if action is Action.TOGGLE:
            action = Action.STOP if self.state is State.RECORDING else Action.START
        refusal = self._refusal(action, by)
        return refusal if refusal else self._apply(action, by, at)

    def announced(self, at: int) -> Toggled | None:
        """The announcement was played in full to everyone: the gate opens at `at`. None: nobody waits for
        it any more."""
        if not self.notices.is_open:
            return None
        by = self.notices.openings[-1].started_by
        self._may_open = True
        self._number += 1
        self._before = _Before(self._number, State.INACTIVE, at)
        self.notices.close(at, by)
        self.gate.open(at, by, number=self._number)
        self.since = at
        return Toggled(Action.ANNOUNCED, by, self.state, True, at, self._number)

    def finish(self, duration: int, by: Actor) -> Toggled:
        """The call is over, `duration` samples long: nothing lies at or beyond its end."""
        finished = self._apply(Action.FINISH, by, duration)
        self.gate.cut(duration, by)
        self.notices.cut(duration, by)
        return finished

    def confirm(self, number: int) -> None:
        """The journal line of opening `number` is durable."""
        self.gate.confirm(number)
        self.notices.confirm(number)
        if self._before and self._before.number == number:
            self._before = None

    def annul(self, number: int) -> None:
        """Opening `number` did not become durable: its interval vanishes, whatever came after it."""
        self.gate.annul(number)
        self.notices.annul(number)
        if self._before and self._before.number == number:
            self.state, self.since = self._before.state, self._before.since
            self._before = None

    def _refusal(self, action: Action, by: Actor) -> Refusal | None:
        if self.state is State.FINISHED:
            return Refusal.ENDED
        if self._policy.policy is Policy.OFF or (self.barred and action in OPENING):
            return Refusal.NOT_ENABLED
        if by.means == "policy":  # which stands above its own lock
            return None
        if not self._policy.pausable and (action in CLOSING or by.means == "dtmf"):
            return Refusal.LOCKED
        return None

    def _apply(self, action: Action, by: Actor, at: int) -> Toggled:
        following = TRANSITIONS.get((self.state, action), self.state)
        if following is self.state:
            return Toggled(action, by, self.state, False, self.since)
        at = at if action is Action.FINISH else max(at, self.since)
        before = _Before(self._number + 1, self.state, self.since)
        self._number += 1
        opens = following is State.RECORDING
        if self.state is State.RECORDING:
            (self.notices if self.notices.is_open else self.gate).close(at, by)
        if opens:
            (self.gate if self._may_open else self.notices).open(at, by, number=self._number)
        self._before = before if opens else None
        self.state, self.since = following, at
        return Toggled(action, by, following, True, at, self._number, announcing=opens and not self._may_open)
