"""An event loop whose clock jumps to the next timer when every task is blocked."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.SelectSelector):
    loop: "VirtualTimeLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("deadlock: no task can run and no timer is armed")
        self.loop.jump(timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual_now = 0.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual_now

    def time_ns(self) -> int:
        """The same clock for code that takes nanoseconds."""
        return round(self._virtual_now * 1_000_000_000)

    def jump(self, seconds: float) -> None:
        self._virtual_now += seconds

    def run_in_executor(self, *args: Any) -> Any:
        raise RuntimeError("no threads under virtual time: inject an inline executor")


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in virtual time: an hour of sleeping takes no time at all."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
