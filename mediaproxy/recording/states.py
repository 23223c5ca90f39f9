"""The states of a recording and what a toggle does to them.

A recording is armed `inactive` at the answer. Every change happens at one position of the call clock,
has an author, and moves the gate exactly there. An opening is *tentative* until its journal line is
durable: it takes effect at once in memory, but nothing of it is written out, and `annul` makes it as if
it had never been. A closing needs nobody's permission.
"""

from dataclasses import dataclass
from enum import Enum

from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.recording.gate import Gate
from mediaproxy.recording.manifest import Actor


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


@dataclass(frozen=True, slots=True)
class Toggled:
    """What a toggle did. When `changed` is false, `effective_sample` is when the present state began.

    `number` counts the changes of one recording from 1 (0 when nothing changed). With `tentative` the
    change is an opening that waits for `confirm(number)` or `annul(number)`.
    """

    action: Action
    by: Actor
    state: State
    changed: bool
    effective_sample: int
    number: int = 0

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
    """One recording's state, its gate and the policy that both obey."""

    __slots__ = ("_before", "_number", "_policy", "gate", "since", "state")

    def __init__(self, policy: RecordingPolicy) -> None:
        self.gate = Gate()
        self.state = State.INACTIVE
        self.since = 0
        self._policy = policy
        self._number = 0
        self._before: _Before | None = None

    def toggle(self, action: Action, by: Actor, at: int) -> Toggled | Refusal:
        """Apply a command at position `at`."""
        if action is Action.TOGGLE:
            action = Action.STOP if self.state is State.RECORDING else Action.START
        refusal = self._refusal(action, by)
        return refusal if refusal else self._apply(action, by, at)

    def finish(self, duration: int, by: Actor) -> Toggled:
        """The call is over, `duration` samples long: nothing lies at or beyond its end."""
        finished = self._apply(Action.FINISH, by, duration)
        self.gate.cut(duration, by)
        return finished

    def confirm(self, number: int) -> None:
        """The journal line of opening `number` is durable."""
        self.gate.confirm(number)
        if self._before and self._before.number == number:
            self._before = None

    def annul(self, number: int) -> None:
        """Opening `number` did not become durable: its interval vanishes, whatever came after it."""
        self.gate.annul(number)
        if self._before and self._before.number == number:
            self.state, self.since = self._before.state, self._before.since
            self._before = None

    def _refusal(self, action: Action, by: Actor) -> Refusal | None:
        if self.state is State.FINISHED:
            return Refusal.ENDED
        if self._policy.policy is Policy.OFF:
            return Refusal.NOT_ENABLED
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
        if self.state is State.RECORDING:
            self.gate.close(at, by)
        if following is State.RECORDING:
            self.gate.open(at, by, number=self._number)
        self._before = before if following is State.RECORDING else None
        self.state, self.since = following, at
        return Toggled(action, by, following, True, at, self._number)
