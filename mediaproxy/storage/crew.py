"""Threads for work that may take long: as many as there is work, up to a limit, else none."""

from collections import deque
from collections.abc import Callable
from threading import Lock, Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Crew(Generic[T]):
    """`submit` never blocks. `perform` must not raise; it is called on several threads at once."""

    def __init__(self, name: str, perform: Callable[[T], None], size: int) -> None:
        self._name = name
        self._perform = perform
        self._size = size
        self._lock = Lock()
        self._waiting: deque[T] = deque()
        self._at_work = 0

    def submit(self, item: T) -> None:
        with self._lock:
            self._waiting.append(item)
            if self._at_work == self._size:
                return
            self._at_work += 1
        # A hung disk must not keep the process from ending.
        Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._at_work -= 1
                    return
                item = self._waiting.popleft()
            self._perform(item)
