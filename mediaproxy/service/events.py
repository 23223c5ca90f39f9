"""The event stream: what happens to calls and recordings, in one order, for whoever listens.

An event is kept as the values it was told with and becomes JSON when somebody first reads it. The history
is bounded by count and by weight; a reader has a position in it and nothing else, so a slow one costs
nothing and is told when what it wanted is gone.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mediaproxy.api.replies import json_bytes
from mediaproxy.api.shapes import call_json, recording_json
from mediaproxy.calllog.rows import LoggedCall
from mediaproxy.calls.events import CallRecord
from mediaproxy.clock import rfc3339
from mediaproxy.ids import CallId, RecordingId
from mediaproxy.service.media import EventValue

MAX_EVENTS: Final = 4_096
MAX_WEIGHT: Final = 65_536  # an event weighs one, and one more for every interval that it lists
MAX_ENDED: Final = 1_024  # calls that are remembered for what is still said of them


@dataclass(slots=True)
class Event:
    """One event. `call` says who may see it (None: admins alone)."""

    seq: int
    type: str
    time_ms: int
    call_id: CallId | None
    recording_id: RecordingId | None
    logged: LoggedCall | None
    fields: dict[str, EventValue] = field(default_factory=dict)
    run: str = ""
    _text: str | None = None

    @property
    def call(self) -> CallRecord | None:
        return None if self.logged is None else self.logged.call

    @property
    def weight(self) -> int:
        recording = None if self.logged is None else self.logged.recording
        return 1 if recording is None else 1 + len(recording.intervals)

    def text(self) -> str:
        """The body: JSON, `call` and `recording` as the API shows them."""
        if self._text is None:
            self._text = json_bytes(self._json()).decode()
        return self._text

    def _json(self) -> dict[str, object]:
        logged = self.logged
        recording = None if logged is None else logged.recording
        return {
            "id": event_id(self.run, self.seq),
            "seq": self.seq,
            "type": self.type,
            "time": rfc3339(self.time_ms),
            "call_id": self.call_id,
            "recording_id": self.recording_id,
            **self.fields,
            "call": None if logged is None else call_json(logged, now_ms=self.time_ms),
            "recording": None if recording is None else recording_json(recording),
        }


def event_id(run: str, seq: int) -> str:
    """What `?since=` takes: a run of the proxy, and a number within it."""
    return f"{run}-{seq}"


class EventStream:
    """Numbers events from 1 in each run of the proxy. Everything is called on one loop.

    `find` gives a call that lives, with its recording, as of now; `run` tells this run from others.
    """

    def __init__(
        self, *, run: str, now_ms: Callable[[], int], find: Callable[[CallId], LoggedCall | None]
    ) -> None:
        self._run = run
        self._now_ms = now_ms
        self._find = find
        self._history: deque[Event] = deque()
        self._weight = 0
        self._latest = 0
        self._ended: OrderedDict[CallId, LoggedCall] = OrderedDict()
        self._news = asyncio.Event()
        self._listener: Callable[[Event], None] = _nobody

    def listen(self, listener: Callable[[Event], None]) -> None:
        """From now on `listener` is told of every event at once; it never waits nor raises."""
        self._listener = listener

    @property
    def latest(self) -> int:
        """The number of the last event; 0 before the first."""
        return self._latest

    def publish(
        self,
        type: str,
        call: CallId | None,
        recording: RecordingId | None = None,
        *,
        logged: LoggedCall | None = None,
        **fields: EventValue,
    ) -> None:
        """Tell everyone. Cheap, never waits, never raises.

        `logged` is the call and its recording as they are now; without it a live call is looked up, and an
        ended one is as it was told of last. Of a call that is neither, say `logged`: else only admins see
        the event, and its objects are null. Never a digit, key or token in `fields`.
        """
        if call is not None:
            logged = self._known(call, logged)
        self._latest += 1
        event = Event(self._latest, type, self._now_ms(), call, recording, logged, fields, self._run)
        self._append(event)
        self._listener(event)
        news, self._news = self._news, asyncio.Event()
        news.set()

    def position(self, since: str | None) -> int | None:
        """The number of the event after `since`; of the next one when `since` is None.

        None: nobody can say what was missed, since it is of another run, unheard of, or too old.
        """
        if since is None:
            return self._latest + 1
        run, _, number = since.rpartition("-")
        if run != self._run or not (number.isascii() and number.isdigit() and len(number) < 16):
            return None
        following = int(number) + 1
        return following if self.oldest <= following <= self._latest + 1 else None

    @property
    def oldest(self) -> int:
        """The number of the oldest event that is still there, or of the next one."""
        return self._history[0].seq if self._history else self._latest + 1

    def read(self, seq: int, limit: int) -> list[Event] | None:
        """At most `limit` events from number `seq` on; None when that one is gone."""
        if seq < self.oldest:
            return None
        first = seq - self.oldest
        return [self._history[at] for at in range(first, min(first + limit, len(self._history)))]

    async def wait(self, seq: int) -> None:
        """Until event `seq` has happened."""
        while self._latest < seq:
            await self._news.wait()

    def missed(self) -> str:
        """The first message to a reader who has missed events; what is still there follows."""
        gap = Event(self.oldest - 1, "events.missed", self._now_ms(), None, None, None, {}, self._run)
        return gap.text()

    def _known(self, call: CallId, logged: LoggedCall | None) -> LoggedCall | None:
        logged = logged or self._find(call) or self._ended.get(call)
        self._ended.pop(call, None)
        if logged is not None and logged.call.state == "ended":
            self._ended[call] = logged
            if len(self._ended) > MAX_ENDED:
                self._ended.popitem(last=False)
        return logged

    def _append(self, event: Event) -> None:
        self._history.append(event)
        self._weight += event.weight
        while len(self._history) > MAX_EVENTS or (self._weight > MAX_WEIGHT and len(self._history) > 1):
            self._weight -= self._history.popleft().weight


def _nobody(_: Event) -> None:
    """Nobody listens."""
