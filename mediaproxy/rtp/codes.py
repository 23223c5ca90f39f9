"""Which dialled digits form a code.

A code acts at the digit that completes it. At every digit the longest tail of what is held that is a
code, or begins one, is kept, and what stands before it is refused: so `**1` refuses one star and
completes `*1`. Where one code begins another the shorter acts and the longer can never be dialled.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from mediaproxy.clock import NS_PER_S

INTER_DIGIT_NS: Final = 2 * NS_PER_S


class Step(NamedTuple):
    """What a digit brought about. `refused`: so many of the oldest held digits are no code's, this
    one counted last; `action`: what is left of them was this code."""

    refused: int
    action: str | None


class CodeMatcher:
    """Holds the digits that may become a code; they show in no repr."""

    __slots__ = ("_actions", "_held", "_last_ns", "_prefixes")

    def __init__(self, codes: Mapping[str, str]) -> None:
        """`codes`: action -> digits. Of two actions with the same digits the first wins."""
        self._actions: dict[str, str] = {}
        for action, digits in codes.items():
            self._actions.setdefault(digits, action)
        self._prefixes = {code[:n] for code in self._actions for n in range(1, len(code))}
        self._held = ""
        self._last_ns = 0

    @property
    def held(self) -> int:
        """How many digits wait."""
        return len(self._held)

    @property
    def deadline_ns(self) -> int | None:
        """When what is held is refused unless another digit comes."""
        return self._last_ns + INTER_DIGIT_NS if self._held else None

    def expire(self, now_ns: int) -> int:
        """How many held digits are refused because time has passed: all or none."""
        if not self._held or now_ns < self._last_ns + INTER_DIGIT_NS:
            return 0
        refused, self._held = len(self._held), ""
        return refused

    def feed(self, digit: str, now_ns: int) -> Step:
        """`digit` began at `now_ns`. What has expired by then is counted as refused."""
        expired = self.expire(now_ns)
        self._last_ns = now_ns
        tail = self._held + digit
        for refused in range(len(tail)):
            candidate = tail[refused:]
            if candidate in self._actions:
                self._held = ""
                return Step(expired + refused, self._actions[candidate])
            if candidate in self._prefixes:
                self._held = candidate
                return Step(expired + refused, None)
        self._held = ""
        return Step(expired + len(tail), None)
