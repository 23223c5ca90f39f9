"""The real proxy under test: `mediaproxy serve` in its own process, with real SIP calls."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import httpx
import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest import wire
from mediaproxy.loadtest.launch import launch
from mediaproxy.loadtest.recordings import Said, check_recording
from mediaproxy.loadtest.schedule import CALLEE_HOST, CALLER_HOST, Stream
from tests.bench.proxy import Call, Checked
from tests.bench.softphones import Dialog, Softphones

T = TypeVar("T")

NAME = "mediaproxy"
WORKERS = 2
NAME_WITH_WORKERS = f"{NAME}, {WORKERS} workers"
NAME_IN_PYTHON = f"{NAME}, Python alone"
AUTOMATIC, ON_DEMAND = "+15550101", "+15550100"
_HOST = "127.0.0.12"
_SIP_PORT, _API_PORT = 45_060, 48_080
_CARRIER, _AGENT = (CALLER_HOST, 45_070), (CALLEE_HOST, 45_080)
_SETUPS_AT_ONCE = 10
_PUBLISHED_WITHIN_S = 60
_READY = "mediaproxy ready"

_CONFIGURATION = f"""
[sip]
listen = ["udp:{_HOST}:{_SIP_PORT}"]
domain = "pbx.example"

[media]
address = "{_HOST}"
ports = "20000-29999"
workers = WORKERS
compiled = COMPILED

[api]
listen = "127.0.0.1:{_API_PORT}"
tokens = [{{token = "adm", role = "admin"}}]

[storage]
directory = "rec"

[database]
url = "sqlite:///db.sqlite"

[recording]
policy = "on_demand"
format = "wav"
sample_rate = 8000

[[trunks]]
name = "carrier"
address = "{_CARRIER[0]}:{_CARRIER[1]}"
sources = ["{_CARRIER[0]}/32"]

[[agents]]
name = "alice"
contact = "sip:alice@{_AGENT[0]}:{_AGENT[1]}"

[[routes]]
from = "trunk:carrier"
to = "{ON_DEMAND}"
agent = "alice"
recording = "on_demand"

[[routes]]
from = "trunk:carrier"
to = "{AUTOMATIC}"
agent = "alice"
recording = "automatic"
"""


class Mediaproxy:
    program: tuple[str, ...] = (str(Path(sys.executable).with_name("mediaproxy")),)
    host = _HOST

    def __init__(
        self, directory: Path, number: str = AUTOMATIC, workers: int = 0, *, compiled: bool = True
    ) -> None:
        """`compiled`: with the helper in C, where it was built."""
        self.name = NAME_WITH_WORKERS if workers else NAME if compiled else NAME_IN_PYTHON
        self._compiled = compiled
        self._directory = directory
        self._workers = workers
        self._phones = Softphones(_CARRIER, _AGENT, (_HOST, _SIP_PORT), number)
        self._dialogs: list[Dialog] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._published = 0
        self.api = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{_API_PORT}", headers={"Authorization": "Bearer adm"}, timeout=10
        )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        self._directory.mkdir(parents=True)
        configuration = self._directory / "bench.toml"
        written = _CONFIGURATION.replace("WORKERS", str(self._workers))
        configuration.write_text(written.replace("COMPILED", str(self._compiled).lower()))
        log = self._directory / "serve.log"
        command = [*self.program, "serve", "--config", str(configuration)]
        with log.open("wb") as output:
            self._process = launch(command, output=output)
        process = self._process
        await _until(lambda: _READY in log.read_text() or process.poll() is not None, 20, "it is not ready")
        if process.poll() is not None:
            raise RuntimeError(f"mediaproxy did not start: {log.read_text().strip()}")
        await self._phones.open()

    async def set_up(self, calls: list[Call]) -> list[Stream]:
        self._dialogs = await _some_at_once(self._phones.place, calls)
        streams: list[Stream] = []
        for dialog in self._dialogs:
            assert dialog.caller_sends_to is not None
            assert dialog.callee_sends_to is not None
            number = 2 * dialog.call.number
            streams += [Stream(number, *dialog.caller_sends_to), Stream(number + 1, *dialog.callee_sends_to)]
        return streams

    async def hang_up(self, calls: list[Call]) -> None:
        await _some_at_once(self._phones.hang_up, calls)

    async def tear_down(self, calls: list[Call]) -> None:
        await self.hang_up(calls)
        self._published += len(calls)
        wanted = self._published
        await _until(
            lambda: len(self._manifests()) >= wanted,
            _PUBLISHED_WITHIN_S,
            "recordings were not published in time",
        )

    async def live_calls(self) -> list[tuple[str, float]]:
        """The API's ids of all answered calls, and when each was answered (Unix time in s)."""
        reply = await self.api.get("/v1/calls", params={"state": "answered", "limit": 500})
        calls = reply.raise_for_status().json()["calls"]
        return [(call["id"], datetime.fromisoformat(call["answered_at"]).timestamp()) for call in calls]

    async def stop(self) -> None:
        await self.api.aclose()
        self._phones.close()
        if self._process is None:
            return
        self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, 15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def check(self, calls: list[Call], packets: int, starts_ns: NDArray[np.int64]) -> Checked:
        """Every recording holds every sample of both legs, in place, and nothing else."""
        manifests = {manifest["sip_call_id"]: manifest for manifest in map(_load, self._manifests())}
        table = wire.payload_table()
        faults = []
        for dialog in self._dialogs:
            manifest = manifests.get(dialog.call_id)
            first = 2 * dialog.call.number
            said = [
                Said(
                    wire.decode_ulaw(wire.stream_codes(stream, packets, table)),
                    (starts_ns[stream] - dialog.answered_ns) / 1e9,
                )
                for stream in (first, first + 1)
            ]
            fault = (
                "no manifest"
                if manifest is None
                else check_recording(
                    Path(str(manifest["path"])).with_suffix(".wav"),
                    int(str(manifest["duration_samples"])),
                    said,
                )
            )
            if fault:
                faults.append(f"{dialog.call.name}: {fault}")
        return Checked(len(calls) - len(faults), len(calls), tuple(faults))

    def _manifests(self) -> list[Path]:
        return list((self._directory / "rec").glob("[0-9]*/*/*/*.json"))


def _load(path: Path) -> dict[str, object]:
    manifest: dict[str, object] = json.loads(path.read_text())
    manifest["path"] = str(path)
    return manifest


async def _some_at_once(act: Callable[[Call], Awaitable[T]], calls: list[Call]) -> list[T]:
    """Do it for every call, a few at a time; the results in order."""
    gate = asyncio.Semaphore(_SETUPS_AT_ONCE)

    async def one(call: Call) -> T:
        async with gate:
            return await act(call)

    return list(await asyncio.gather(*map(one, calls)))


async def _until(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    for _ in range(round(seconds / 0.1)):
        if condition():
            return
        await asyncio.sleep(0.1)
    raise RuntimeError(otherwise)
