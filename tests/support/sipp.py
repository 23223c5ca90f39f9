"""SIPp as carrier or agent: one scenario, always bounded in time, its own report when it fails."""

import asyncio
import contextlib
import csv
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.sip_wire import Address

SCENARIOS = Path(__file__).parents[1] / "peers" / "sipp"
RTP_PORT = 6000


@dataclass(frozen=True, slots=True)
class Counts:
    """The last line of SIPp's own statistics."""

    created: int
    successful: int
    failed: int
    retransmissions: int
    unexpected: int
    mean_call_ms: float  # from its INVITE to the last message


class Sipp:
    """`scenario` is a file in tests/peers/sipp; `keys` are its `[keywords]`."""

    def __init__(
        self, folder: Path, scenario: str, local: Address, remote: Address | None = None, *,
        service: str = "service", calls: int = 1, rate: int = 10, at_once: int = 0, limit_s: float = 30,
        echo: bool = False, keys: Mapping[str, str] | None = None, options: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.folder, self.limit_s = folder, limit_s
        self.name = f"{scenario}-{local[0]}-{local[1]}"
        folder.mkdir(parents=True, exist_ok=True)
        target = [f"{remote[0]}:{remote[1]}"] if remote else []
        self.command = [
            "sipp", *target, "-sf", str(SCENARIOS / f"{scenario}.xml"),
            "-i", local[0], "-p", str(local[1]), "-mi", local[0], "-mp", str(RTP_PORT), "-s", service,
            "-m", str(calls), "-r", str(rate), "-l", str(at_once or calls), "-nostdin", "-skip_rlimit",
            "-trace_err", "-error_file", str(self._file("err")),
            "-trace_stat", "-stf", str(self._file("csv")), "-fd", "1",
            "-recv_timeout", str(int(limit_s * 1000)),
            *(["-rtp_echo"] if echo else []), *options,
        ]  # fmt: skip
        for name, value in (keys or {}).items():
            self.command += ["-key", name, value]
        self.process: asyncio.subprocess.Process | None = None

    def _file(self, ending: str) -> Path:
        return self.folder / f"{self.name}.{ending}"

    async def start(self) -> "Sipp":
        with self._file("out").open("wb") as out:
            self.process = await asyncio.create_subprocess_exec(
                "timeout", str(int(self.limit_s) + 2), *self.command,
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder,
            )  # fmt: skip
        return self

    async def finish(self) -> Counts:
        """Waits for the end of the last call; any call that failed fails the test."""
        assert self.process
        code = await asyncio.wait_for(self.process.wait(), self.limit_s + 5)
        assert code == 0, f"{self.name} ended with {code}\n{self.report()}"
        counts = self.counts()
        assert counts.failed == 0, f"{counts}\n{self.report()}"
        return counts

    async def run(self) -> Counts:
        await self.start()
        return await self.finish()

    async def stop(self) -> None:
        """Ends a scenario that waits for more calls than came."""
        if self.process and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            await self.process.wait()

    async def __aenter__(self) -> "Sipp":
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def counts(self) -> Counts:
        lines = self._file("csv").read_text().splitlines()
        last = list(csv.DictReader(lines, delimiter=";"))[-1]
        return Counts(
            created=int(last["TotalCallCreated"]),
            successful=int(last["SuccessfulCall(C)"]),
            failed=int(last["FailedCall(C)"]),
            retransmissions=int(last["Retransmissions(C)"]),
            unexpected=int(last["FailedUnexpectedMessage(C)"]),
            mean_call_ms=_ms(last["CallLength(C)"]),
        )

    def report(self) -> str:
        """What SIPp wrote about its failures."""
        error = self._file("err")
        text = error.read_text(errors="replace") if error.exists() else ""
        return text[-4000:] or self._file("out").read_text(errors="replace")[-2000:]


def _ms(duration: str) -> float:
    """`hours:minutes:seconds:microseconds`."""
    hours, minutes, seconds, micros = map(int, duration.split(":"))
    return ((hours * 60 + minutes) * 60 + seconds) * 1e3 + micros / 1e3


def installed() -> bool:
    return shutil.which("sipp") is not None
