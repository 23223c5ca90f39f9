"""A media worker with a plane alone, for the suite that every plane passes.

The process, the link and the messages are the product's; what a recorder would take from the ring is left
there for the test, which asks for it with `Inspect` and waits for the answer.
"""

import asyncio
import itertools
import os
import pickle
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import uvloop

from mediaproxy.media.plane import PlaneSettings
from mediaproxy.media.userspace import UserspacePlane
from mediaproxy.recording.ring import PacketRing
from mediaproxy.service import messages
from mediaproxy.service.link import Link
from mediaproxy.storage import SpoolStats

MODULE = "tests.support.plane_worker"
PATIENCE_S = 5.0
ALIVE_S = 0.5

_serial = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Inspect:
    """Call what the worker has under this name; the pickled result goes to that socket."""

    name: str
    arguments: tuple[Any, ...]
    address: str


class PlaneWorker:
    """In the worker: everything that may be inspected is an attribute."""

    def __init__(self) -> None:
        self.ending = asyncio.Event()
        self.pressure = 0
        self.stand_still_s = 0.0
        self.link = Link(self.receive, lambda: os._exit(1))

    def receive(self, message: Any) -> None:
        match message:
            case messages.Begin():
                self.begin(message.settings.plane, message.settings.max_backlog_bytes)
                self.link.send(messages.Ready())
            case messages.Close():
                self.plane.close()
                self.ending.set()
            case messages.AddSound():
                pass
            case Inspect(name, arguments, address):
                found = attrgetter(name)(self)
                answer(address, found(*arguments) if callable(found) else found)
                time.sleep(self.stand_still_s)
                self.stand_still_s = 0.0
            case _:
                self.plane.perform(message)

    def begin(self, settings: PlaneSettings, slots: int) -> None:
        self.ring = PacketRing(slots)
        self.plane = UserspacePlane(
            settings, on_event=self.link.send, ring=self.ring, on_pressure=self.on_pressure
        )

    def on_pressure(self) -> None:
        self.pressure += 1
        self.ring.take()
        self.ring.free()

    def descriptors(self) -> int:
        return len(os.listdir("/proc/self/fd"))

    def stand_still(self, seconds: float) -> None:
        self.stand_still_s = seconds

    def nothing(self) -> None:
        """Whoever asks knows that all before was done."""


def answer(address: str, value: Any) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        asker.connect(address)
        asker.sendall(pickle.dumps(value))


class Inspector:
    """In the test: asks without letting its own loop run."""

    def __init__(self, send: Any) -> None:
        self._send = send

    def ask(self, name: str, *arguments: Any) -> Any:
        address = f"\0mediaproxy-plane-{os.getpid()}-{next(_serial)}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(address)
            listening.listen()
            listening.settimeout(PATIENCE_S)
            self._send(Inspect(name, arguments, address))
            told, _ = listening.accept()
            with told, told.makefile("rb") as file:
                return pickle.loads(file.read())


class InspectedRing:
    """The ring of a worker, as far as its consumer uses one."""

    def __init__(self, inspector: Inspector) -> None:
        self._ask = inspector.ask

    @property
    def drain_mark_ns(self) -> int:
        return int(self._ask("ring.drain_mark_ns"))

    def take(self) -> Any:
        return self._ask("ring.take")

    def free(self) -> None:
        self._ask("ring.free")

    def earliest_ns(self, pass_numbers: Any) -> Any:
        return self._ask("ring.earliest_ns", pass_numbers)

    def take_dropped(self) -> Any:
        return self._ask("ring.take_dropped")


async def _serve(inherited: socket.socket) -> None:
    worker = PlaneWorker()
    await asyncio.get_running_loop().create_unix_connection(lambda: worker.link, sock=inherited)
    while not worker.ending.is_set():
        worker.link.send(messages.Alive(None, SpoolStats.of_all(())))
        with suppress(TimeoutError):
            await asyncio.wait_for(worker.ending.wait(), ALIVE_S)


def main() -> None:
    uvloop.run(_serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    from tests.support import plane_worker  # whose classes the messages name

    plane_worker.main()
