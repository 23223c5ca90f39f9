"""Who guesses passwords: so many wrong ones from one place, and no more are looked at for a while."""

from dataclasses import dataclass, field

from mediaproxy.limits import MAX_SUSPECTS
from mediaproxy.net import place_of

MOST_FAILURES = 20  # at once
FORGIVEN_S = 6.0  # one failure each


@dataclass(slots=True)
class Suspects:
    """Bounded: the place that failed longest ago is forgotten first. Times are monotonic s."""

    most: int = MAX_SUSPECTS
    _failures: dict[str, tuple[float, float]] = field(default_factory=dict)  # place -> (how many, when)

    def __len__(self) -> int:
        return len(self._failures)

    def is_limited(self, host: str, *, now: float) -> bool:
        return self._left(place_of(host), now) > MOST_FAILURES - 1

    def fail(self, host: str, *, now: float) -> None:
        place = place_of(host)
        count = self._left(place, now) + 1
        self._failures.pop(place, None)
        self._failures[place] = (count, now)
        if len(self._failures) > self.most:
            del self._failures[next(iter(self._failures))]

    def _left(self, place: str, now: float) -> float:
        count, at = self._failures.get(place, (0.0, now))
        return max(count - (now - at) / FORGIVEN_S, 0.0)
