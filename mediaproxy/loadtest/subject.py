"""The proxy under load: a whole one of its own on loopback, as a child process."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mediaproxy.loadtest.api import Api, free_endpoint
from mediaproxy.loadtest.launch import end, launch
from mediaproxy.loadtest.log import Row, is_published, published
from mediaproxy.loadtest.plan import Broken, Record
from mediaproxy.loadtest.schedule import CALLEE_HOST, CALLER_HOST
from mediaproxy.loadtest.source import spare_cores
from mediaproxy.net import Endpoint

NUMBER = "+15550100"
USER = "loadtest"
_READY = "mediaproxy ready"
_READY_S = 30.0
_STOP_S = 15.0
_POLL_S = 0.05
_POLICIES = {Record.ALL: "automatic", Record.NONE: "off", Record.RANDOM: "on_demand"}
# A proxy that ends, in order, also when we are killed (PR_SET_PDEATHSIG).
_PROGRAM = f"""
import ctypes
ctypes.CDLL(None).prctl(1, {signal.SIGTERM.value})
from mediaproxy.cli import main
main()
"""
_CONFIGURATION = """\
# Written by `mediaproxy loadtest`: everything on loopback.
[sip]
listen = ["udp:{proxy}"]
domain = "pbx.example"
drain_timeout_s = 0

[media]
address = "{proxy.host}"
ports = "20000-32767"
{workers}

[api]
listen = "{api}"
tokens = [{{token = "{token}", role = "admin", name = "{user}"}}]

[storage]
directory = "recordings"

[database]
url = "sqlite:///calls.sqlite"

[recording]
policy = "{policy}"
format = "wav"
sample_rate = {sample_rate}
{more}
[[trunks]]
name = "carrier"
address = "{carrier}"
sources = ["{carrier.host}/32"]

[[agents]]
name = "alice"
contact = "sip:alice@{agent}"

[[routes]]
from = "trunk:carrier"
to = "{number}"
agent = "alice"
"""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everybody is with SIP, and the number that the carrier calls."""

    proxy: Endpoint
    carrier: Endpoint
    agent: Endpoint
    number: str = NUMBER

    @classmethod
    def free(cls) -> "Addresses":
        """On free ports; the proxy has an address of its own."""
        host = f"127.0.0.{100 + os.getpid() % 100}"
        return cls(
            proxy=free_endpoint(host, socket.SOCK_DGRAM),
            carrier=free_endpoint(CALLER_HOST, socket.SOCK_DGRAM),
            agent=free_endpoint(CALLEE_HOST, socket.SOCK_DGRAM),
        )


class Subject:
    """`start` it, `stop` it in any case."""

    unmeasured: tuple[str, ...] = ()

    def __init__(
        self,
        directory: Path,
        record: Record,
        *,
        more: str = "",
        workers: int = 0,
        sample_rate: int = 8000,
    ) -> None:
        """`more`: further lines for `[recording]`; `workers`: of the media, 0 = what is the default."""
        self.addresses = Addresses.free()
        self.api_endpoint = free_endpoint(self.addresses.proxy.host, socket.SOCK_STREAM)
        self.recordings = directory / "recordings"
        self.token = secrets.token_urlsafe(12)
        self.api = Api(self.api_endpoint, self.token)
        self._configuration = directory / "mediaproxy.toml"
        self._log = directory / "serve.log"
        self._sample_rate = sample_rate
        self._write(record, more, f"workers = {workers}" if workers else "")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Returns when every listener is bound."""
        command = [sys.executable, "-c", _PROGRAM, "serve", "--config", str(self._configuration)]
        # What the user's own proxy is told by its environment is not meant for this one.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MEDIAPROXY_")}
        with self._log.open("wb") as output:
            self._process = launch(command, output=output, stdin=subprocess.DEVNULL, env=environment)
        if spare := spare_cores():
            os.sched_setaffinity(self._process.pid, os.sched_getaffinity(0) - set(spare))
        until = time.monotonic() + _READY_S
        while _READY not in self._log.read_text(errors="replace"):
            self.check_alive()
            if time.monotonic() > until:
                raise Broken(f"the proxy was not ready within {_READY_S:.0f} s")
            await asyncio.sleep(_POLL_S)

    async def files(self, rows: Mapping[str, Row]) -> dict[str, Path]:
        """The recordings of these calls, by caller."""
        return published(self.recordings, rows)

    async def discard(self, row: Row, file: Path | None) -> None:
        """Delete a recording that was checked: by the API, as a user would, with a line in the chain."""
        if is_published(row):
            await self.api.delete(f"/v1/recordings/{row['recording']['id']}?reason=loadtest")

    def check_alive(self) -> None:
        assert self._process is not None
        if self._process.poll() is not None:
            last = self._log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise Broken(f"the proxy ended with {self._process.returncode}: {last}")

    def stop(self) -> None:
        """Politely first; gone when this returns. Idempotent."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            end(self._process)

    def _write(self, record: Record, more: str, workers: str) -> None:
        """Readable by its owner alone: it holds the token."""
        self._configuration.touch(0o600)
        self._configuration.write_text(
            _CONFIGURATION.format(
                proxy=self.addresses.proxy,
                carrier=self.addresses.carrier,
                agent=self.addresses.agent,
                api=self.api_endpoint,
                token=self.token,
                user=USER,
                policy=_POLICIES[record],
                number=NUMBER,
                more=more,
                workers=workers,
                sample_rate=self._sample_rate,
            )
        )
