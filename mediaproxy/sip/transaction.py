"""One transaction: a row of `machines` at a time, its actions carried out."""

from dataclasses import dataclass, field

from mediaproxy.clock import NS_PER_S
from mediaproxy.sip.agenda import Agenda
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.machines import (
    DELAYS,
    INTERVALS,
    T1,
    Action,
    Input,
    State,
    Table,
)
from mediaproxy.sip.messages import Request
from mediaproxy.sip.outputs import (
    Output,
    TransactionId,
)

Key = tuple[object, ...]


@dataclass(slots=True)
class Counters:
    """Plain counts for monitoring; none is derived from another."""

    requests: int = 0  # that opened a transaction
    responses: int = 0  # that matched one
    repeated_requests: int = 0  # received again
    repeats: int = 0  # that we sent again
    strays: int = 0  # responses, ACKs and late answers that match nothing any more
    merged: int = 0  # answered 482 (8.2.2.2)
    timeouts: int = 0  # requests of ours that nobody answered
    unacknowledged: int = 0  # final responses of ours whose ACK never came
    unanswered: int = 0  # requests that we ourselves left without an answer
    transport_errors: int = 0
    refused: int = 0  # answered 503 for lack of room


@dataclass(slots=True)
class Shared:
    """What all transactions of a layer write to."""

    agenda: Agenda = field(default_factory=Agenda)
    outputs: list[Output] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)


class Transaction:
    """Steps through its table. `key` is what messages are matched by."""

    __slots__ = (
        "_data",
        "_interval",
        "_shared",
        "_table",
        "deadlines",
        "flow",
        "id",
        "key",
        "request",
        "state",
    )

    def __init__(
        self, ident: TransactionId, key: Key, request: Request, flow: Flow, table: Table, shared: Shared
    ) -> None:
        self.id = ident
        self.key = key
        self.request = request
        self.flow = flow
        self.state = State.INITIAL
        self.deadlines: dict[Input, float] = {}
        self._table = table
        self._shared = shared
        self._data = b""  # what is repeated
        self._interval = T1  # every repetition begins with it

    def step(self, kind: Input, now_ns: int) -> None:
        row = self._table.get((self.state, kind))
        if row is None:
            return
        self.state, actions = row
        for action in actions:
            if action in DELAYS:
                self._start(action, now_ns)
            elif action in INTERVALS:
                self._start_again(action, now_ns)
            else:
                self._perform(action, now_ns)

    def _perform(self, action: Action, now_ns: int) -> None:
        raise NotImplementedError

    def _transmit(self) -> None:
        raise NotImplementedError

    def _start(self, action: Action, now_ns: int) -> None:
        timer, unreliable, reliable = DELAYS[action]
        delay = reliable if self.flow.reliable else unreliable
        if delay == 0.0:
            self.step(timer, now_ns)
        elif delay is not None:
            self._shared.agenda.start(self, timer, now_ns / NS_PER_S + delay)

    def _start_again(self, action: Action, now_ns: int) -> None:
        timer, most, least = INTERVALS[action]
        self._interval = max(min(self._interval * 2, most), least)
        self._shared.agenda.start(self, timer, now_ns / NS_PER_S + self._interval)

    def _repeat(self) -> None:
        if self._data:
            self._shared.counters.repeats += 1
            self._transmit()
