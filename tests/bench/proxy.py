"""What a benchmark asks of a proxy under test, whoever made it."""

import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest.schedule import Stream


@dataclass(frozen=True, slots=True)
class Call:
    """One call to set up; `parties` are the caller's and the callee's RTP addresses."""

    number: int
    name: str
    parties: tuple[tuple[str, int], tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Checked:
    """How many recordings were found whole, of how many, and what is wrong with the others."""

    files: int
    expected: int
    faults: tuple[str, ...]

    @property
    def whole(self) -> bool:
        return self.files == self.expected


class ProxyUnderTest(Protocol):
    name: str
    host: str  # where its sockets are bound

    @property
    def pid(self) -> int: ...

    async def start(self) -> None: ...

    async def set_up(self, calls: list[Call]) -> list[Stream]:
        """Answer all calls, recording; where each stream is to be sent, in order of stream numbers."""

    async def tear_down(self, calls: list[Call]) -> None:
        """End all calls; returns when their recordings are complete."""

    async def stop(self) -> None: ...

    def check(self, calls: list[Call], packets: int, starts_ns: NDArray[np.int64]) -> Checked:
        """Hold each recording against what was sent: `packets` of each stream, the first at `starts_ns`."""


def audio_sdp(host: str, port: int) -> str:
    lines = ["v=0", f"o=- 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0", f"m=audio {port} RTP/AVP 0"]
    return "".join(f"{line}\r\n" for line in [*lines, "a=rtpmap:0 PCMU/8000", "a=sendrecv"])


def audio_target(sdp: str) -> tuple[str, int]:
    """Where an SDP wants its audio."""
    host = re.search(r"^c=IN IP4 (\S+)", sdp, re.MULTILINE)
    port = re.search(r"^m=audio (\d+) ", sdp, re.MULTILINE)
    if host is None or port is None:
        raise RuntimeError("a description without an address for its audio")
    return host[1], int(port[1])
