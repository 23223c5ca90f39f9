"""Time as the core sees it: numbers handed in, never read.

Two kinds: deadlines are monotonic seconds (`now: float`), media time is monotonic nanoseconds
(`now_ns: int`, the same clock). Wall time appears only in names, headers and logs: as Unix milliseconds,
and in words as the contract writes them.
"""

from datetime import UTC, datetime

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


def rfc3339(unix_ms: int) -> str:
    """A wall time in words: UTC, milliseconds, `Z`."""
    whole = datetime.fromtimestamp(unix_ms // 1000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03d}Z"


def unix_ms(text: str) -> int:
    """The inverse of `rfc3339`; `ValueError` when it is no time."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
