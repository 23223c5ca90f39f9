"""How much comes from where: a bucket of tokens for each source, in a table that cannot grow without end."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Buckets:
    """`rate` tokens a second for each source, and as many as `burst` saved up. Times are monotonic s.

    Bounded: who took a token longest ago is forgotten first, and has a full bucket again.
    """

    rate: float
    burst: float
    most: int
    _left: dict[str, tuple[float, float]] = field(default_factory=dict)  # source -> (tokens, when)

    def __len__(self) -> int:
        return len(self._left)

    def take(self, source: str, *, now: float) -> bool:
        """Whether there was a token left; one that is refused costs nothing."""
        tokens, at = self._left.pop(source, (self.burst, now))
        tokens = min(tokens + (now - at) * self.rate, self.burst)
        taken = tokens >= 1.0
        self._left[source] = (tokens - taken, now)
        if len(self._left) > self.most:
            del self._left[next(iter(self._left))]
        return taken
