"""Random toggles: the same for the same seed, and what their replies promise."""

from itertools import pairwise

import pytest

from mediaproxy.loadtest.toggles import ACTIONS, Reply, Toggled, codes_of, dialled, script


def test_a_seed_repeats_its_script_and_no_other() -> None:
    assert script(7, 3, 10.0, 1.5) == script(7, 3, 10.0, 1.5)
    assert script(7, 3, 10.0, 1.5) != script(8, 3, 10.0, 1.5)
    assert script(7, 3, 10.0, 1.5) != script(7, 4, 10.0, 1.5)


def test_scripts_stay_within_the_talk_and_use_every_action() -> None:
    steps = [step for call in range(50) for step in script(1, call, 10.0, 1.5)]
    assert all(0 <= at <= 10.0 for at, _ in steps)
    assert {action for _, action in steps} == set(ACTIONS)


def test_replies_promise_intervals() -> None:
    replies = [
        Reply("inactive", False, 0),
        Reply("recording", True, 100),
        Reply("recording", False, 100),
        Reply("paused", True, 300),
        Reply("inactive", True, 350),
        Reply("recording", True, 400),
    ]
    assert Toggled(replies).spans(1_000) == [(100, 300), (400, 1_000)]
    assert Toggled(replies[:5]).spans(1_000) == [(100, 300)]
    assert Toggled(replies).opened
    assert not Toggled(replies[:1]).opened


def test_an_empty_interval_is_not_promised() -> None:
    assert Toggled([Reply("recording", True, 100), Reply("paused", True, 100)]).spans(1_000) == []


@pytest.mark.parametrize("packets", [150, 200, 500, 5_000])
def test_what_is_dialled_starts_and_stops_in_turn_with_room_between(packets: int) -> None:
    for call in range(40):
        digits = dialled(3, call, packets, 4.0)
        codes = codes_of(digits)
        assert [opens for _, opens in codes] == [at % 2 == 0 for at in range(len(codes))]
        assert codes
        assert all(later - earlier >= 100 for (earlier, _), (later, _) in pairwise(codes))
        assert codes[-1][0] <= packets - 50
        assert digits == dialled(3, call, packets, 4.0)
