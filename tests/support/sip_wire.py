"""SIP messages as the outside tester reads and writes them, and the wires that carry them.

A parser just good enough for tests, on purpose not the product's: it keeps every header line in
order, so a test can hold what came out against what went in.
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

COMPACT = {
    "v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length",
    "c": "content-type", "k": "supported", "s": "subject", "e": "content-encoding",
}  # fmt: skip
Address = tuple[str, int]


def canonical(name: str) -> str:
    low = name.strip().lower()
    return COMPACT.get(low, low)


def host_port(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass
class Message:
    """A start line, header lines in order, a body."""

    start: str
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    @classmethod
    def parse(cls, raw: bytes) -> "Message":
        head, _, body = raw.partition(b"\r\n\r\n")
        text = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "surrogateescape"))
        start, *lines = text.split("\r\n")
        pairs = [line.split(":", 1) for line in lines]
        return cls(start, [(name.strip(), value.strip()) for name, value in pairs], body)

    def encode(self) -> bytes:
        kept = [(n, v) for n, v in self.headers if canonical(n) != "content-length"]
        lines = [self.start, *(f"{n}: {v}" for n, v in kept), f"Content-Length: {len(self.body)}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + self.body

    def all(self, name: str) -> list[str]:
        return [value for n, value in self.headers if canonical(n) == canonical(name)]

    def get(self, name: str, default: str = "") -> str:
        return next(iter(self.all(name)), default)

    @property
    def status(self) -> int | None:
        return int(self.start.split()[1]) if self.start.startswith("SIP/") else None

    @property
    def method(self) -> str:
        """The method of a request; of a response, the one it answers."""
        return self.get("CSeq").split()[-1] if self.status else self.start.split()[0]

    @property
    def uri(self) -> str:
        return self.start.split()[1]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Equal for a retransmission, different for everything else."""
        branch = re.search(r"branch=([^;,\s]+)", self.get("Via"))
        return (
            self.start,
            branch.group(1) if branch else "",
            self.get("CSeq"),
            tag_of(self.get("To")) if self.status else "",
        )

    @property
    def sdp(self) -> str:
        return self.body.decode("utf-8", "surrogateescape")


def tag_of(value: str) -> str:
    found = re.search(r";\s*tag=([^;\s>]+)", value.rsplit(">", 1)[-1])
    return found.group(1) if found else ""


def uri_of(value: str) -> str:
    found = re.search(r"<([^>]*)>", value)
    return found.group(1) if found else value.split(";", 1)[0].strip()


def user_of(value: str) -> str:
    return re.sub(r"^sips?:", "", uri_of(value)).partition("@")[0]


def media_of(sdp: str) -> Address:
    """Address and port of the first audio section."""
    audio = re.search(r"^m=audio (\d+)", sdp, re.M)
    assert audio, f"no audio in {sdp!r}"
    section = sdp[audio.start() :].split("\nm=")[0]
    connection = r"^c=IN IP[46] ([^\s/]+)"
    found = re.search(connection, section, re.M) or re.search(connection, sdp, re.M)
    assert found, f"no c= in {sdp!r}"
    return found.group(1), int(audio.group(1))


def split_stream(buffer: bytearray) -> list[bytes]:
    """Takes the whole messages off the front of a TCP stream; keep-alive line ends are skipped."""
    whole = []
    while True:
        while buffer.startswith(b"\r\n"):
            del buffer[:2]
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return whole
        length = re.search(rb"^(?:content-length|l)\s*:\s*(\d+)", buffer[:end], re.M | re.I)
        total = end + 4 + (int(length.group(1)) if length else 0)
        if len(buffer) < total:
            return whole
        whole.append(bytes(buffer[:total]))
        del buffer[:total]


Received = Callable[[bytes, Address], None]


class Wire(Protocol):
    """Carries SIP to one peer; what comes is handed to the `received` it was opened with."""

    local: Address

    def send(self, raw: bytes, to: Address | None = None) -> None: ...
    async def close(self) -> None: ...


class UdpWire(asyncio.DatagramProtocol):
    transport_name = "UDP"

    def __init__(self, local: Address, peer: Address, received: Received) -> None:
        self.local, self.peer, self._received = local, peer, received

    async def open(self) -> "UdpWire":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=self.local)
        self.local = self._transport.get_extra_info("sockname")[:2]
        return self

    def datagram_received(self, raw: bytes, source: Address) -> None:
        self._received(raw, source[:2])

    def send(self, raw: bytes, to: Address | None = None) -> None:
        self._transport.sendto(raw, to or self.peer)

    async def close(self) -> None:
        self._transport.close()
        await asyncio.sleep(0)


class Tls(NamedTuple):
    """What a telephone shows and trusts: to who connects to it, and when it connects."""

    accepting: ssl.SSLContext
    connecting: ssl.SSLContext


class TcpWire:
    """A listening address of ours, and the one connection in use: ours to the peer, or the peer's."""

    def __init__(self, local: Address, peer: Address, received: Received, tls: Tls | None = None) -> None:
        self.local, self.peer, self._received = local, peer, received
        self._accepting, self._connecting = tls or (None, None)
        self.transport_name = "TLS" if tls else "TCP"
        self._writer: asyncio.StreamWriter | None = None  # the one in use
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0

    async def open(self) -> "TcpWire":
        self._server = await asyncio.start_server(
            self._serve, *self.local, reuse_address=True, ssl=self._accepting
        )
        return self

    async def connect(self) -> None:
        """Opens the connection from our address and an ephemeral port."""
        here = (self.local[0], 0)
        self._use(*await asyncio.open_connection(*self.peer, local_addr=here, ssl=self._connecting))

    def _use(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._writers.append(writer)
        self._tasks.add(asyncio.create_task(self._read(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._use(reader, writer)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        buffer, source = bytearray(), writer.get_extra_info("peername")[:2]
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(65536):
                buffer += chunk
                for raw in split_stream(buffer):
                    self._received(raw, source)
        writer.close()

    def send(self, raw: bytes, to: Address | None = None) -> None:
        assert self._writer, "no connection yet"
        self._writer.write(raw)

    @property
    def closed(self) -> bool:
        return self._writer is None or self._writer.is_closing()

    async def close(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
