"""A media worker: `python -m mediaproxy.service.worker FD PARENT`, one `MediaLoop` in a process of its own.

It is told by messages over the socket that it inherited as FD, and ends with it, or with PARENT. What the
operator sends to all processes (a terminal's or a service manager's signals) it leaves to its parent.
"""

import asyncio
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import structlog
import uvloop

from mediaproxy.calllog.rows import LoggedCall
from mediaproxy.calls.plane import PlaneOperation
from mediaproxy.clock import NS_PER_MS
from mediaproxy.errors import Unavailable
from mediaproxy.ids import CallId, RecordingId
from mediaproxy.observe import configure_logging, die_with_parent, harden_process
from mediaproxy.service import messages
from mediaproxy.service.link import Link
from mediaproxy.service.media import EventValue, Outward
from mediaproxy.service.media_loop import MediaLoop
from mediaproxy.service.messages import Demand, Redact, SettleOpening, Toggle
from mediaproxy.service.pulse import pulse
from mediaproxy.service.sounds import Sounds
from mediaproxy.service.tasks import Tasks
from mediaproxy.storage import Storage

ALIVE_NS: Final = 250 * NS_PER_MS
ORPHANED: Final = 1

log = structlog.get_logger()

Send = Callable[[object], None]


class Worker:
    """Does what its parent asks of the media loop, each in its turn, and says what the loop has to say."""

    def __init__(self) -> None:
        self.begun, self.ending = asyncio.Event(), asyncio.Event()
        self.link = Link(self.receive, orphaned)
        self._send: Send = self.link.send
        self._media: MediaLoop | None = None
        self._storage: Storage | None = None
        self._inbox: deque[Any] = deque()
        self._resumes = False  # with the next turn of the loop
        self._certain: dict[int, asyncio.Future[bool]] = {}
        self._tasks = Tasks("demand_failed")
        self._said: str | None = None
        self._alive_ns = 0

    def __len__(self) -> int:
        return 0 if self._media is None else len(self._media)

    def receive(self, message: Any) -> None:
        self._inbox.append(message)
        if not self._resumes:
            self._go_on()

    def tick(self, now_ns: int) -> None:
        if self._media is None:
            return
        self._media.tick(now_ns)
        failing = self._media.failing
        if failing != self._said or now_ns >= self._alive_ns:
            self._said, self._alive_ns = failing, now_ns + ALIVE_NS
            troubles = {} if failing is None else self._media.recordings.troubles()
            self._send(messages.Alive(failing, self._media.stats(), troubles))

    async def close(self) -> None:
        await self._tasks.wait()
        if self._media is not None:
            await self._media.close()
        if self._storage is not None:
            self._storage.close()

    def _go_on(self) -> None:
        """A demand takes effect before what comes after it is looked at, as it would if it was called."""
        self._resumes = False
        while self._inbox:
            message = self._inbox.popleft()
            if isinstance(message, Demand):
                self._tasks.start(self._answered(message))
                self._resumes = True
                asyncio.get_running_loop().call_soon(self._go_on)
                return
            self._perform(message)

    def _perform(self, message: Any) -> None:
        match message:
            case messages.Begin():
                return self._begin(message)
            case messages.Close():
                self.begun.set()
                return self.ending.set()
            case messages.Certain(ticket, certain):
                waiting = self._certain.get(ticket)
                if waiting is not None and not waiting.done():
                    waiting.set_result(certain)
                return None
        if self._media is not None:
            self._pass_on(self._media, message)
        return None

    def _begin(self, begin: messages.Begin) -> None:
        self.begun.set()
        try:
            self._storage = Storage.join(begin.directory, begin.number)
        except Unavailable as error:
            log.error("media_worker_failed", worker=begin.number, why=str(error))
            return self.ending.set()
        self._media = MediaLoop(begin.settings, self._storage, Sounds({}), outward(self._send))
        return None

    def _pass_on(self, media: MediaLoop, message: Any) -> None:
        recordings = media.recordings
        match message:
            case messages.Arm(answered, recording):
                recordings.arm(answered, recording)
            case messages.Hold(call, held):
                recordings.hold(call, held=held)
            case messages.Follow(updated):
                recordings.follow(updated)
            case messages.End(call, ended_ns):
                recordings.ended(call, ended_ns=ended_ns, told=lambda: self._send(messages.EndTold(call.id)))
            case messages.AddSound(name, sound):
                media.add_sounds({name: sound})
            case _:
                operation: PlaneOperation = message
                media.perform(operation)

    async def _answered(self, demand: Demand) -> None:
        try:
            reply = messages.Reply(demand.ticket, await self._done(demand))
        except OSError as error:
            reply = messages.Reply(demand.ticket, error=error)
        except Exception:  # the supervisor of one demand; whoever waits is answered
            self._send(messages.Reply(demand.ticket, failed=True))
            raise
        self._send(reply)

    async def _done(self, demand: Demand) -> messages.Answer:
        assert self._media is not None
        recordings = self._media.recordings
        match demand:
            case Toggle():
                return await self._toggled(demand)
            case Redact(_, call, span, by, reason):
                return await recordings.redact(call, span, by, reason)
            case SettleOpening(_, call):
                await recordings.opening_settled(call)
                return None

    async def _toggled(self, demand: Toggle) -> messages.Answer:
        assert self._media is not None
        toggle = self._media.recordings.toggle
        if not demand.waits:
            return await toggle(demand.call, demand.action, demand.by, at_ns=demand.at_ns)
        certain = self._certain[demand.ticket] = asyncio.get_running_loop().create_future()
        try:
            return await toggle(demand.call, demand.action, demand.by, at_ns=demand.at_ns, certain=certain)
        finally:
            del self._certain[demand.ticket]


class _Told:
    """Events and counts, by message."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def publish(
        self,
        type: str,
        call: CallId | None,
        recording: RecordingId | None = None,
        *,
        logged: LoggedCall | None = None,
        **fields: EventValue,
    ) -> None:
        self._send(messages.Published(type, call, recording, logged, fields))

    def alarm(self, event: str) -> None:
        self._send(messages.Alarmed(event))

    def recording_finished(self, result: str) -> None:
        self._send(messages.Finished(result))


def outward(send: Send) -> Outward:
    """What a media loop has to say, as messages."""
    told = _Told(send)
    return Outward(
        on_plane_event=send,
        put_row=lambda row: send(messages.RowPut(row)),
        indicate=lambda call, word: send(messages.Indicated(call, word)),
        events=told,
        counts=told,
        show=lambda call, row, is_open: send(messages.Shown(call, row, is_open)),
    )


async def joined(inherited: socket.socket, link: Link) -> None:
    """The worker's end of the link, on the socket that it inherited."""
    await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=inherited)


def withdraw(parent: int) -> None:
    """What every worker does first: be as discreet as its parent, and never outlive it."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    configure_logging()
    die_with_parent(parent)
    for failed in harden_process():
        log.warning("not_hardened", what=failed)


def orphaned() -> None:
    """Nobody is left to work for; the next start takes care of what lies here."""
    os._exit(ORPHANED)


async def _serve(inherited: socket.socket) -> None:
    worker = Worker()
    async with pulse(worker.tick, live=worker.__len__, beat=lambda: None) as collector:
        await joined(inherited, worker.link)
        await worker.begun.wait()
        collector.settle()
        worker.link.send(messages.Ready())
        await worker.ending.wait()
        await worker.close()


def main(fd: int, parent: int) -> None:
    withdraw(parent)
    uvloop.run(_serve(socket.socket(fileno=fd)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
