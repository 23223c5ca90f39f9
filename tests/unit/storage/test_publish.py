"""Where a recording must be silent, and that publishing leaves it exact."""

import pytest

from mediaproxy.storage.publish import gaps
from tests.support.recordings import interval


@pytest.mark.parametrize(
    ("spans", "duration", "silent"),
    [
        ([], 0, []),
        ([], 5, [(0, 5)]),
        ([(0, 5)], 5, []),
        ([(1, 4)], 5, [(0, 1), (4, 5)]),
        ([(0, 2), (2, 5)], 5, []),
        ([(0, 2), (3, 5)], 5, [(2, 3)]),
        ([(2, 9)], 5, [(0, 2)]),
    ],
)
def test_gaps_are_what_no_interval_covers(
    spans: list[tuple[int, int]], duration: int, silent: list[tuple[int, int]]
) -> None:
    assert gaps([interval(*span) for span in spans], duration) == silent
