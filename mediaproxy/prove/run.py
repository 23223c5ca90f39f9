"""The proof: calls with random toggles through a real proxy, then the search for what must be nowhere.

It is searched twice, while the calls live (spool, journal, database, logs, memory) and when all is
published. A search that could not find anything would prove nothing: what was said while recording was
on has to be found in every published file, and the proxy's own token in its memory.
"""

import asyncio
import random
import urllib.request
import wave
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediaproxy.audio.sound import TICK_HZ
from mediaproxy.audio.tones import Note, melody
from mediaproxy.loadtest.api import Api
from mediaproxy.loadtest.plan import Record
from mediaproxy.loadtest.subject import NUMBER, Subject
from mediaproxy.prove.conversation import ANNOUNCEMENT_S, SILENCE, Conversation, Script
from mediaproxy.prove.needles import (
    Needle,
    audio_needles,
    digit_needles,
    number,
    number_needles,
    signal,
    stereo_needles,
)
from mediaproxy.prove.parties import Party
from mediaproxy.prove.plan import Plan, Tell, Unproven
from mediaproxy.prove.search import Searched, holds, search_files, search_memory

QUIET_S = 1.0
PUBLISHED_S = 15.0
POLL_S = 0.1
# Tones and an announcement also while the gate is closed: what is said then is decoded and mixed with them.
NOTICE = Note(500, ANNOUNCEMENT_S)
MORE = """\
consent = "required"
announcement = {file = "notice.wav"}
dtmf = {start = "*1", stop = "*2", pause = "*4", resume = "*5"}
confirmation_tone = true
max_pause_s = 0.7
"""
MARKER, CARD, VOICE, TOKEN = "marker", "number", "voice", "token"


@dataclass(slots=True)
class Proof:
    """What was done, searched and found; `faults` say why it is none."""

    plan: Plan
    figures: dict[str, float] = field(default_factory=dict)
    files: Searched = field(default_factory=Searched)
    memory: Searched = field(default_factory=Searched)
    faults: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.faults

    def as_json(self) -> dict[str, Any]:
        return {
            "good": self.good,
            "calls": self.plan.calls,
            "seconds": self.plan.seconds,
            "seed": self.plan.seed,
            "workers": self.plan.workers,
            **self.figures,
            "searched": {
                "files": self.files.places,
                "file_bytes": self.files.size,
                "memory_bytes": self.memory.size,
                "memory": self.plan.memory,
            },
            "hits": [str(hit) for hit in (*self.files.hits, *self.memory.hits)],
            "faults": self.faults,
        }


def script_of(seed: int) -> Script:
    """What is said and dialled in the run with this seed."""
    return Script(signal(f"{seed}:{MARKER}"), signal(f"{seed}:{VOICE}"), number(f"{seed}:{CARD}"))


async def prove(plan: Plan, directory: Path, tell: Tell) -> Proof:
    """`directory` is empty, and holds the proxy's files afterwards. Raises `Unproven`."""
    script, proof = script_of(plan.seed), Proof(plan)
    async with AsyncExitStack() as stack:
        _write_notice(directory / "notice.wav")
        subject = Subject(directory, Record.RANDOM, more=MORE, workers=plan.workers)
        stack.callback(subject.stop)
        stack.callback(subject.api.close)
        await subject.start()
        carrier, agent = Party("carrier"), Party("alice")
        for party, at in ((carrier, subject.addresses.carrier), (agent, subject.addresses.agent)):
            await party.start(at)
            stack.push_async_callback(party.stop)
        talks = await _connect(plan, script, subject, carrier, agent, tell)
        await _talk(plan, talks, tell)
        await asyncio.sleep(QUIET_S)
        await _search(proof, script, subject, directory, "live", tell)
        for talk in talks:
            carrier.hang_up(talk.carrier)
        published = await _published(subject, talks)
        await _renditions(subject, published)
        await _search(proof, script, subject, directory, "published", tell)
        _check(proof, script, subject, talks, published)
        subject.check_alive()
    return proof


def _write_notice(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(TICK_HZ)
        file.writeframes(melody([NOTICE], TICK_HZ).astype("<i2").tobytes())


async def _connect(
    plan: Plan, script: Script, subject: Subject, carrier: Party, agent: Party, tell: Tell
) -> list[Conversation]:
    talks = []
    for count in range(plan.calls):
        tell("calls", count, plan.calls)
        caller = f"prove-{count}"
        line = await carrier.call(NUMBER, subject.addresses.proxy, caller=caller)
        [call] = (await subject.api.get(f"/v1/calls?from={caller}&state=live"))["calls"]
        chance = random.Random(f"{plan.seed}:{count}")
        talks.append(
            Conversation(call["id"], line, agent.answered[caller], agent, subject.api, script, chance)
        )
    tell("calls", plan.calls, plan.calls)
    return talks


async def _talk(plan: Plan, talks: list[Conversation], tell: Tell) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + plan.seconds
    try:
        async with asyncio.TaskGroup() as group:
            for talk in talks:
                group.create_task(talk.hold(until))
            while (left := until - loop.time()) > 0:
                tell("talk", round(plan.seconds - left), round(plan.seconds))
                await asyncio.sleep(min(1.0, left))
    except* (OSError, Unproven) as failed:
        raise Unproven(f"a conversation broke off: {failed.exceptions[0]}") from failed
    for talk in talks:
        for line in (talk.carrier, talk.agent):
            line.stream.say(SILENCE)
    tell("talk", round(plan.seconds), round(plan.seconds))


async def _search(
    proof: Proof, script: Script, subject: Subject, directory: Path, moment: str, tell: Tell
) -> None:
    needles = list(dict.fromkeys(audio_needles(MARKER, script.marker) + number_needles(CARD, script.number)))
    steps = 1 + proof.plan.memory
    tell(f"search ({moment})", 0, steps)
    proof.files.add(await asyncio.to_thread(search_files, directory, needles + digit_needles()))
    if proof.plan.memory:
        tell(f"search ({moment})", 1, steps)
        known = Needle(TOKEN, subject.token.encode())
        found = await asyncio.to_thread(search_memory, subject.pid, [*needles, known])
        if not any(hit.form == TOKEN for hit in found.hits):
            proof.faults.append(f"the search of the memory ({moment}) did not find what is there")
        found.hits = [hit for hit in found.hits if hit.form != TOKEN]
        proof.memory.add(found)
    tell(f"search ({moment})", steps, steps)


async def _published(subject: Subject, talks: list[Conversation]) -> list[dict[str, Any]]:
    try:
        async with asyncio.timeout(PUBLISHED_S):
            return [await _when_published(subject.api, talk.ident) for talk in talks]
    except TimeoutError as error:
        raise Unproven("a recording was not published in time") from error


async def _when_published(api: Api, ident: str) -> dict[str, Any]:
    while True:
        call: dict[str, Any] = await api.get(f"/v1/calls/{ident}")
        if call["recording"] and call["recording"]["result"]:
            return call
        await asyncio.sleep(POLL_S)


async def _renditions(subject: Subject, calls: list[dict[str, Any]]) -> None:
    """One of each format, so that their files are searched too."""
    for call, form in zip(calls, ("opus", "mp3"), strict=False):
        url = f"http://{subject.api_endpoint}/v1/recordings/{call['recording']['id']}/audio?format={form}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {subject.token}"})
        try:
            await asyncio.to_thread(_fetch, request)
        except OSError as error:
            raise Unproven(f"no {form} rendition: {error}") from error


def _fetch(request: urllib.request.Request) -> None:
    with urllib.request.urlopen(request, timeout=PUBLISHED_S) as reply:  # noqa: S310
        reply.read()


def _check(
    proof: Proof, script: Script, subject: Subject, talks: list[Conversation], calls: list[dict[str, Any]]
) -> None:
    told = [talk.told for talk in talks]
    proof.figures = {
        "toggles": sum(one.toggles for one in told),
        "codes": sum(one.codes for one in told),
        "digits": sum(one.digits for one in told),
        "marked_s": round(sum(one.marked_s for one in told), 1),
        "recorded_s": round(sum(one.recorded_s for one in told), 1),
    }
    proof.faults += [str(hit) for hit in (*proof.files.hits, *proof.memory.hits)]
    for talk, call in zip(talks, calls, strict=True):
        recording = call["recording"]
        if recording["result"] not in ("complete", "degraded"):
            proof.faults.append(f"recording {recording['id']} is {recording['result']}")
        elif talk.told.toggles and not _speaks(subject.recordings, recording["id"], script.voice):
            proof.faults.append(f"recording {recording['id']} lacks what was said while it was on")


def _speaks(folder: Path, recording: str, voice: bytes) -> bool:
    needles = stereo_needles(VOICE, voice)
    return any(
        holds(path.read_bytes(), needle) for path in folder.rglob(f"{recording}.wav") for needle in needles
    )
