"""The target of an offset, window by window. Times in samples at 8 kHz."""

import pytest

from mediaproxy.recording.drift import MIN_PACKETS, WINDOW_S, Drift

MS = 8


class Windows:
    """Ten seconds with 500 packets each, unless told otherwise."""

    def __init__(self) -> None:
        self.drift = Drift(8_000)
        self.second = self.heard = 0
        self.drift.begin(0, 0)

    def over(self, *leasts: int, packets: int = 500, seconds: int = WINDOW_S) -> int:
        for least in leasts:
            self.second, self.heard = self.second + seconds, self.heard + packets
            self.drift.end_window(self.second, self.heard, least)
        return self.drift.target


@pytest.mark.parametrize(("change", "followed"), [(8 * MS, 8 * MS), (8 * MS + 1, 0), (-3, -3)])
def test_a_change_of_at_most_8_ms_is_the_clocks(change: int, followed: int) -> None:
    assert Windows().over(100, 100 + change) == followed


def test_a_change_over_a_longer_time_may_be_larger() -> None:
    """A mute of three minutes hides so much drift."""
    windows = Windows()
    windows.over(1_000)
    assert windows.over(1_000 + 150 * MS, seconds=190) == 150 * MS


def test_fewer_than_fifty_packets_tell_nothing() -> None:
    windows = Windows()
    windows.over(100)
    assert windows.over(120, packets=MIN_PACKETS - 1) == 0
    assert windows.over(130, packets=MIN_PACKETS) == 30


def test_the_target_never_lies_above_the_least_transit() -> None:
    windows = Windows()
    windows.drift.target = 200
    assert windows.over(150) == 150
    assert windows.over(50) == 50


def test_another_timeline_is_not_compared() -> None:
    windows = Windows()
    windows.over(100)
    windows.drift.forget()
    assert windows.over(110) == 0


def test_ppm_is_told_after_a_minute() -> None:
    windows = Windows()
    windows.over(*range(100, 156, 8))  # a sample in 1.25 s
    assert windows.drift.ppm(8_000) == -100
    fewer = Windows()
    fewer.over(*range(100, 140, 8))
    assert fewer.drift.ppm(8_000) is None
