"""What the calls of one proxy share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mediaproxy.calls.events import AgentEvent, CallBroken, CallEvent, RecordRequested, TrunkEvent
from mediaproxy.calls.forks import Forks
from mediaproxy.calls.model import Target
from mediaproxy.calls.plane import LegId, PlaneOperation
from mediaproxy.calls.schedule import Schedule
from mediaproxy.calls.trunk_account import TrunkAccount
from mediaproxy.clock import NS_PER_S
from mediaproxy.ids import CallId
from mediaproxy.sip.outputs import Event, TransactionId, Transmit
from mediaproxy.sip.transactions import TransactionLayer

Output = Transmit | PlaneOperation | CallEvent | RecordRequested | CallBroken | AgentEvent | TrunkEvent


@dataclass(slots=True)
class Counters:
    """Plain counts for monitoring; none is derived from another."""

    calls: int = 0  # accepted for routing
    live: int = 0  # of these, not ended
    unknown_sources: int = 0  # requests answered 403, or dropped
    scanners: int = 0  # requests dropped, for what sent them calls itself one
    too_many_requests: int = 0  # answered 503: more than one source may send
    no_room: int = 0  # answered 503: more than we can have under way
    refused_requests: int = 0  # requests of no call, answered 4xx or 5xx
    malformed: int = 0  # whose headers or body could not be read
    broken: int = 0  # calls that an error of ours ended
    challenged: int = 0  # requests answered 401 or 407
    wrong_passwords: int = 0
    replayed: int = 0  # credentials that were used before
    emergencies: int = 0  # calls for help
    suspects_refused: int = 0  # credentials not looked at, for too many wrong ones came from there
    trunk_registrations_failed: int = 0  # of ours with carriers


@dataclass(slots=True)
class Context:
    """`owners` and `dialogs` name the call of an input; `now_ns` is when the input came.

    A dialog is found by its Call-ID and our own tag: that one nobody else makes.
    """

    layer: TransactionLayer
    random: Callable[[int], bytes]
    listeners: Sequence[Target]
    now_ns: int = 0
    owners: dict[TransactionId, CallId] = field(default_factory=dict)
    dialogs: dict[tuple[str, str], tuple[CallId, LegId]] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Schedule)
    forks: Forks = field(default_factory=Forks)
    counters: Counters = field(default_factory=Counters)
    trunk_accounts: dict[str, TrunkAccount] = field(default_factory=dict)  # by the trunk's name
    outputs: list[Output] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)  # of the layer, not yet acted upon

    @property
    def now(self) -> float:
        return self.now_ns / NS_PER_S

    def emit(self, output: Output) -> None:
        """Say something after all that was sent so far."""
        self.pump()
        self.outputs.append(output)

    def pump(self) -> None:
        for output in self.layer.drain():
            if isinstance(output, Transmit):
                self.outputs.append(output)
            else:
                self.events.append(output)
