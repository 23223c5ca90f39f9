from mediaproxy.calls.schedule import CallTimer, Due, Schedule
from mediaproxy.ids import CallId

ONE, TWO = CallId("one"), CallId("two")


def test_the_earliest_comes_first_and_once() -> None:
    schedule = Schedule()
    schedule.start(ONE, CallTimer.RING, 5.0)
    schedule.start(TWO, CallTimer.ROW, 3.0)
    assert schedule.next_deadline() == 3.0
    assert schedule.pop_due(2.9) is None
    assert schedule.pop_due(9.0) == Due(TWO, CallTimer.ROW)
    assert schedule.pop_due(9.0) == Due(ONE, CallTimer.RING)
    assert schedule.pop_due(9.0) is None
    assert schedule.next_deadline() is None


def test_what_is_started_again_moves() -> None:
    schedule = Schedule()
    schedule.start(ONE, CallTimer.RING, 5.0)
    schedule.start(ONE, CallTimer.RING, 8.0)
    assert schedule.next_deadline() == 8.0
    assert schedule.pop_due(7.0) is None
    schedule.start(ONE, CallTimer.RING, 2.0)
    assert schedule.pop_due(7.0) == Due(ONE, CallTimer.RING)
    assert schedule.next_deadline() is None


def test_what_is_stopped_never_comes() -> None:
    schedule = Schedule()
    schedule.start(ONE, CallTimer.RING, 5.0)
    schedule.start(ONE, CallTimer.ROW, 6.0)
    schedule.start(TWO, CallTimer.RING, 7.0)
    schedule.stop(TWO, CallTimer.RING)
    schedule.stop_all(ONE)
    schedule.stop(ONE, CallTimer.CODES_A)
    assert len(schedule) == 0
    assert schedule.pop_due(9.0) is None
