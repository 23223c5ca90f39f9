from mediaproxy.clock import NS_PER_S
from mediaproxy.service.pauses import Pauses
from tests.support.call_rows import call_id

ONE, TWO = call_id(1), call_id(2)


def test_an_overdue_pause_is_told_once_a_limit() -> None:
    pauses = Pauses()
    pauses.began(ONE, 5.0, 0)
    pauses.began(TWO, 7.0, 0)
    told = [(s, pauses.overdue(s * NS_PER_S)) for s in range(16)]
    assert [(s, calls) for s, calls in told if calls] == [
        (5, [ONE]),
        (7, [TWO]),
        (10, [ONE]),
        (14, [TWO]),
        (15, [ONE]),
    ]


def test_a_pause_that_ended_or_has_no_limit_is_never_overdue() -> None:
    pauses = Pauses()
    pauses.began(ONE, 0.0, 0)
    pauses.began(TWO, 1.0, 0)
    pauses.ended(TWO)
    pauses.ended(TWO)
    assert pauses.overdue(1 << 60) == []
