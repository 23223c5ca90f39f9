"""A process that records as the proxy does, until it is killed.

    python -m tests.support.spool_writer DIRECTORY SEED

Each recording's clock begins at the `answered` line. Audio becomes final 400 ms behind it, a drain
comes every 50 ms, the gate is moved at random. What it says is on its standard output, a line each:

    answered <monotonic ns>
    try <recording> <number> <position> <state>      applied in memory, on its way to the journal
    ack <recording> <number>                         durable: the proxy would have replied
"""

import asyncio
import random
import sys
import time
from itertools import pairwise
from pathlib import Path

from mediaproxy.recording.journal import Toggled
from mediaproxy.storage import Spool, Storage
from tests.support.recordings import ALICE, RATE, header_of, recording_id, speech

RECORDINGS = 6
BEHIND = RATE * 4 // 10
DRAIN_S = 0.05


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class Source:
    """One recording: its gate in memory and what of it is final."""

    def __init__(self, n: int, spool: Spool, rng: random.Random) -> None:
        self.n, self.spool, self.rng = n, spool, rng
        self.toggles: list[tuple[int, bool]] = []
        self.final = 0

    def toggle(self, position: int) -> None:
        opens = not (self.toggles and self.toggles[-1][1])
        self.toggles.append((position, opens))
        number, state = len(self.toggles), "recording" if opens else "paused"
        say("try", self.n, number, position, state)
        line = Toggled(number, position, "toggle", ALICE, state)
        result = self.spool.toggle(recording_id(self.n), line)
        result.add_done_callback(lambda done: say("ack", self.n, number) if done.result().durable else None)

    def drain(self, position: int) -> None:
        until = max(position - BEHIND, self.final)
        edges = [*self.toggles, (until, False)]
        for (start, opens), (end, _) in pairwise(edges):
            first, last = max(start, self.final), min(end, until)
            if opens and first < last:
                self.spool.write(recording_id(self.n), first, speech(first, last, self.n).tobytes())
        self.spool.extend(recording_id(self.n), until)
        self.final = until
        if self.rng.random() < DRAIN_S * 4:
            self.toggle(position)


async def record(directory: Path, seed: int) -> None:
    storage = Storage.open(directory, min_free_bytes=0)
    spool = Spool(storage, asyncio.get_running_loop(), on_crash=lambda error: say("crash", repr(error)))
    rng = random.Random(seed)
    sources = [Source(n, spool, rng) for n in range(1, RECORDINGS + 1)]
    await asyncio.gather(*(spool.create(header_of(source.n)) for source in sources))
    answered = time.monotonic_ns()
    say("answered", answered)
    while True:
        await asyncio.sleep(DRAIN_S)
        now = time.monotonic_ns()
        for source in sources:
            source.drain((now - answered) * RATE // 1_000_000_000)
        spool.flush(now)


if __name__ == "__main__":
    asyncio.run(record(Path(sys.argv[1]), int(sys.argv[2])))
