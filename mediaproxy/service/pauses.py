"""Pauses that were forgotten: who has been paused for longer than the policy has patience."""

from dataclasses import dataclass

from mediaproxy.clock import NS_PER_S
from mediaproxy.ids import CallId


@dataclass(slots=True)
class _Pause:
    due_ns: int
    limit_ns: int


class Pauses:
    """The paused recordings whose policy has a limit. An overdue one is told again every limit."""

    def __init__(self) -> None:
        self._pauses: dict[CallId, _Pause] = {}
        self._next_ns: int | None = None

    def began(self, call: CallId, limit_s: float, now_ns: int) -> None:
        if limit_s > 0:
            limit_ns = round(limit_s * NS_PER_S)
            self._pauses[call] = _Pause(now_ns + limit_ns, limit_ns)
            self._plan()

    def ended(self, call: CallId) -> None:
        if self._pauses.pop(call, None) is not None:
            self._plan()

    def overdue(self, now_ns: int) -> list[CallId]:
        """Those whose limit has passed since they were told last."""
        if self._next_ns is None or now_ns < self._next_ns:
            return []
        found = [call for call, pause in self._pauses.items() if now_ns >= pause.due_ns]
        for call in found:
            self._pauses[call].due_ns = now_ns + self._pauses[call].limit_ns
        self._plan()
        return found

    def _plan(self) -> None:
        self._next_ns = min((pause.due_ns for pause in self._pauses.values()), default=None)
