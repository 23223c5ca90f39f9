"""How long a recording is kept."""

import pytest

from mediaproxy.recording.keeping import MS_PER_DAY, Limits


@pytest.mark.parametrize(
    ("limits", "asked", "kept"),
    [
        (Limits(), 0, 0),
        (Limits(), 30, 30),
        (Limits(7), 0, 0),
        (Limits(7), 1, 7),
        (Limits(7), 8, 8),
        (Limits(0, 90), 0, 90),
        (Limits(0, 90), 91, 90),
        (Limits(7, 90), 3, 7),
        (Limits(7, 7), 30, 7),
    ],
)
def test_what_is_asked_for_stays_within_the_limits(limits: Limits, asked: int, kept: int) -> None:
    assert limits.kept_days(asked) == kept


def test_it_goes_so_many_days_after_the_answer() -> None:
    assert Limits().expires_at_ms(1_000, 2) == 1_000 + 2 * MS_PER_DAY
    assert Limits(7, 0).expires_at_ms(1_000, 0) is None
