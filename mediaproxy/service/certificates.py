"""Keeps the certificates of SIP over TLS as new as their files, while calls and connections live on."""

import asyncio
from collections.abc import Callable, Mapping

from mediaproxy.config import Config
from mediaproxy.errors import Unavailable
from mediaproxy.transport.certificates import Contexts, TlsFiles, contexts

LOOK_S = 30.0

OnAlarm = Callable[[str, Mapping[str, object]], None]


class Certificates:
    """Looks now and then whether a file has changed. A change that is broken leaves the old ones in use, and
    is said once."""

    def __init__(self, config: Config, renew: Callable[[Contexts], None], on_alarm: OnAlarm) -> None:
        self._config = config
        self._renew = renew
        self._on_alarm = on_alarm
        self._seen: object = None
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises `Unavailable` when they cannot be used."""
        await self.reload(self._config)
        if _files(self._config) is not None:
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def reload(self, config: Config) -> None:
        """Read them again. Raises `Unavailable`, and nothing has changed."""
        files = _files(config)
        if files is not None:
            self._seen = await asyncio.to_thread(files.version)
            asked = any(trunk.client_certificate for trunk in config.trunks)
            self._renew(await asyncio.to_thread(contexts, files, ask_clients=asked))
        self._config = config

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            files = _files(self._config)
            if files is None or await asyncio.to_thread(files.version) == self._seen:
                continue
            try:
                await self.reload(self._config)
            except Unavailable as error:
                self._on_alarm("certificates_not_reloaded", {"why": str(error)})


def _files(config: Config) -> TlsFiles | None:
    return config.sip.tls.files if config.sip.has_tls else None
