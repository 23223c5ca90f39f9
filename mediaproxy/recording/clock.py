"""The call clock: integer positions of monotonic nanoseconds, exact for any length."""

from dataclasses import dataclass

from mediaproxy.clock import NS_PER_S


@dataclass(frozen=True, slots=True)
class CallClock:
    """Position 0 is the arrival of the answer; positions before it are negative."""

    answered_ns: int
    sample_rate: int

    def position(self, now_ns: int) -> int:
        """The sample that is being spoken at `now_ns`: floor, also below 0."""
        return (now_ns - self.answered_ns) * self.sample_rate // NS_PER_S

    def reached_ns(self, position: int) -> int:
        """The first nanosecond at which the clock stands at `position`."""
        return self.answered_ns - (-position * NS_PER_S // self.sample_rate)
