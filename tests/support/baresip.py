"""baresip as carrier or agent: its control socket, what it says and what it heard.

baresip 1.0.0 binds its RTP to 0.0.0.0, so its RTP comes from 127.0.0.1 whatever its SDP says: the
proxy must latch ("always") for it, and every instance needs a port range of its own. It listens for TLS
one port above the one for UDP.
"""

import asyncio
import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

from mediaproxy.transport.certificates import TlsFiles
from tests.support.rtp_oracle import Pcm
from tests.support.sip_wire import Address
from tests.support.speech import read_mono, write_mono

CONTROL_PORT = 4444
START_S = 5.0
MODULES = "/usr/lib/baresip/modules"

CONFIG = """\
poll_method epoll
sip_listen {host}:{port}
call_local_timeout 120
call_max_calls 4
audio_player aubridge,sink
audio_source aufile,{folder}/says.wav
audio_alert aubridge,nil
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
audio_buffer 20-160
rtp_ports {rtp_first}-{rtp_last}
rtp_bandwidth 512-1024
rtcp_mux no
jitter_buffer_delay 2-10
net_interface {host}
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
snd_path {folder}/dump
ctrl_tcp_listen {host}:{control}
"""
SECURE = "sip_certificate {folder}/own.pem\nsip_cafile {ca}\n"
ACCOUNT = "<sip:{user}@{at};transport={transport}>;{auth}answermode=auto;audio_codecs=pcmu/8000/1\n"


class Baresip:
    """One process, which answers every call by itself and says `says` from the start of each call."""

    def __init__(
        self, folder: Path, user: str, address: Address, says: Pcm, rtp_first: int,
        tls: TlsFiles | None = None, *,
        registrar: Address | None = None, password: str = "", transport: str = "udp",
    ) -> None:  # fmt: skip
        """With a registrar it registers there at once, and unregisters when it is stopped."""
        self._tls = tls
        host, port = registrar or address
        auth = f"auth_pass={password};regint=60;" if registrar else "regint=0;"
        transport = transport if tls is None else "tls"
        self._account = ACCOUNT.format(user=user, at=f"{host}:{port}", auth=auth, transport=transport)
        self.folder, self.user, self.address, self.rtp_first = folder, user, address, rtp_first
        self.process: asyncio.subprocess.Process | None = None
        self.events: list[dict[str, Any]] = []
        self._replies: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._news = asyncio.Event()
        self._says = says

    async def start(self) -> "Baresip":
        host, port = self.address
        (self.folder / "dump").mkdir(parents=True)
        write_mono(self.folder / "says.wav", self._says)
        names = {
            "host": host, "port": port, "user": self.user, "folder": self.folder, "modules": MODULES,
            "control": CONTROL_PORT, "rtp_first": self.rtp_first, "rtp_last": self.rtp_first + 20,
        }  # fmt: skip
        config = CONFIG
        if self._tls is not None:
            config += SECURE
            names["ca"] = self._tls.ca
            own = self._tls.certificate.read_bytes() + self._tls.key.read_bytes()
            (self.folder / "own.pem").write_bytes(own)
        (self.folder / "config").write_text(config.format(**names))
        (self.folder / "accounts").write_text(self._account)
        (self.folder / "contacts").write_text("")
        with (self.folder / "log").open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                "timeout", "60", "baresip", "-f", str(self.folder),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip
        await self._connect()
        self._reading = asyncio.create_task(self._read())
        return self

    async def _connect(self) -> None:
        deadline = asyncio.get_running_loop().time() + START_S
        while True:
            with contextlib.suppress(ConnectionError):
                self._reader, self._writer = await asyncio.open_connection(self.address[0], CONTROL_PORT)
                return
            assert asyncio.get_running_loop().time() < deadline, self.log
            await asyncio.sleep(0.05)

    async def _read(self) -> None:
        """Netstrings of JSON: `<length>:<json>,`."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int((await self._reader.readuntil(b":"))[:-1])
                message = json.loads((await self._reader.readexactly(length + 1))[:-1])
                if message.get("response"):
                    self._replies.put_nowait(message)
                else:
                    self.events.append(message)
                    self._news.set()

    async def command(self, command: str, params: str = "") -> str:
        raw = json.dumps({"command": command, "params": params, "token": command}).encode()
        self._writer.write(b"%d:%s," % (len(raw), raw))
        reply = await asyncio.wait_for(self._replies.get(), 5)
        assert reply["ok"], f"{command} {params}: {reply}"
        return str(reply["data"])

    async def event(self, kind: str, timeout: float = 8.0) -> dict[str, Any]:
        """The first event of a kind that was not waited for yet."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            for event in self.events:
                if event.get("type") == kind:
                    self.events.remove(event)
                    return event
            left = deadline - asyncio.get_running_loop().time()
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except TimeoutError:
                seen = [e.get("type") for e in self.events]
                raise AssertionError(f"{self.user}: no {kind}, but {seen}\n{self.log}") from None

    async def dial_digits(self, digits: str, between_s: float = 0.25) -> None:
        for digit in digits:
            await self.command("sndcode", digit)
            await asyncio.sleep(between_s)

    def heard(self) -> Pcm:
        """What came out of this telephone's earpiece in its last call."""
        return read_mono(max(self.folder.glob("dump/*-dec.wav")))

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    async def stop(self) -> None:
        if self.process is None:
            return
        with contextlib.suppress(Exception):
            await self.command("quit")
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        await self.process.wait()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def __aenter__(self) -> "Baresip":
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def installed() -> bool:
    return shutil.which("baresip") is not None
