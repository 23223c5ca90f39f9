"""The table against itself: what no run of a single call would show."""

import pytest

from mediaproxy.calls.call import TRANSITIONS, Input, State

ENDING = {State.CANCELLING, State.CLOSING, State.ENDED}


def test_every_state_is_entered_and_left() -> None:
    entered = {state for state, _ in TRANSITIONS.values()}
    left = {state for (state, _), (following, _) in TRANSITIONS.items() if following is not state}
    assert entered | {State.ALLOCATING} == set(State)
    assert left == set(State) - {State.ENDED}


def test_every_input_means_something() -> None:
    assert {kind for _, kind in TRANSITIONS} == set(Input)


def test_an_ended_call_never_lives_again() -> None:
    for (state, _), (following, _) in TRANSITIONS.items():
        if state in ENDING:
            assert following in ENDING


@pytest.mark.parametrize("kind", [Input.HANG_UP, Input.MEDIA_LOST])
def test_every_live_state_ends_when_we_say_so_or_cannot_go_on(kind: Input) -> None:
    for state in set(State) - ENDING:
        following, actions = TRANSITIONS[state, kind]
        assert following in ENDING
        assert actions


def test_every_state_waits_for_something_that_is_sure_to_come() -> None:
    """A timer of ours, the layer's word that nobody answered, or the media timeout."""
    sure = {
        State.ALLOCATING: Input.ALLOCATION_FAILED,
        State.INVITING: Input.RING_TIMEOUT,
        State.CANCELLING: Input.REFUSED,
        State.ANSWERED: Input.ROW_READY,
        State.CONFIRMING: Input.ACK_MISSING,
        State.CONFIRMED: Input.MEDIA_TIMED_OUT,
        State.CLOSING: Input.ACK_MISSING,
    }
    for state, kind in sure.items():
        assert TRANSITIONS[state, kind][0] is not state
