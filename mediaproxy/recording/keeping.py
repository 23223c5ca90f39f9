"""How long a recording is kept: what was asked for its call, within what the storage allows."""

from dataclasses import dataclass
from typing import Final

MS_PER_DAY: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Limits:
    """In days; 0 = no such limit. `max_days` is not below `min_days`."""

    min_days: int = 0
    max_days: int = 0

    def kept_days(self, asked: int) -> int:
        """0, asked for or returned, is for ever."""
        if asked == 0:
            return self.max_days
        kept = max(asked, self.min_days)
        return min(kept, self.max_days) if self.max_days else kept

    def expires_at_ms(self, answered_at_ms: int, asked: int) -> int | None:
        """Unix ms from which on it may be gone; None = never."""
        days = self.kept_days(asked)
        return answered_at_ms + days * MS_PER_DAY if days else None
