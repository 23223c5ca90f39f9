"""How late a busy machine lets anybody come: a test that says within what time something must have happened
on its own machine adds this, and stays strict on an idle one."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

NAP_S = 0.01
WINDOW_S = 3.0


class Pace:
    """Naps all the time, and notes how much too long each nap was."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._late: deque[tuple[float, float]] = deque()
        self._thread = threading.Thread(target=self._nap, name="pace")
        self._thread.start()

    def late_s(self) -> float:
        """The longest that anybody overslept in the last seconds, up to now."""
        now = time.monotonic()
        return max((late for at, late in list(self._late) if at > now - WINDOW_S), default=0.0)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def _nap(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(NAP_S):
            now = time.monotonic()
            self._late.append((now, now - began - NAP_S))
            while self._late[0][0] < now - WINDOW_S:
                self._late.popleft()
            began = now


@contextmanager
def measured_pace() -> Iterator[Pace]:
    pace = Pace()
    try:
        yield pace
    finally:
        pace.close()
