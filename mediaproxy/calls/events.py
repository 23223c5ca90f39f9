"""What happens to a call, told in the past tense, for the log, the recorder and the event stream."""

from dataclasses import dataclass

from mediaproxy.calls.metadata import Metadata
from mediaproxy.calls.model import RecordingPolicy
from mediaproxy.calls.plane import LegId
from mediaproxy.ids import CallId


@dataclass(frozen=True, slots=True)
class Participant:
    """Who stood on a leg: `kind` is "trunk" or "agent".

    `from_ms` and `to_ms` are on the call clock, as all of a call's `*_ms` are; `to_ms` is None while there.
    """

    leg: LegId
    kind: str
    name: str
    number: str
    from_ms: int
    to_ms: int | None


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call as the log has it. Times are Unix ms; one call's times differ as its call clock does.

    direction `inbound|outbound|internal`; state `trying|ringing|answered|ended`; disposition is None
    while live, else `answered|busy|no_answer|cancelled|rejected|unavailable|no_route|failed|
    media_timeout|interrupted`; ended_by `caller|callee|us`.
    """

    id: CallId
    sip_call_id: str
    direction: str
    from_user: str
    to_user: str
    from_uri: str
    to_uri: str
    from_name: str | None
    agent: str | None
    trunk: str | None
    state: str
    started_at_ms: int
    answered_at_ms: int | None = None
    ended_at_ms: int | None = None
    disposition: str | None = None
    sip_status: int | None = None
    ended_by: str | None = None
    participants: tuple[Participant, ...] = ()
    emergency: bool = False  # somebody calls for help; no column of the log
    metadata: Metadata = ()


def is_on(call: CallRecord, agent: str) -> bool:
    """Whether an agent stands on one of its legs now."""
    return any(one.kind == "agent" and one.name == agent and one.to_ms is None for one in call.participants)


@dataclass(frozen=True, slots=True)
class CallStarted:
    """An INVITE from a known source was accepted for routing. Its 2xx waits for `row_stored`."""

    call: CallRecord


@dataclass(frozen=True, slots=True)
class CallRinging:
    call: CallRecord


@dataclass(frozen=True, slots=True)
class CallAnswered:
    """The first 2xx arrived from the B-leg at `answered_ns` (monotonic): position 0 of the call clock."""

    call: CallRecord
    answered_ns: int
    generation: int
    policy: RecordingPolicy
    agent_leg: LegId | None  # None on trunk-to-trunk calls; the callee's on agent-to-agent ones
    carrier_leg: LegId  # channel 1 of the file
    barred: bool = False  # whoever is on the call now may not be recorded, whatever the policy


@dataclass(frozen=True, slots=True)
class CallHeld:
    """Hold began or ended: toggles by agent name pass over a held call."""

    call: CallRecord
    held: bool


@dataclass(frozen=True, slots=True)
class CallUpdated:
    """What is known of the call changed at `at_ns`: who is on it, or its metadata. `barred`: see
    `CallAnswered`."""

    call: CallRecord
    at_ns: int
    barred: bool


@dataclass(frozen=True, slots=True)
class CallEnded:
    """`ended_ns`: arrival of the first BYE, or our own decision."""

    call: CallRecord
    ended_ns: int


CallEvent = CallStarted | CallRinging | CallAnswered | CallHeld | CallUpdated | CallEnded


@dataclass(frozen=True, slots=True)
class RecordRequested:
    """The agent's leg asked by SIP INFO (`means` "sip") or a dialled code (`means` "dtmf").

    `action` is `start|stop|pause|resume|toggle`. `reply` names the pending SIP transaction that
    waits for the outcome, or None. `arrived_ns` is when the demand reached us. A code with `certain`
    false may still become a longer one: the leg's next one says what it was.
    """

    call: CallId
    leg: LegId
    action: str
    means: str
    arrived_ns: int
    reply: int | None = None
    certain: bool = True


@dataclass(frozen=True, slots=True)
class CallBroken:
    """An error of ours ended this call, and it alone; for the log. None: it was no call yet."""

    call: CallId | None
    error: Exception


@dataclass(frozen=True, slots=True)
class ContactsChanged:
    """An agent is reachable at so many contacts now."""

    agent: str
    contacts: int


@dataclass(frozen=True, slots=True)
class PasswordRefused:
    """Credentials from `source` were wrong; `agent` is None when there is no such one. With `limited` no
    more of them are looked at for a while."""

    source: str
    agent: str | None
    limited: bool


@dataclass(frozen=True, slots=True)
class SourceRefused:
    """Somebody has no business here: `why` is "scanner" or "unknown"; so many `requests` since last told."""

    source: str
    why: str
    requests: int


@dataclass(frozen=True, slots=True)
class TrunkRegistered:
    """Whether we are registered with this trunk from now on; `status` is what was answered."""

    trunk: str
    registered: bool
    status: int


AgentEvent = ContactsChanged | PasswordRefused | SourceRefused
TrunkEvent = TrunkRegistered
