"""How late a busy machine lets anybody come: a test that says within what time something must have happened
on its own machine adds this, and stays strict on an idle one."""

import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAP_S = 0.05
WINDOW_S = 4.0
STEPS = 4  # that audio takes one after the other: journal begun, opening written, tick, audio written


class Pace:
    """Naps and makes a byte durable in that folder, again and again; notes how much longer that took than the
    nap alone."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".pace"
        self._ended = threading.Event()
        self._late: deque[tuple[float, float]] = deque()
        self._thread = threading.Thread(target=self._run, name="pace")
        self._began = time.monotonic()
        self._thread.start()

    def late_s(self) -> float:
        """What `STEPS` steps may have taken in the last seconds, each as long as the worst one, up to now."""
        now = time.monotonic()
        under_way = now - self._began - NAP_S
        worst = max(late for at, late in [*self._late, (now, under_way)] if at > now - WINDOW_S)
        return STEPS * max(worst, 0.0)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._path.unlink()

    def _run(self) -> None:
        with self._path.open("wb", buffering=0) as file:
            while not self._ended.wait(NAP_S):
                file.write(b".")
                os.fdatasync(file.fileno())
                now = time.monotonic()
                self._late.append((now, now - self._began - NAP_S))
                self._began = now
                while self._late[0][0] < now - WINDOW_S:
                    self._late.popleft()


@contextmanager
def measured_pace(folder: Path) -> Iterator[Pace]:
    pace = Pace(folder)
    try:
        yield pace
    finally:
        pace.close()
