"""Rows that wait are replaced, never doubled; taken oldest first; given back without harm."""

from mediaproxy.calllog.backlog import Backlog, Key, Row
from tests.support.call_rows import call_row


def _keys(*numbers: int) -> list[Key]:
    return [Key("call", str(number)) for number in numbers]


def test_the_oldest_rows_go_first_and_keep_their_place_when_replaced() -> None:
    backlog = Backlog(limit=10)
    for key in _keys(1, 2, 3, 1):
        backlog.put(key, call_row())
    assert list(backlog.take(2)) == _keys(1, 2)
    assert list(backlog.take(2)) == _keys(3)
    assert len(backlog) == 0


def test_a_batch_that_failed_comes_back_before_the_rest_and_under_what_is_newer() -> None:
    backlog = Backlog(limit=10)
    older, newer = call_row(), call_row(state="ringing")
    first, second, third = _keys(1, 2, 3)
    batch: dict[Key, Row] = {first: older, second: older}
    backlog.put(third, newer)
    backlog.put(second, newer)
    backlog.give_back(batch)
    assert list(backlog.take(10).items()) == [(first, older), (second, newer), (third, newer)]


def test_what_is_too_much_is_lost_and_counted() -> None:
    backlog = Backlog(limit=1)
    first, second = _keys(1, 2)
    assert backlog.put(first, call_row())
    assert not backlog.put(second, call_row())
    assert backlog.put(first, call_row(state="ringing"))
    assert (len(backlog), backlog.lost) == (1, 1)
