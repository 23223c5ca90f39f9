"""What a proof is asked to do, and how it may fail to be carried through."""

from collections.abc import Callable
from dataclasses import dataclass

from mediaproxy.errors import MediaproxyError

MAX_CALLS = 100
MIN_SECONDS, MAX_SECONDS = 4.0, 3_600.0

Tell = Callable[[str, int, int], None]  # what is going on, how much of how much


@dataclass(frozen=True, slots=True)
class Plan:
    """`calls` calls that talk for `seconds`; `seed` repeats markers, digits and toggles.

    Without `memory` the memory of the server is not searched. `workers` are the proxy's.
    """

    calls: int = 4
    seconds: float = 20.0
    seed: int = 1
    memory: bool = True
    workers: int = 0


class Unproven(MediaproxyError):
    """The proof could not be carried through, and why."""
