"""A proxy that runs already: where it is, what of it can be seen, and its recordings."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mediaproxy.loadtest import cpu
from mediaproxy.loadtest.api import Api
from mediaproxy.loadtest.log import Row, is_published, published
from mediaproxy.loadtest.plan import Broken
from mediaproxy.loadtest.subject import NUMBER, Addresses, Subject
from mediaproxy.net import Endpoint

CARRIER, AGENT = Endpoint("127.0.0.2", 15070), Endpoint("127.0.0.3", 15080)
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What a user tells of a running proxy. `storage` and `pid` are known on the same machine only."""

    sip: Endpoint
    api: str  # its URL
    token: str
    carrier: Endpoint = CARRIER  # where our parties listen, as the proxy's configuration has it
    agent: Endpoint = AGENT
    number: str = NUMBER
    storage: Path | None = None
    pid: int | None = None


class Target:
    """The same as `Subject`, but started and stopped by somebody else."""

    def __init__(self, at: Whereabouts, directory: Path) -> None:
        self.at = at
        self.addresses = Addresses(at.sip, at.carrier, at.agent, at.number)
        self.api = Api(at.api, at.token)
        self.recordings = at.storage
        self.pid = at.pid
        self._downloads = directory / "recordings"

    async def start(self) -> None:
        """It runs already; but what was said of it may be wrong."""
        if self.pid is not None and not cpu.exists(self.pid):
            raise Broken(f"there is no process {self.pid}: correct --pid")
        if self.recordings is not None and not (self.recordings / "keys").is_dir():
            raise Broken(f"{self.recordings} is no storage of a mediaproxy: correct --storage")

    def check_alive(self) -> None:
        if self.pid is not None and not cpu.exists(self.pid):
            raise Broken("the proxy's process ended")

    def stop(self) -> None:
        """Not ours to stop."""

    @property
    def unmeasured(self) -> list[str]:
        """What cannot be said of it, and what would help."""
        found = []
        if self.pid is None:
            found.append("CPU, memory, files and threads of the proxy: on its machine, give --pid")
        if self.recordings is None:
            found.append("whether the recordings' chain holds: on the proxy's machine, give --storage")
        return found

    async def files(self, rows: Mapping[str, Row]) -> dict[str, Path]:
        """The recordings of these calls, by caller; downloaded, where the storage is not at hand."""
        if self.recordings is not None:
            return published(self.recordings, rows)
        await self._download_keys()
        gate = asyncio.Semaphore(_AT_ONCE)
        wanted = {caller: row["recording"] for caller, row in rows.items() if is_published(row)}
        found = await asyncio.gather(*(self._download(gate, each["id"]) for each in wanted.values()))
        return {caller: path for caller, path in zip(wanted, found, strict=True) if path is not None}

    async def discard(self, row: Row, file: Path | None) -> None:
        """What was checked is not needed any more; of somebody else's storage nothing is touched."""
        if self.recordings is None and file is not None:
            for path in (file, file.with_suffix(".json")):
                await asyncio.to_thread(path.unlink)

    async def _download(self, gate: asyncio.Semaphore, recording: str) -> Path | None:
        """Audio and manifest, side by side as in a storage."""
        path = self._downloads / f"{recording}.wav"
        async with gate:
            try:
                path.write_bytes(await self.api.download(f"/v1/recordings/{recording}/audio"))
                manifest = await self.api.download(f"/v1/recordings/{recording}/manifest")
            except OSError:
                return None  # it is missing, then
        path.with_suffix(".json").write_bytes(manifest)
        return path

    async def _download_keys(self) -> None:
        folder = self._downloads / "keys"
        folder.mkdir(parents=True, exist_ok=True)
        for key in (await self.api.get("/v1/keys"))["keys"]:
            (folder / f"{key['key_id']}.pub").write_text(key["pem"])


Proxy = Subject | Target
