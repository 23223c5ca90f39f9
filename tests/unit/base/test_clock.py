import pytest

from mediaproxy.clock import rfc3339, unix_ms


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [(1_767_607_202_500, "2026-01-05T10:00:02.500Z"), (0, "1970-01-01T00:00:00.000Z")],
)
def test_wall_times_are_utc_with_milliseconds(at_ms: int, text: str) -> None:
    assert rfc3339(at_ms) == text
    assert unix_ms(text) == at_ms
