"""The story: a call of half a minute, recorded twice, once by a click and once by dialled codes."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from mediaproxy import config as configuration
from mediaproxy.demo import picture, world
from mediaproxy.demo.picture import Span, clock
from mediaproxy.demo.world import Addresses, Party
from mediaproxy.loadtest.api import Api
from mediaproxy.service.server import running
from mediaproxy.storage import verify

CALL_S = 30.0
RING_S = 1.0
# When who does what, in seconds on the call clock.
CLICK_START_S, CLICK_STOP_S = 5.0, 11.0
DIAL_START_S, DIAL_STOP_S = 17.0, 23.0
PUBLISHED_S = 5.0
REFRESH_S = 0.1
WIDTH = 78  # of the timeline and the waveform, where the terminal has room for them
BORDER, BESIDE = 4, 14  # what stands left and right of the one and of the other
EXIT_FINDING = 1


@dataclass(slots=True)
class Scene:
    """What is on the screen while the call lives."""

    addresses: Addresses
    width: int = WIDTH
    headline: str = "starting"
    said: list[str] = field(default_factory=list)
    now_ms: int = 0
    spans: list[Span] = field(default_factory=list)
    state: str = "inactive"

    def say(self, text: str) -> None:
        self.said.append(f"{clock(self.now_ms):>5}  {text}")

    def __rich__(self) -> Panel:
        state = Text(" ● recording " if self.state == "recording" else " ○ not recording ")
        state.stylize("bold white on red" if self.state == "recording" else "bold white on bright_black")
        recorded = sum((span.end_ms or self.now_ms) - span.start_ms for span in self.spans)
        head = Text.assemble(
            ("carrier ", picture.CARRIER),
            f"{self.addresses.carrier} ⇄ ",
            ("mediaproxy ", "bold"),
            f"{self.addresses.proxy} ⇄ ",
            ("alice ", picture.AGENT),
            str(self.addresses.agent),
        )
        line = Text.assemble(
            f"{clock(self.now_ms)} call · {clock(recorded)} recorded   ", state, "   ", self.headline
        )
        bar = picture.timeline(self.spans, self.now_ms, round(CALL_S * 1000), self.width)
        return Panel(
            Group(head, Text(), line, bar, Text(), *self.said),
            title="mediaproxy demo",
            width=self.width + BORDER,
        )


async def tell(directory: Path, console: Console, *, leave: bool) -> int:
    """0 when the recording is what it must be, 1 when not."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    addresses = Addresses.free()
    config = configuration.load(addresses.write(directory))
    scene = Scene(addresses, width=_room(console, BORDER))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(running(config))
        carrier, agent = world.carrier(CALL_S), world.agent(CALL_S)
        for party, at in ((carrier, addresses.carrier), (agent, addresses.agent)):
            await party.start(at)
            stack.push_async_callback(party.stop)
        call = await _call(console, scene, carrier, agent)
        good = _show(console, call, config.storage.directory)
        if not leave:
            _stay(console, addresses, call)
            await asyncio.Event().wait()
    return 0 if good else EXIT_FINDING


def _room(console: Console, beside: int) -> int:
    return max(1, min(WIDTH, console.width - beside))


async def _call(console: Console, scene: Scene, carrier: Party, agent: Party) -> dict[str, Any]:
    """The call from INVITE to the published recording, as the API tells it."""
    with (
        closing(Api(scene.addresses.api, scene.addresses.alice)) as api,
        Live(scene, console=console, refresh_per_second=8, transient=console.is_terminal) as live,
    ):
        line = carrier.call(world.NUMBER, scene.addresses.proxy)
        scene.headline = f"the carrier calls {world.NUMBER}"
        incoming = await asyncio.wait_for(agent.invited.get(), world.TIMEOUT_S)
        agent.ring(incoming)
        scene.headline = "alice's telephone rings"
        await asyncio.sleep(RING_S)
        agent.answer(incoming)
        await asyncio.wait_for(carrier.talking.wait(), world.TIMEOUT_S)
        scene.headline = "they talk"
        scene.say("alice answers: the call clock stands at 0")
        ident: str = (await api.get("/v1/calls?state=live"))["calls"][0]["id"]
        watching = asyncio.create_task(_watch(scene, api, ident))
        try:
            await _act(scene, api, ident, agent)
        finally:
            watching.cancel()
        carrier.hang_up(line)
        await asyncio.wait_for(agent.over.wait(), world.TIMEOUT_S)
        call = await _published(api, ident)
        _see(scene, call)
        scene.headline = "the call is over"
        scene.say("the carrier hangs up; the recording is published")
        live.refresh()
    return call


async def _act(scene: Scene, api: Api, ident: str, agent: Party) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    for at_s, words, action in _script(api, ident, agent):
        await asyncio.sleep(max(0.0, began + at_s - loop.time()))
        if action is None:
            return
        result = action()
        if asyncio.iscoroutine(result):
            reply = await result
            words += f": {reply['state']} from sample {reply['effective_sample']:,}"
        scene.say(words)


def _script(api: Api, ident: str, agent: Party) -> Iterator[tuple[float, str, Any]]:
    path = f"/v1/calls/{ident}/recording"
    yield CLICK_START_S, "alice clicks start (API)", lambda: api.post(f"{path}/start")
    yield CLICK_STOP_S, "alice clicks stop (API)", lambda: api.post(f"{path}/stop")
    yield (
        DIAL_START_S,
        "alice dials *1 on her telephone; the carrier never hears it",
        lambda: agent.dial("*1"),
    )
    yield DIAL_STOP_S, "alice dials *2", lambda: agent.dial("*2")
    yield CALL_S, "", None


async def _watch(scene: Scene, api: Api, ident: str) -> None:
    """Show what the server says, never a guess."""
    while True:
        _see(scene, await api.get(f"/v1/calls/{ident}"))
        await asyncio.sleep(REFRESH_S)


async def _published(api: Api, ident: str) -> dict[str, Any]:
    async with asyncio.timeout(PUBLISHED_S):
        while True:
            call: dict[str, Any] = await api.get(f"/v1/calls/{ident}")
            if call["recording"] and call["recording"]["result"]:
                return call
            await asyncio.sleep(REFRESH_S)


def _see(scene: Scene, call: dict[str, Any]) -> None:
    scene.now_ms = call["duration_ms"]
    scene.state = call["recording"]["state"]
    scene.spans = _spans(call)


def _spans(call: dict[str, Any]) -> list[Span]:
    return [
        Span(one["start_ms"], one["end_ms"], f"{one['started_by']['user']}, {one['started_by']['means']}")
        for one in call["recording"]["intervals"]
    ]


def _show(console: Console, call: dict[str, Any], storage: Path) -> bool:
    """The log line, the waveform, the file, and whether it verifies."""
    recording, spans = call["recording"], _spans(call)
    [file] = storage.glob(f"*/*/*/{recording['id']}.wav")
    [verdict] = verify([file])
    console.print()
    console.print(
        Text.assemble(
            (f"{call['from']} → {call['to']}", "bold"),
            f"  answered by {call['agent']}   ",
            (f"{clock(call['duration_ms'])} call, {clock(call['recorded_ms'])} recorded", "bold"),
        ),
        soft_wrap=True,
    )
    for span in spans:
        console.print(
            f"  recorded {clock(span.start_ms)} to {clock(span.end_ms or 0)} by {span.by}", highlight=False
        )
    console.print()
    for row in picture.waveform(file, spans, _room(console, BESIDE)):
        console.print(row, no_wrap=True, crop=False)
    console.print()
    console.print(
        f"{recording['duration_samples']:,} samples, as long as the call; exact zeros wherever a dot stands."
    )
    console.print(_short(file), soft_wrap=True, highlight=False)
    console.print(f"mediaproxy verify: {'good' if verdict.ok else '; '.join(verdict.problems)}")
    return verdict.ok and recording["result"] == "complete"


def _short(file: Path) -> str:
    """As one would type it here."""
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def _stay(console: Console, addresses: Addresses, call: dict[str, Any]) -> None:
    console.print()
    console.print("The proxy stays up. Look around, then stop it with Ctrl-C. The dashboard, signed in:")
    console.print(f"  http://{addresses.api}/#/sign-in/{addresses.admin}", soft_wrap=True, highlight=False)
    console.print("or its API:")
    console.print(
        f"  curl -H 'Authorization: Bearer {addresses.admin}' http://{addresses.api}/v1/calls/{call['id']}",
        soft_wrap=True,
        highlight=False,
    )
