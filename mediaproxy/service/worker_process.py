"""One media worker, seen from the proxy that started it: the process, the link to it, its pulse."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

from mediaproxy.clock import NS_PER_S
from mediaproxy.ids import CallId
from mediaproxy.service.link import Link

MODULE: Final = "mediaproxy.service.worker"
LOOK_NS: Final = NS_PER_S
SILENT_LOOKS: Final = 4  # so often nothing was heard of it: it hangs
STARTING_LOOKS: Final = 30  # a busy machine takes a while to start Python


class WorkerProcess:
    """`on_message` and `on_lost` get this object too. It is killed, if it is not dead, when it is lost."""

    def __init__(
        self,
        on_message: Callable[["WorkerProcess", Any], None],
        on_lost: Callable[["WorkerProcess"], None],
        module: str = MODULE,
    ) -> None:
        self.calls: set[CallId] = set()
        self.alive = True
        self.ready = False
        self.hung = False
        self._on_lost = on_lost
        self._module = module
        self._link = Link(lambda message: on_message(self, message), self._lost)
        self._process: subprocess.Popen[bytes] | None = None
        self._heard = 0
        self._silent_looks = 0
        self._look_ns = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Not by the event loop: uvloop forks, `subprocess` does not (see `storage.encoders`). On the main
        thread: Linux takes the end of the thread that started a process for its parent's end. `-P`: the
        folder we were started in holds no modules of ours. Raises `OSError`."""
        ours, theirs = socket.socketpair()
        try:
            command = (sys.executable, "-P", "-m", self._module, str(theirs.fileno()), str(os.getpid()))
            self._process = subprocess.Popen(  # noqa: S603, ASYNC220 - our own words, no shell; a vfork
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        await asyncio.get_running_loop().create_unix_connection(lambda: self._link, sock=ours)

    @property
    def responsive(self) -> bool:
        """It was heard of lately."""
        return self.ready and not self._silent_looks

    def send(self, message: object) -> None:
        if self.alive:
            self._link.send(message)

    def look(self, now_ns: int) -> None:
        """Kill it when nothing has been heard of it for some looks. If it was we who stood still, what it
        said meanwhile is heard before the next look."""
        if not self.alive or now_ns < self._look_ns:
            return
        self._look_ns = now_ns + LOOK_NS
        silent = self._link.received == self._heard
        self._heard = self._link.received
        self._silent_looks = self._silent_looks + 1 if silent else 0
        if self._silent_looks >= (SILENT_LOOKS if self.ready else STARTING_LOOKS):
            self.hung = True
            self.kill()

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()

    def is_gone(self) -> bool:
        """Whether nothing of it is left, neither a thread nor a write to the disk that is under way."""
        return self._process is None or self._process.poll() is not None

    def _lost(self) -> None:
        if self.alive:
            self.alive = self.ready = False
            self.kill()
            self._on_lost(self)


def _environment() -> dict[str, str]:
    """Ours, less the configuration: what a worker needs of it, it is told."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MEDIAPROXY_")}
