"""The audit in processes of its own, behind whatever else wants the CPU."""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_NICE = 15


def auditors(count: int) -> ProcessPoolExecutor:
    """Spawned, not forked: we have threads and sockets."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, mp_context=context, initializer=_behave)


def batches(of: Sequence[T], size: int) -> list[Sequence[T]]:
    return [of[at : at + size] for at in range(0, len(of), size)]


def _behave() -> None:
    """The load test itself hears Ctrl-C and ends us in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICE)
