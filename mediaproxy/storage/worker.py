"""A thread that does blocking work in the order it was asked for, and in batches."""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Worker(Generic[T]):
    """`submit` never blocks. `perform` gets all that is waiting at once, and an empty list when nothing
    came for `idle_s`. What `perform` raises is told to `on_crash`; the thread goes on."""

    def __init__(
        self,
        name: str,
        perform: Callable[[list[T]], None],
        on_crash: Callable[[Exception], None],
        *,
        idle_s: float | None = None,
    ) -> None:
        self._perform = perform
        self._on_crash = on_crash
        self._idle_s = idle_s
        self._queue: SimpleQueue[T | None] = SimpleQueue()
        # A hung disk must not keep the process from ending.
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, item: T) -> None:
        self._queue.put(item)

    def stop(self) -> None:
        """Do what was submitted so far, then end."""
        self._queue.put(None)

    def join(self, timeout_s: float) -> bool:
        """Whether the thread ended in time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = self._next_batch()
            try:
                self._perform(batch)
            except Exception as error:  # noqa: BLE001 - the root of this thread
                self._on_crash(error)

    def _next_batch(self) -> tuple[list[T], bool]:
        batch: list[T] = []
        try:
            item = self._queue.get(timeout=self._idle_s)
            while item is not None:
                batch.append(item)
                item = self._queue.get_nowait()
        except Empty:
            return batch, True
        return batch, False
