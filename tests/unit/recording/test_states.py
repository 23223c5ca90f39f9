import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.recording.manifest import Actor, Interval
from mediaproxy.recording.states import Action, Refusal, State, States, Toggled

ALICE = Actor("api", "alice")
DTMF = Actor("dtmf", "alice")
END = Actor("call_end")


def on_demand(*, pausable: bool = True) -> States:
    return States(RecordingPolicy(Policy.ON_DEMAND, pausable))


def apply(states: States, action: Action, at: int, by: Actor = ALICE) -> Toggled:
    outcome = states.toggle(action, by, at)
    assert isinstance(outcome, Toggled)
    return outcome


def in_state(state: State) -> States:
    states = on_demand()
    if state is not State.INACTIVE:
        apply(states, Action.START, 10)
    if state is State.PAUSED:
        apply(states, Action.PAUSE, 20)
    return states


@pytest.mark.parametrize(
    ("state", "action", "following", "changed"),
    [
        (State.INACTIVE, Action.START, State.RECORDING, True),
        (State.INACTIVE, Action.RESUME, State.RECORDING, True),
        (State.INACTIVE, Action.PAUSE, State.INACTIVE, False),
        (State.INACTIVE, Action.STOP, State.INACTIVE, False),
        (State.RECORDING, Action.START, State.RECORDING, False),
        (State.RECORDING, Action.RESUME, State.RECORDING, False),
        (State.RECORDING, Action.PAUSE, State.PAUSED, True),
        (State.RECORDING, Action.STOP, State.INACTIVE, True),
        (State.PAUSED, Action.START, State.RECORDING, True),
        (State.PAUSED, Action.RESUME, State.RECORDING, True),
        (State.PAUSED, Action.PAUSE, State.PAUSED, False),
        (State.PAUSED, Action.STOP, State.INACTIVE, True),
    ],
)
def test_the_contracts_table(state: State, action: Action, following: State, changed: bool) -> None:
    states = in_state(state)
    since = states.since
    outcome = apply(states, action, 100)
    assert (outcome.state, outcome.changed) == (following, changed)
    assert outcome.effective_sample == (100 if changed else since)
    assert states.state is following


def test_a_toggle_starts_when_not_recording_and_else_stops() -> None:
    states = on_demand()
    assert apply(states, Action.TOGGLE, 10).action is Action.START
    assert apply(states, Action.TOGGLE, 20).action is Action.STOP
    apply(states, Action.START, 30)
    apply(states, Action.PAUSE, 40)
    assert apply(states, Action.TOGGLE, 50).action is Action.START


def test_changes_are_numbered_and_repetitions_are_not() -> None:
    states = on_demand()
    numbers = [
        apply(states, action, 10 * n).number
        for n, action in enumerate([Action.START, Action.START, Action.STOP, Action.STOP, Action.START])
    ]
    assert numbers == [1, 0, 2, 0, 3]


def test_only_openings_are_tentative() -> None:
    states = on_demand()
    assert apply(states, Action.START, 1).tentative
    assert not apply(states, Action.START, 2).tentative
    assert not apply(states, Action.STOP, 3).tentative


@pytest.mark.parametrize("action", [Action.STOP, Action.PAUSE])
def test_what_is_not_pausable_refuses_to_close(action: Action) -> None:
    states = States(RecordingPolicy(Policy.AUTOMATIC, pausable=False))
    apply(states, Action.START, 0, Actor("policy"))
    assert states.toggle(action, ALICE, 10) is Refusal.LOCKED
    assert states.state is State.RECORDING


def test_what_is_not_pausable_refuses_every_code() -> None:
    states = States(RecordingPolicy(Policy.AUTOMATIC, pausable=False))
    assert states.toggle(Action.START, DTMF, 10) is Refusal.LOCKED


def test_a_call_whose_policy_is_off_is_not_enabled() -> None:
    states = States(RecordingPolicy(Policy.OFF))
    assert states.toggle(Action.START, ALICE, 10) is Refusal.NOT_ENABLED


def test_an_ended_call_takes_no_toggle_whatever_its_policy() -> None:
    states = States(RecordingPolicy(Policy.OFF))
    states.finish(100, END)
    assert states.toggle(Action.START, ALICE, 10) is Refusal.ENDED


def test_the_end_closes_an_open_interval_at_the_duration() -> None:
    states = on_demand()
    apply(states, Action.START, 40)
    finished = states.finish(100, END)
    assert (finished.state, finished.changed, finished.effective_sample) == (State.FINISHED, True, 100)
    assert states.gate.intervals() == (Interval(40, 100, ALICE, END),)


def test_nothing_lies_beyond_an_end_that_came_before_the_toggles() -> None:
    states = on_demand()
    apply(states, Action.START, 40)
    apply(states, Action.STOP, 120)
    apply(states, Action.START, 130)
    states.finish(100, END)
    assert states.gate.intervals() == (Interval(40, 100, ALICE, END),)


def test_an_annulled_opening_leaves_the_state_before_it() -> None:
    states = in_state(State.PAUSED)
    opening = apply(states, Action.RESUME, 50)
    states.annul(opening.number)
    assert (states.state, states.since) == (State.PAUSED, 20)
    assert apply(states, Action.PAUSE, 60).changed is False
    assert states.gate.intervals() == (Interval(10, 20, ALICE, ALICE),)


def test_an_opening_may_be_annulled_after_it_was_closed() -> None:
    states = on_demand()
    opening = apply(states, Action.START, 10)
    apply(states, Action.STOP, 20)
    states.annul(opening.number)
    assert states.state is State.INACTIVE
    assert states.gate.intervals() == ()


def test_a_confirmed_opening_is_not_annulled_by_anothers_number() -> None:
    states = on_demand()
    first = apply(states, Action.START, 10)
    states.confirm(first.number)
    states.annul(first.number + 1)
    assert states.gate.settled_until() is None
    assert states.state is State.RECORDING


def test_nothing_from_the_first_unsettled_opening_on_is_settled() -> None:
    states = on_demand()
    first = apply(states, Action.START, 10)
    apply(states, Action.STOP, 20)
    second = apply(states, Action.START, 30)
    assert states.gate.settled_until() == 10
    states.confirm(second.number)
    assert states.gate.settled_until() == 10
    states.confirm(first.number)
    assert states.gate.settled_until() is None


def test_an_empty_interval_is_not_listed() -> None:
    states = on_demand()
    apply(states, Action.START, 10)
    apply(states, Action.STOP, 10)
    assert states.gate.intervals() == ()


class Machine(RuleBasedStateMachine):
    """States and gate against a set of open samples, and the table of the contract."""

    def __init__(self) -> None:
        super().__init__()
        self.states = on_demand()
        self.at = 0
        self.state, self.since = "inactive", 0
        self.open: set[int] = set()
        self.openings: dict[int, set[int]] = {}  # unsettled number -> its samples

    @precondition(lambda self: self.state != "finished")
    @rule(action=st.sampled_from(list(Action)[:5]), step=st.integers(0, 30))
    def toggle(self, action: Action, step: int) -> None:
        self._advance(step)
        outcome = apply(self.states, action, self.at)
        closing = {"pause": "paused", "stop": "inactive", "toggle": "inactive"}
        if self.state == "recording":
            wanted = closing.get(action.value, "recording")
        elif action in (Action.START, Action.RESUME, Action.TOGGLE):
            wanted = "recording"
        else:
            wanted = "inactive" if action is Action.STOP else self.state
        assert outcome.changed == (wanted != self.state)
        before = (self.state, self.since)
        if outcome.changed:
            self.state, self.since = wanted, self.at
            if wanted == "recording":
                self.openings[outcome.number] = set()
                self.current, self.before = outcome.number, before
        assert outcome.effective_sample == self.since

    @precondition(lambda self: self.openings)
    @rule(pick=st.integers(0, 10))
    def confirm(self, pick: int) -> None:
        number = sorted(self.openings)[pick % len(self.openings)]
        self.states.confirm(number)
        self.open |= self.openings.pop(number)

    @precondition(lambda self: self.openings)
    @rule(pick=st.integers(0, 10))
    def annul(self, pick: int) -> None:
        number = sorted(self.openings)[pick % len(self.openings)]
        self.states.annul(number)
        del self.openings[number]
        if self.state == "recording" and number == self.current:
            self.state, self.since = self.before

    @precondition(lambda self: self.state == "finished")
    @rule(action=st.sampled_from(list(Action)[:5]))
    def toggle_too_late(self, action: Action) -> None:
        assert self.states.toggle(action, ALICE, self.at) is Refusal.ENDED

    @precondition(lambda self: self.state == "recording")
    @rule(duration_step=st.integers(0, 10))
    def finish(self, duration_step: int) -> None:
        self._advance(duration_step)
        self.states.finish(self.at, END)
        self.state = "finished"

    def _advance(self, step: int) -> None:
        spoken = set(range(self.at, self.at + step))
        if self.state == "recording":
            self.openings.get(self.current, self.open).update(spoken)
        self.at += step

    @invariant()
    def the_gate_is_the_model(self) -> None:
        found: set[int] = set()
        for opening in self.states.gate.openings:
            end = self.at if opening.end is None else opening.end
            assert not found & set(range(opening.start, end)), "intervals never overlap"
            found |= set(range(opening.start, end))
        assert found == self.open.union(*self.openings.values())
        assert self.states.state.value == self.state


TestStates = Machine.TestCase
TestStates.settings = settings(max_examples=60, stateful_step_count=30)
