"""Whether what a proxy holds stays level while calls come and go for hours. Pure."""

from collections.abc import Callable, Sequence
from statistics import median

from mediaproxy.loadtest.outcome import Sample

_GROWTH = 0.10  # of the level, and beside it an absolute allowance
_ALLOWED = {"memory": 16_000_000, "open files": 32, "threads": 8}
_MOST: dict[str, Callable[[Sample], int]] = {
    "memory": lambda sample: sample.resident,
    "open files": lambda sample: sample.files,
    "threads": lambda sample: sample.threads,
}
_LEAST_SAMPLES = 40


def growth(samples: Sequence[Sample]) -> list[str]:
    """What grew: between the second and the last quarter of the time in which the full number was up."""
    most = max((sample.calls for sample in samples), default=0)
    level = [sample for sample in samples if sample.calls >= 0.9 * most]
    quarter = len(level) // 4
    if quarter * 4 < _LEAST_SAMPLES:
        return []
    faults = []
    for name, of in _MOST.items():
        before, after = (median(map(of, part)) for part in (level[quarter : 2 * quarter], level[-quarter:]))
        if after > before * (1 + _GROWTH) + _ALLOWED[name]:
            faults.append(f"{name} grew from {before:,.0f} to {after:,.0f} under a level load")
    return faults
