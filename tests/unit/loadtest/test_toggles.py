"""Random toggles: the same for the same seed, and what their replies promise."""

from mediaproxy.loadtest.toggles import ACTIONS, Reply, Toggled, script


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
