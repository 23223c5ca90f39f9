"""What grows under a level load is told; what rises with the calls is not."""

import pytest

from mediaproxy.loadtest.flatness import growth
from mediaproxy.loadtest.outcome import Sample

MB = 1_000_000


def samples(**grows: float) -> list[Sample]:
    """Ten minutes: a rise, a level of 100 calls, a fall; `resident=…` grows by so much a second."""
    found = []
    for second in range(600):
        calls = min(second * 10, 100, (600 - second) * 10)
        level = {"resident": 100 * MB + calls * 50_000, "files": 40 + 6 * calls, "threads": 12}
        level = {name: round(value + grows.get(name, 0) * second) for name, value in level.items()}
        found.append(
            Sample(second, calls, level["resident"], 0.0, 0, files=level["files"], threads=level["threads"])
        )
    return found


def test_a_level_proxy_has_no_fault() -> None:
    assert growth(samples()) == []
    assert growth([]) == []
    assert growth(samples()[:20]) == []  # too short to tell


@pytest.mark.parametrize(
    ("name", "a_second", "told"),
    [("resident", 150_000, "memory"), ("files", 0.5, "open files"), ("threads", 0.05, "threads")],
)
def test_what_grows_is_told(name: str, a_second: float, told: str) -> None:
    [fault] = growth(samples(**{name: a_second}))
    assert fault.startswith(f"{told} grew from")
