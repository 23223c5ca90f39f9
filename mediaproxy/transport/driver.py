"""Runs a sans-IO protocol on asyncio: the only place where the two meet."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from mediaproxy.clock import NS_PER_S

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class SansIo(Protocol[T_co]):
    def handle_timer(self, *, now: float) -> None: ...
    def next_deadline(self) -> float | None: ...
    def drain(self) -> Sequence[T_co]: ...


class Driver(Generic[T]):
    """Keeps the one rule: after every input, drain the outputs and re-arm the timer.

    `clock_ns` must run on the base of the loop's own clock: monotonic, or virtual together with it.
    """

    def __init__(
        self,
        protocol: SansIo[T],
        on_output: Callable[[T], None],
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._protocol = protocol
        self._on_output = on_output
        self._clock_ns = clock_ns
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._outputs: deque[T] = deque()
        self._settling = False
        self._closed = False

    def settle(self) -> None:
        """Call it after every input. Harmless within an output: the outer call goes on draining."""
        if self._settling or self._closed:
            return
        self._settling = True
        try:
            while self._more():
                self._on_output(self._outputs.popleft())
        finally:
            self._settling = False
            self._rearm()
            if self._outputs:  # one could not be performed; the others are not lost for it
                self._loop.call_soon(self.settle)

    def _more(self) -> bool:
        if not self._outputs:
            self._outputs.extend(self._protocol.drain())
        return bool(self._outputs)

    def close(self) -> None:
        self._closed = True
        self._stop_timer()

    def _rearm(self) -> None:
        deadline = self._protocol.next_deadline()
        if deadline is None:
            self._stop_timer()
        elif self._timer is None or deadline < self._timer_at:
            self._stop_timer()
            self._timer = self._loop.call_at(deadline, self._fire)
            self._timer_at = deadline
        # A later deadline leaves the timer: it fires for nothing once, cheaper than moving it each time.

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        # uvloop's clock ticks in ms and may fire early; the protocol must see its deadline reached.
        now = max(self._clock_ns() / NS_PER_S, self._timer_at)
        self._timer = None
        try:
            self._protocol.handle_timer(now=now)
        finally:
            self.settle()
