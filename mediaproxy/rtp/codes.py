"""Which dialled digits form a code.

The row of digits is cut from the left: the longest code that begins at the first digit is taken; where
none does, that digit is no code's, and the second is the first. What is cut off is decided as soon as no
further digit could change it: a code that begins no other one at its last digit, all else at the latest
when the inter-digit time is over. A code that begins a longer one is `pending` until then.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from mediaproxy.clock import NS_PER_S

INTER_DIGIT_NS: Final = 2 * NS_PER_S


class Cut(NamedTuple):
    """The `length` oldest of the held digits (the one just fed counts last) are a code, or no code's."""

    length: int
    action: str | None = None
    at_ns: int = 0  # when the code's last digit began


class Pending(NamedTuple):
    """A code was dialled that may still become a longer one."""

    action: str
    at_ns: int


class CodeMatcher:
    """Holds the digits that may become a code; they show in no repr."""

    __slots__ = ("_actions", "_held", "_prefixes", "_times")

    def __init__(self, codes: Mapping[str, str]) -> None:
        """`codes`: action -> digits. Of two actions with the same digits the first wins."""
        self._actions: dict[str, str] = {}
        for action, digits in codes.items():
            if digits:
                self._actions.setdefault(digits, action)
        self._prefixes = {code[:n] for code in self._actions for n in range(1, len(code))}
        self._held = ""
        self._times: list[int] = []

    @property
    def held(self) -> int:
        """How many digits wait."""
        return len(self._held)

    @property
    def deadline_ns(self) -> int | None:
        """When all that is held is decided unless another digit comes."""
        return self._times[-1] + INTER_DIGIT_NS if self._times else None

    @property
    def pending(self) -> Pending | None:
        """What happens at the deadline if nothing comes before; it would be as of then."""
        length = self._longest()
        return Pending(self._actions[self._held[:length]], self._times[length - 1]) if length else None

    def expire(self, now_ns: int) -> list[Cut]:
        """Time has passed: once the deadline is over, all that is held is decided."""
        deadline_ns = self.deadline_ns
        return self.decide() if deadline_ns is not None and now_ns >= deadline_ns else []

    def feed(self, digit: str, now_ns: int) -> list[Cut]:
        """`digit` began at `now_ns`; what had expired by then comes first."""
        cuts = self.expire(now_ns)
        self._held += digit
        self._times.append(now_ns)
        while self._held and self._held not in self._prefixes:
            cuts.append(self._cut())
        return cuts

    def decide(self) -> list[Cut]:
        """No further digit will come: everything held is decided now."""
        cuts = []
        while self._held:
            cuts.append(self._cut())
        return cuts

    def forget(self) -> None:
        """What is held was told by another means too: it is neither a code nor passed on."""
        self._held, self._times = "", []

    def _cut(self) -> Cut:
        length = self._longest()
        cut = Cut(1)
        if length:
            cut = Cut(length, self._actions[self._held[:length]], self._times[length - 1])
        self._held, self._times = self._held[cut.length :], self._times[cut.length :]
        return cut

    def _longest(self) -> int:
        """How many digits the longest code has that what is held begins with; 0: it begins with none."""
        return next((n for n in range(len(self._held), 0, -1) if self._held[:n] in self._actions), 0)
