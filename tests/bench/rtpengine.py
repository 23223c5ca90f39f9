"""The peer: Debian's rtpengine in userspace, recording every call to pcap, driven by ng."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest import wire
from mediaproxy.loadtest.launch import launch
from mediaproxy.loadtest.schedule import Stream
from tests.bench.ng import Bencoded, NgClient
from tests.bench.proxy import Call, Checked, audio_sdp, audio_target

NAME = "rtpengine"
_HOST = "127.0.0.11"
_NG_PORT = 42_222

_CAPTURED = np.dtype(  # one packet of the capture: pcap's, Ethernet's, IP's and UDP's headers, then ours
    [
        ("time", "u4", (2,)),
        ("kept", "u4"),
        ("length", "u4"),
        ("ethernet_and_ip", "u1", (34,)),
        ("ports", ">u2", (2,)),
        ("udp", "u1", (4,)),
        ("packet", wire.PACKET),
    ]
)


def version() -> str | None:
    """What `rtpengine --version` says, or None where it is not installed."""
    if shutil.which("rtpengine") is None:
        return None
    return subprocess.run(
        ["rtpengine", "--version"], capture_output=True, text=True, check=False
    ).stdout.strip()


class Rtpengine:
    name = NAME
    host = _HOST

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._recordings = directory / "pcap"
        self._process: subprocess.Popen[bytes] | None = None
        self._ng = NgClient(_HOST, _NG_PORT)
        self._targets: dict[int, dict[int, str]] = {}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        self._recordings.mkdir(parents=True)
        log = (self._directory / "rtpengine.log").open("wb")
        command = ["rtpengine", "--table=-1", "--foreground", "--log-stderr", "--log-level=4"]
        command += [
            f"--interface={_HOST}",
            f"--listen-ng={_HOST}:{_NG_PORT}",
            "--port-min=30000",
            "--port-max=39999",
        ]
        command += ["--delete-delay=0", f"--recording-dir={self._recordings}"]
        command += ["--recording-method=pcap", "--recording-format=eth"]
        with log:
            self._process = launch(command, output=log)
        await self._answering()

    async def _answering(self) -> None:
        for _ in range(100):
            await asyncio.sleep(0.1)
            try:
                self._ng.ask("ping")
            except OSError:
                continue
            return
        raise RuntimeError(f"rtpengine does not answer: see {self._directory}")

    async def set_up(self, calls: list[Call]) -> list[Stream]:
        streams: list[Stream] = []
        for call in calls:
            streams += self._connect(call)
            await asyncio.sleep(0)
        return streams

    def _connect(self, call: Call) -> list[Stream]:
        common: dict[str, Bencoded] = {
            "call_id": call.name,
            "from_tag": "a",
            "replace": ["origin"],
            "record_call": "yes",
        }
        caller, callee = (audio_sdp(*party) for party in call.parties)
        to_callee = self._ng.ask("offer", sdp=caller, **common)
        to_caller = self._ng.ask("answer", sdp=callee, to_tag="b", **common)
        return [
            Stream(2 * call.number, *audio_target(str(to_caller["sdp"]))),
            Stream(2 * call.number + 1, *audio_target(str(to_callee["sdp"]))),
        ]

    async def tear_down(self, calls: list[Call]) -> None:
        for call in calls:
            self._ng.ask("delete", call_id=call.name, from_tag="a")

    async def stop(self) -> None:
        self._ng.close()
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait, 10)

    def check(self, calls: list[Call], packets: int, starts_ns: NDArray[np.int64]) -> Checked:
        """Every packet of both directions stands in the call's capture, byte for byte."""
        captured = {
            path.name.rpartition("-")[0]: path for path in (self._recordings / "pcaps").glob("*.pcap")
        }
        table = wire.payload_table()
        faults = [fault for call in calls if (fault := _fault(captured.get(call.name), call, packets, table))]
        return Checked(files=len(calls) - len(faults), expected=len(calls), faults=tuple(faults))


def _fault(path: Path | None, call: Call, packets: int, table: NDArray[np.uint8]) -> str | None:
    if path is None:
        return f"{call.name}: no capture"
    body = path.read_bytes()[24:]
    if len(body) % _CAPTURED.itemsize:
        return f"{call.name}: the capture holds something else than whole packets"
    stream, index, intact = wire.recognise(np.frombuffer(body, dtype=_CAPTURED)["packet"], table)
    seen = np.zeros((2, packets), dtype=np.int64)
    good = intact & (stream >= 2 * call.number) & (stream <= 2 * call.number + 1) & (index < packets)
    np.add.at(seen, (stream[good] - 2 * call.number, index[good]), 1)
    if good.all() and (seen == 1).all():
        return None
    return f"{call.name}: {int((seen == 0).sum())} packets missing, {int((~good).sum())} not its own"
