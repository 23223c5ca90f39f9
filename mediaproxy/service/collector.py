"""Keeps Python's cycle collector away from live audio.

A full collection looks at every object and stops all media while it does: 120 to 170 ms with 200 calls,
most of it spent on modules that never go away. So what is there once all listeners are bound is frozen,
and full collections wait for a moment without calls.
"""

import gc

YOUNG, MIDDLE, FULL = 10_000, 10, 1_000  # the last resort of a server that is never without calls


class Collector:
    """`settle` once when everything is built; `rest` whenever no call lives."""

    def __init__(self) -> None:
        self._due = False

    def settle(self) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG, MIDDLE, FULL)

    def call_seen(self) -> None:
        self._due = True

    def rest(self) -> None:
        """Collect what calls left behind; a few milliseconds, as the frozen heap is not looked at."""
        if self._due:
            self._due = False
            gc.collect()
