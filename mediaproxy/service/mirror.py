"""The live recordings of media workers, as the proxy knows them without asking: each worker tells every
change, and what only grows is read off the monotonic clock, which all processes of a machine share."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from mediaproxy.calllog.rows import LoggedCall, RecordingRow
from mediaproxy.calls.events import CallAnswered, CallRecord, CallUpdated
from mediaproxy.errors import Misuse
from mediaproxy.ids import CallId, RecordingId
from mediaproxy.recording.clock import CallClock
from mediaproxy.recording.manifest import Actor, Redaction
from mediaproxy.recording.states import Action, Refusal
from mediaproxy.service import messages, rows
from mediaproxy.service.media import Settled
from mediaproxy.service.standstill import failing

CALL_END = Actor("call_end")


class Post(Protocol):
    """The way to one worker. What is sent to one that is gone is lost."""

    @property
    def alive(self) -> bool: ...

    def send(self, message: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Lost:
    """A recording whose worker is gone: its call has ended, its file lies in the spool as it was."""

    recording: RecordingId
    logged: LoggedCall


@dataclass(slots=True)
class _Mirrored:
    post: Post
    recording: RecordingId
    call: CallRecord
    answered: CallAnswered
    row: RecordingRow | None = None  # until the worker told
    is_open: bool = False
    trouble: str | None = None  # why its audio cannot reach the disk
    ended_ns: int | None = None
    told: Callable[[], None] | None = None

    def as_of(self, now_ns: int) -> RecordingRow | None:
        if self.row is None:
            return None
        return failing(rows.as_of(self.row, max(self.position(now_ns), 0)), self.trouble)

    def position(self, now_ns: int) -> int:
        assert self.row is not None
        at_ns = now_ns if self.ended_ns is None else self.ended_ns
        return CallClock(self.answered.answered_ns, self.row.sample_rate).position(at_ns)

    def tell(self) -> None:
        if self.told is not None:
            told, self.told = self.told, None
            told()


class MirroredRecordings:
    """Implements `service.media.Recordings`. `post_of` is the worker that has a call's media."""

    def __init__(self, post_of: Callable[[CallId], Post | None]) -> None:
        self._post_of = post_of
        self._mirrored: dict[CallId, _Mirrored] = {}
        self._asked: dict[int, tuple[Post, asyncio.Future[messages.Reply | None]]] = {}
        self._tickets = count(1)

    # -- what workers tell

    def receive(self, message: Any) -> None:
        match message:
            case messages.Shown(call, row, is_open):
                if mirrored := self._mirrored.get(call):
                    mirrored.row, mirrored.is_open = row, is_open
            case messages.EndTold(call):
                if mirrored := self._mirrored.get(call):
                    mirrored.tell()
            case messages.RowPut(row):
                if row.result is not None:
                    self._mirrored.pop(row.call, None)
            case messages.Reply(ticket):
                asked = self._asked.pop(ticket, None)
                if asked is not None and not asked[1].done():
                    asked[1].set_result(message)

    def troubled(self, post: Post, troubles: Mapping[RecordingId, str]) -> None:
        """Which of a worker's recordings cannot reach the disk, and why; the others can."""
        for each in self._mirrored.values():
            if each.post is post:
                each.trouble = troubles.get(each.recording)

    def lose(self, post: Post) -> list[Lost]:
        """This worker is gone, and its calls have ended: nobody waits for it any more."""
        for ticket in [each for each, (asked, _) in self._asked.items() if asked is post]:
            _, reply = self._asked.pop(ticket)
            if not reply.done():
                reply.set_result(None)
        gone = [each for each in self._mirrored.values() if each.post is post]
        for each in gone:
            each.tell()
            del self._mirrored[each.call.id]
        return [Lost(each.recording, LoggedCall(each.call, each.row)) for each in gone]

    # -- calls

    def arm(self, answered: CallAnswered, recording: RecordingId) -> None:
        post = self._post_of(answered.call.id)
        if post is not None:
            self._mirrored[answered.call.id] = _Mirrored(post, recording, answered.call, answered)
            post.send(messages.Arm(answered, recording))

    def hold(self, call: CallId, *, held: bool) -> None:
        if mirrored := self._mirrored.get(call):
            mirrored.post.send(messages.Hold(call, held))

    def follow(self, updated: CallUpdated) -> None:
        if mirrored := self._mirrored.get(updated.call.id):
            mirrored.call = updated.call
            mirrored.post.send(messages.Follow(updated))

    def ended(self, call: CallRecord, *, ended_ns: int, told: Callable[[], None]) -> None:
        mirrored = self._mirrored.get(call.id)
        if mirrored is None:
            return told()
        mirrored.call, mirrored.ended_ns, mirrored.told, mirrored.is_open = call, ended_ns, told, False
        if mirrored.row is not None:
            mirrored.row = rows.cut(mirrored.row, max(mirrored.position(ended_ns), 0), CALL_END)
        mirrored.post.send(messages.End(call, ended_ns))
        if not mirrored.post.alive:
            mirrored.tell()
        return None

    # -- how they stand

    def armed(self, call: CallId) -> bool:
        return call in self._mirrored

    def is_open(self, call: CallId) -> bool:
        mirrored = self._mirrored.get(call)
        return mirrored is not None and mirrored.is_open

    def closed_by_carriers(self, call: CallId) -> bool:
        mirrored = self._mirrored.get(call)
        return mirrored is not None and mirrored.answered.policy.carrier_closes

    def row(self, call: CallId, *, now_ns: int) -> RecordingRow | None:
        mirrored = self._mirrored.get(call)
        return None if mirrored is None else mirrored.as_of(now_ns)

    # -- commands

    async def toggle(
        self,
        call: CallId,
        action: Action,
        by: Actor,
        *,
        at_ns: int,
        certain: asyncio.Future[bool] | None = None,
    ) -> Settled | Refusal:
        mirrored = self._mirrored.get(call)
        if mirrored is None or mirrored.ended_ns is not None:
            return Refusal.ENDED
        post, ticket = mirrored.post, next(self._tickets)
        demand = messages.Toggle(ticket, call, action, by, at_ns, waits=certain is not None)
        asked = self._ask(post, demand)
        if certain is not None:
            certain.add_done_callback(
                lambda done: post.send(messages.Certain(ticket, not done.cancelled() and done.result()))
            )
        answer = _answer(await asked)
        assert answer is None or isinstance(answer, Settled | Refusal)
        return Refusal.ENDED if answer is None else answer

    async def redact(self, call: CallId, span: tuple[int, int], by: Actor, reason: str) -> Redaction | None:
        mirrored = self._mirrored.get(call)
        if mirrored is None or mirrored.ended_ns is not None:
            return None
        demand = messages.Redact(next(self._tickets), call, span, by, reason)
        answer = _answer(await self._ask(mirrored.post, demand))
        assert answer is None or isinstance(answer, Redaction)
        return answer

    async def opening_settled(self, call: CallId) -> None:
        if mirrored := self._mirrored.get(call):
            await self._ask(mirrored.post, messages.SettleOpening(next(self._tickets), call))

    def _ask(self, post: Post, demand: messages.Demand) -> asyncio.Future[messages.Reply | None]:
        """Sent at once; None when the worker is gone before it answers."""
        reply: asyncio.Future[messages.Reply | None] = asyncio.get_running_loop().create_future()
        if post.alive:
            self._asked[demand.ticket] = post, reply
            post.send(demand)
        else:
            reply.set_result(None)
        return reply


def _answer(reply: messages.Reply | None) -> messages.Answer:
    if reply is None:
        return None
    if reply.error is not None:
        raise reply.error
    if reply.failed:
        raise Misuse("a media worker could not do what it was asked; its log lines say why")
    return reply.value
