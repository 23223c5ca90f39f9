"""Where a recording must be silent, and that publishing leaves it exact."""

from pathlib import Path

import pytest

from mediaproxy.storage import Storage, disk
from mediaproxy.storage.publish import gaps
from tests.support.published import publish_one
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


@pytest.mark.parametrize("seen", ["2026", "01", "05"])
def test_folders_that_retention_takes_away_meanwhile_are_made_again(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    make, removed = disk.make_directory, list[Path]()

    def made(path: Path) -> None:
        make(path)
        if path.name == seen and not removed:  # empty, and so removed just before it is used
            while path != storage.root:
                path.rmdir()
                removed.append(path)
                path = path.parent

    monkeypatch.setattr(disk, "make_directory", made)
    assert publish_one(storage).exists()
    assert removed
