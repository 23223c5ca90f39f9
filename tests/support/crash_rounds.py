"""Several recorded calls at once through one proxy that is killed, and what must be true of it afterwards.

A round: every call is answered, its gate is moved at random through the API, some hang up just before
the kill so that it falls into publishing. `Told` keeps what the proxy acknowledged of each call.
"""

import asyncio
import json
import random
import subprocess
import time
import wave
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.support.pace import Pace
from tests.support.proxy import Api, Json, Net, ProxyProcess
from tests.support.rtp_oracle import RATE_HZ, Pcm, Span, expected_track, offset_of
from tests.support.softphone import Pair, Phone, connect

CALLS = 6
AUTOMATIC = 2  # of them; the others on demand
HANG_UPS = 2
LOST_AT_MOST = RATE_HZ
SHORT_RUN = 400  # less sound than this does not tell its place for certain
HEAD_SLACK = 800  # what was on the way when a recording began
MISSED_SHARE = 0.02  # packets that a busy machine sent too late to be placed
ACTIONS = ("start", "start", "stop", "pause", "resume")


def configuration(net: Net) -> dict[str, Any]:
    """An agent and a number for each call."""
    numbers = range(CALLS)
    agents = [{"name": f"a{n}", "contact": f"sip:a{n}@{net.host(3)}:{16000 + n}"} for n in numbers]
    routes = [
        {
            "from": "trunk:carrier",
            "to": f"+1555020{n}",
            "agent": f"a{n}",
            "recording": "automatic" if n < AUTOMATIC else "on_demand",
        }
        for n in numbers
    ]
    tokens = [{"token": "adm", "role": "admin"}]
    return {"agents": agents, "routes": routes, "api.tokens": tokens}


@dataclass
class Told:
    """One call as its parties and the API's client know it."""

    pair: Pair
    call: str
    recording: str
    automatic: bool
    acknowledged: list[tuple[int, bool]] = field(default_factory=list)  # position, opens
    in_doubt: bool = False  # a command was under way when the proxy died
    hung_up: bool = False
    killed_ns: int = 0
    late: int = 0  # samples for which the machine and its disk may have held up the proxy before the kill

    @property
    def answered_ns(self) -> int:
        return self.pair.callee.answered_ns

    @property
    def passed(self) -> int:
        """The call's position at the kill."""
        return (self.killed_ns - self.answered_ns) * RATE_HZ // 10**9

    @property
    def certain(self) -> int:
        """What had passed a second before, as far as the machine let the proxy keep up, was kept."""
        return self.passed - LOST_AT_MOST - self.late

    def spans(self, end: int) -> list[Span]:
        """The intervals that were acknowledged, in a call of that length."""
        edges = [*self.acknowledged, (end, False)]
        return [
            (start, min(stop, end)) for (start, opens), (stop, _) in pairwise(edges) if opens and start < end
        ]

    @property
    def open(self) -> bool:
        return bool(self.acknowledged) and self.acknowledged[-1][1]


@dataclass
class Losses:
    """In samples, a figure for each call that lived when the proxy was killed."""

    # What the file as it lay did not promise: of an open recording, and of a closed one (silence).
    lying: list[int] = field(default_factory=list)
    silent: list[int] = field(default_factory=list)
    repaired: list[int] = field(default_factory=list)  # audio of an open recording that is not in the file
    starts_s: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        def figures(samples: list[int]) -> str:
            s = np.array(samples or [0]) / RATE_HZ
            return f"median {np.median(s):.3f} s, worst {s.max():.3f} s of {len(samples)}"

        starts = f"median {np.median(self.starts_s):.2f} s, worst {max(self.starts_s):.2f} s"
        lying = f"as it lies: open {figures(self.lying)}, closed {figures(self.silent)}"
        return f"{lying}; repaired: {figures(self.repaired)}; start: {starts}"


class Scene:
    """The telephones, open for as long as it takes, and the proxy between them."""

    def __init__(self, server: ProxyProcess) -> None:
        self.server = server
        self.api = server.api()
        net = server.net
        self.carriers = [
            Phone("carrier", (net.host(2), 17000 + n), server.sip, seed=2 * n + 1) for n in range(CALLS)
        ]
        self.agents = [
            Phone(f"a{n}", (net.host(3), 16000 + n), server.sip, seed=2 * n + 2) for n in range(CALLS)
        ]
        self.told: list[Told] = []
        self._open: list[Phone] = []
        self._pace = Pace(server.folder)

    async def close(self) -> None:
        self._pace.close()
        await self.api.close()
        await self._hang_up_phones()

    async def play(self, rng: random.Random) -> None:
        """One round, up to the kill."""
        for phone in (*self.carriers, *self.agents):
            self._open.append(await phone.open())
        self.told = list(await asyncio.gather(*map(self._connected, range(CALLS))))
        seconds = rng.uniform(0.3, 2.2)
        pause_s = 0.0 if rng.random() < 0.5 else 0.35
        work = [asyncio.create_task(self._toggle(told, rng, pause_s)) for told in self.told]
        work += [
            asyncio.create_task(self._hang_up(told, seconds - rng.uniform(-0.01, 0.15)))
            for told in rng.sample(self.told, HANG_UPS)
        ]
        await asyncio.sleep(seconds)
        self.server.kill()
        killed_ns, late = time.monotonic_ns(), int(self._pace.late_s() * RATE_HZ)
        for told in self.told:
            told.killed_ns, told.late = killed_ns, late
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await self._hang_up_phones()
        await self.api.close()

    def restart(self) -> float:
        began = time.monotonic()
        self.server.start()
        self.api = self.server.api()
        return time.monotonic() - began

    async def _hang_up_phones(self) -> None:
        while self._open:
            await self._open.pop().close()

    async def _connected(self, n: int) -> Told:
        pair = await connect(self.carriers[n], self.agents[n], f"+1555020{n}")
        row = await self.api.call_of(pair.caller.call_id)
        while row["recording"] is None:
            row = await self.api.call_of(pair.caller.call_id)
        automatic = n < AUTOMATIC
        opened = [(0, True)] if automatic else []
        return Told(pair, row["id"], row["recording"]["id"], automatic, opened)

    async def _toggle(self, told: Told, rng: random.Random, pause_s: float) -> None:
        while True:
            await asyncio.sleep(rng.uniform(0, pause_s))
            told.in_doubt = True
            try:
                reply = await self._ask(told, rng.choice(ACTIONS))
            except httpx.HTTPError:
                return  # the proxy is dead, or dying
            if reply is None:
                told.in_doubt = False
                return
            if reply["changed"]:
                told.acknowledged.append((reply["effective_sample"], reply["state"] == "recording"))
            told.in_doubt = False

    async def _ask(self, told: Told, action: str) -> Json | None:
        """None when the call has ended."""
        path = f"/v1/calls/{told.call}/recording/{action}"
        response = await self.api.client.post(path)
        assert response.status_code in (200, 409), response.text
        return dict(response.json()) if response.status_code == 200 else None

    async def _hang_up(self, told: Told, after_s: float) -> None:
        await asyncio.sleep(max(after_s, 0))
        told.hung_up = True
        caller = told.pair.caller
        caller.send(caller.request("BYE"))


def check_as_they_lie(live: Path) -> dict[str, int]:
    """Every live file opens in ffprobe, sox and Python, and all three see the same length."""
    paths = sorted(live.glob("*.wav"))
    asked = [_ffprobe(path) for path in paths]
    lengths = {path.stem: _wave_frames(path) for path in paths}
    if paths:
        soxi = subprocess.run(["soxi", "-s", *paths], capture_output=True, text=True, check=True)
        assert not soxi.stderr, soxi.stderr
        assert [int(line) for line in soxi.stdout.split()] == list(lengths.values())
    for process, frames in zip(asked, lengths.values(), strict=True):
        out, errors = process.communicate(timeout=20)
        assert process.returncode == 0, errors
        assert not errors, errors
        assert not frames or int(out) == frames, (out, frames)  # it takes 0 for "to the end of the file"
    return lengths


def check_journals(live: Path, calls: list[Told]) -> None:
    """Every toggle that was acknowledged is in its journal, as it lies."""
    for told in calls:
        path = live / f"{told.recording}.journal"
        if path.exists():  # a call that had hung up may be published
            lines = [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
            written = {
                (line["position"], line["state"] == "recording") for line in lines[1:] if "state" in line
            }
            assert set(told.acknowledged) <= written, (told, lines)


def _ffprobe(path: Path) -> "subprocess.Popen[str]":
    command = ["ffprobe", "-v", "error", "-show_entries", "stream=duration_ts", "-of", "csv=p=0", str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _wave_frames(path: Path) -> int:
    with wave.open(str(path)) as file:
        frames = file.getnframes()
        assert len(file.readframes(frames)) == frames * 4
    return frames


def check_intervals(told: Told, row: Json) -> list[Span]:
    """What was acknowledged is there, exactly; only a command under way may have added to it."""
    recording = row["recording"]
    found = [(i["start_sample"], i["end_sample"]) for i in recording["intervals"]]
    duration = recording["duration_samples"]
    wanted = told.spans(duration)
    if told.open and wanted and recording["result"] == "recovered":
        last = wanted.pop()
        after = found[len(wanted) :]
        assert found[: len(wanted)] == wanted, (told, row)
        certain = min(told.certain, duration - LOST_AT_MOST)
        if last[0] < certain:
            assert after, (told, row)
            assert after[0][0] == last[0], (told, row)
            assert after[0][1] >= certain or told.in_doubt or told.hung_up, (told, row)
    elif recording["result"] != "none":
        assert found[: len(wanted)] == wanted, (told, row)
        assert len(found) <= len(wanted) + told.in_doubt, (told, row)
    else:
        assert not [span for span in wanted if span[0] < told.certain], (told, row)
    return found


def check_sound(track: Pcm, said: Pcm, spans: list[Span], lost_after: int) -> None:
    """Silence outside; inside nothing but what was said, and all of it up to `lost_after`."""
    outside = np.ones(len(track), bool)
    for start, end in spans:
        outside[start:end] = False
        _check_span(track, said, (start, end), lost_after)
    assert not track[outside].any(), f"{np.count_nonzero(track[outside])} samples outside {spans}"


def _check_span(track: Pcm, said: Pcm, span: Span, lost_after: int) -> None:
    start, end = span
    sure = range(start + HEAD_SLACK, max(start + HEAD_SLACK, min(end, lost_after)))
    sounding = int(np.count_nonzero(track[start:end]))
    if sounding < SHORT_RUN:
        assert len(sure) < SHORT_RUN, f"nothing in {span}, of which {sure} was to be kept"
        return
    want = expected_track(said, offset_of(track, said, span), len(track))
    heard = track[start:end] != 0
    wrong = np.count_nonzero(track[start:end][heard] != want[start:end][heard])
    assert not wrong, f"{wrong} samples in {span} were never said there"
    missed = np.count_nonzero((track[sure.start : sure.stop] == 0) & (want[sure.start : sure.stop] != 0))
    assert missed <= MISSED_SHARE * len(sure) + SHORT_RUN, f"{missed} of {len(sure)} are missing in {span}"


__all__ = [
    "Api",
    "Losses",
    "Scene",
    "Told",
    "check_as_they_lie",
    "check_intervals",
    "check_journals",
    "check_sound",
]
