"""Leaves a spool as a killed proxy of this version does, to be kept for later versions to repair.

    python -m tests.golden.spools.make DIRECTORY        (made once for a version, then never again)

Eight calls, cut off: recording; stopped; resumed, with a toggle half written; never recorded; ended, its
file not yet published; opened after an announcement, an opening before it annulled; to be FLAC; redacted
while it lived. To keep the spool of an older version, run this file in that version's tree.

What is kept: `first`, of before the live header counted journal lines; `counted`, of since then, with a
header's later fields; `kinds`, of all that a spool can hold (the last three calls came with it).
`expected.json` beside them holds the manifests that repair made of them when they were kept, less what
changes with the key, and the SHA-256 of the sample frames.
"""

import asyncio
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

from mediaproxy.recording import journal
from mediaproxy.recording.journal import Ended, Header, Toggled
from mediaproxy.recording.manifest import Actor, Interval, Participant, Redaction, StreamFacts
from mediaproxy.storage import Spool, Storage
from mediaproxy.storage.asked import ask
from tests.support.recordings import CALL_END, header_of, speech, toggled

FRAMES = 400
LATER_FIELDS = {"keep_days": 30, "consent": "required"}  # what a header of this version may say besides
SPANS = {
    1: [(100, 400)], 2: [(100, 200)], 3: [(50, 100), (300, 400)], 4: [], 5: [(0, 400)], 6: [(200, 400)],
    7: [(100, 300)], 8: [(0, 400)],
}  # fmt: skip
ANNOUNCED, FLAC, REDACTED = 6, 7, 8
REDACTION = Redaction(150, 250, "a card number", Actor("api", "admin"), "2026-01-05T10:00:03.000Z")
ENDED = Ended(
    480,
    (Interval(0, 480, Actor("policy"), CALL_END),),
    (StreamFacts("A", 7, "PCMU", 3, lost=1),),
    withheld=2,
    reasons=("ring_full",),
    participants=(Participant("A", 1, "trunk", "carrier", "+15550199", 0, 480),),
)


def header(n: int) -> Header:
    known = {field.name for field in fields(Header)}
    later = {name: value for name, value in LATER_FIELDS.items() if name in known}
    if n == FLAC:
        return replace(header_of(n), format="flac")
    return replace(header_of(n), **later) if n % 2 else header_of(n)


def toggles(n: int) -> list[Toggled]:
    if n == ANNOUNCED:
        states = ((20, "recording"), (60, "announcing"), (200, "recording"))
        return [toggled(number, at, state) for number, (at, state) in enumerate(states, 1)]
    edges = [edge for span in SPANS[n] for edge in span if edge < FRAMES]
    states = ("recording", "paused" if n == 3 else "inactive")
    return [toggled(number, at, states[(number - 1) % 2]) for number, at in enumerate(edges, 1)]


async def record(storage: Storage) -> None:
    spool = Spool(storage, asyncio.get_running_loop(), on_crash=lambda error: sys.exit(repr(error)))
    for n in SPANS:
        await spool.create(header(n))
        for toggle in toggles(n):
            await spool.toggle(header(n).recording_id, toggle)
            if (n, toggle.number) == (ANNOUNCED, 1):
                spool.annul(header(n).recording_id, 1)
        for start, end in SPANS[n]:
            spool.write(header(n).recording_id, start, speech(start, end, n).tobytes())
        spool.extend(header(n).recording_id, FRAMES)
    spool.flush(time.monotonic_ns() + 10**10)
    await spool.close()


def cut_off(storage: Storage) -> None:
    with storage.journal(header(3).recording_id).open("ab") as file:
        file.write(journal.encode(toggled(4, 900, "inactive"), 4)[:40])
    ask(storage, header(REDACTED).recording_id, REDACTION)
    with storage.journal(header(5).recording_id).open("ab") as file:
        file.write(journal.encode(ENDED, 2))


def make(directory: Path) -> None:
    storage = Storage.open(directory / "storage", min_free_bytes=0)
    asyncio.run(record(storage))
    cut_off(storage)
    storage.close()
    storage.live.rename(directory / "live")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
    print(sorted(path.name for path in (Path(sys.argv[1]) / "live").iterdir()))
