from enum import Enum, auto

from mediaproxy.clock import Timers


class Timer(Enum):
    A = auto()
    B = auto()
    C = auto()


def test_timers_expire_earliest_first_and_once() -> None:
    timers: Timers[Timer] = Timers()
    timers.start(Timer.B, 2.0)
    timers.start(Timer.A, 1.0)
    timers.start(Timer.C, 9.0)
    assert timers.next_deadline() == 1.0
    assert timers.pop_expired(2.0) == [Timer.A, Timer.B]
    assert timers.pop_expired(2.0) == []
    assert timers.next_deadline() == 9.0


def test_starting_again_moves_a_timer_and_stopping_an_idle_one_is_harmless() -> None:
    timers: Timers[Timer] = Timers()
    timers.start(Timer.A, 1.0)
    timers.start(Timer.A, 5.0)
    timers.stop(Timer.B)
    assert timers.pop_expired(4.0) == []
    timers.stop(Timer.A)
    assert timers.next_deadline() is None
