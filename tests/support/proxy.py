"""The product as its user runs it: `mediaproxy serve` as a process, its configuration, its API, its files."""

import asyncio
import copy
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.rtp_oracle import Pcm, read_wav
from tests.support.sip_wire import Address

ROOT = Path(__file__).parents[2]
ACCEPTANCE = ROOT / "tests" / "peers" / "acceptance.toml"
COMMAND = [str(Path(sys.executable).with_name("mediaproxy"))]
READY = "mediaproxy ready"
READY_S = 30.0
PUBLISH_S = 5.0  # contract: the audio is downloadable at most this long after the end
POLL_S = 0.05

Config = dict[str, Any]
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Net:
    """A /24 of loopback for one proxy and its peers, so that tests never meet on a port."""

    prefix: str  # "127.20.7"

    def host(self, last: int) -> str:
        return f"{self.prefix}.{last}"

    @property
    def proxy(self) -> Address:
        return self.host(1), 15060

    @property
    def carrier(self) -> Address:
        return self.host(2), 15070

    @property
    def alice(self) -> Address:
        return self.host(3), 15080

    @property
    def bob(self) -> Address:
        return self.host(4), 15080


def acceptance(net: Net) -> Config:
    """The acceptance configuration, moved from 127.0.0 to this network. With `MEDIAPROXY_TEST_WORKERS` every
    test meets a proxy that has so many media workers."""
    config = tomllib.loads(ACCEPTANCE.read_text().replace("127.0.0.", f"{net.prefix}."))
    if workers := os.environ.get("MEDIAPROXY_TEST_WORKERS"):
        config["media"]["workers"] = int(workers)
    return config


def changed(config: Config, changes: Mapping[str, Any]) -> Config:
    """A copy with `{"sip.max_calls": 2, "trunks.0.latch": "always"}` applied; None removes a key."""
    result = copy.deepcopy(config)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = result
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return result


def to_toml(config: Config) -> str:
    return "".join(_sections(config))


def _sections(config: Config) -> Iterator[str]:
    for name, section in config.items():
        tables = section if isinstance(section, list) else [section]
        head = f"[[{name}]]" if isinstance(section, list) else f"[{name}]"
        for table in tables:
            yield f"{head}\n" + "".join(f"{k} = {_value(v)}\n" for k, v in table.items()) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


class Api:
    """One bearer of a token; answers are JSON unless asked otherwise."""

    def __init__(self, base: str, token: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.client = httpx.AsyncClient(
            base_url=base, headers=headers, verify=False, trust_env=False, timeout=10
        )

    async def get(self, path: str, **params: Any) -> Any:
        response = await self.client.get(path, params=params)
        assert response.status_code == 200, f"GET {path}: {response.status_code} {response.text}"
        return response.json()

    async def status(self, method: str, path: str, **options: Any) -> int:
        return (await self.client.request(method, path, **options)).status_code

    async def toggle(self, call: str, action: str, **headers: str) -> Json:
        path = f"/v1/calls/{call}/recording/{action}"
        response = await self.client.post(path, headers=headers)
        assert response.status_code == 200, f"POST {path}: {response.status_code} {response.text}"
        return dict(response.json())

    async def call_of(self, sip_call_id: str) -> Json:
        """The row of a call, which must be there 500 ms after its INVITE."""
        deadline = time.monotonic() + 2.0
        while True:
            rows = (await self.get("/v1/calls", sip_call_id=sip_call_id))["calls"]
            assert len(rows) <= 1, f"{len(rows)} rows of one call"
            if rows:
                return dict(rows[0])
            assert time.monotonic() < deadline, f"no row of {sip_call_id}"
            await asyncio.sleep(POLL_S)

    async def until(self, call: str, wanted: Callable[[Json], bool], timeout: float = PUBLISH_S) -> Json:
        deadline = time.monotonic() + timeout
        while True:
            row: Json = await self.get(f"/v1/calls/{call}")
            if wanted(row):
                return row
            assert time.monotonic() < deadline, f"still {json.dumps(row, indent=1)}"
            await asyncio.sleep(POLL_S)

    async def ended(self, call: str) -> Json:
        """The row once the call is over and its recording, if any, published."""

        def over(row: Json) -> bool:
            recording = row["recording"]
            return row["state"] == "ended" and (recording is None or recording["result"] is not None)

        return await self.until(call, over)

    async def wav(self, recording: str) -> bytes:
        response = await self.client.get(f"/v1/recordings/{recording}/audio")
        assert response.status_code == 200, f"audio: {response.status_code} {response.text}"
        assert response.headers["content-type"] == "audio/wav"
        return response.content

    async def close(self) -> None:
        await self.client.aclose()


class ProxyProcess:
    """`mediaproxy serve` in a folder of its own. `start` returns when it says that it is ready."""

    def __init__(self, folder: Path, net: Net, changes: Mapping[str, Any] | None = None) -> None:
        self.folder, self.net = folder, net
        self.config = changed(acceptance(net), changes or {})
        folder.mkdir(parents=True, exist_ok=True)
        self.config_path = folder / "mediaproxy.toml"
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def sip(self) -> Address:
        return self.net.proxy

    @property
    def storage(self) -> Path:
        return self.folder / str(self.config["storage"]["directory"])

    @property
    def log_path(self) -> Path:
        return self.folder / f"serve-{self.starts}.log"

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def write_config(self) -> Path:
        self.config_path.write_text(to_toml(self.config))
        return self.config_path

    def spawn(self) -> None:
        self.write_config()
        self.starts += 1
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "--config", str(self.config_path)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder,
                env=clean_environment(),
            )  # fmt: skip

    def start(self) -> "ProxyProcess":
        self.spawn()
        deadline = time.monotonic() + READY_S
        while READY not in self.log:
            assert self.alive, f"serve ended before it was ready:\n{self.log}"
            assert time.monotonic() < deadline, f"serve is not ready:\n{self.log}"
            time.sleep(POLL_S)
        return self

    def api(self, token: str | None = "adm") -> Api:
        return Api(f"http://{self.config['api']['listen']}", token)

    def signal(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    def wait(self, timeout: float = 15.0) -> int:
        assert self.process
        return self.process.wait(timeout)

    def kill(self) -> None:
        """As a power cut would."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to one that does not go; for fixtures, judged nowhere."""
        if not self.alive:
            return
        self.signal(signal.SIGTERM)
        try:
            self.wait(8.0)
        except subprocess.TimeoutExpired:
            self.kill()

    def check_log(self) -> None:
        assert "Traceback" not in self.log, f"an exception in the server:\n{self.log[-6000:]}"

    def descriptors(self) -> list[str]:
        """What the server holds open, without the numbers that differ from socket to socket."""
        links = Path(f"/proc/{self.pid}/fd").iterdir()
        return sorted(os.readlink(link).split(":[")[0] for link in links if link.is_symlink())

    def bound_udp(self) -> set[Address]:
        """The UDP addresses that the server and its workers have bound now."""
        found = set()
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                found |= {(a.laddr.ip, a.laddr.port) for a in process.net_connections("udp")}
        return found

    def processes(self) -> list[psutil.Process]:
        """The server and all that it started."""
        server = psutil.Process(self.pid)
        return [server, *server.children(recursive=True)]

    def rss_bytes(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)

    def live_calls(self) -> int:
        """By the API, from outside any event loop."""
        url, headers = f"http://{self.config['api']['listen']}/v1/calls", {"Authorization": "Bearer adm"}
        query = {"state": "live", "limit": "500"}
        answer = httpx.get(url, headers=headers, params=query, trust_env=False, verify=False)
        return len(answer.json()["calls"])

    def published(self, recording: str) -> Path:
        found = list(self.storage.glob(f"[0-9]*/*/*/{recording}.wav"))
        assert len(found) == 1, f"{recording}: {[str(p) for p in self.storage.rglob('*')]}"
        return found[0]

    def live_wav(self, recording: str) -> Path:
        return self.storage / "live" / f"{recording}.wav"

    def tracks(self, row: Json) -> tuple[Pcm, Pcm]:
        """Channel 1 and 2 of a finished call's file, whose length must be the log's."""
        recording = row["recording"]
        frames = read_wav(self.published(recording["id"]))
        assert len(frames) == recording["duration_samples"], (len(frames), recording)
        return frames[:, 0], frames[:, 1]


def clean_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("MEDIAPROXY_", "PYTEST_"))}


def run_command(
    *arguments: str, cwd: Path | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """A `mediaproxy` command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=timeout, cwd=cwd, check=False,
        env=clean_environment(),
    )  # fmt: skip
