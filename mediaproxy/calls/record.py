"""The log's view of a call, kept in step with what happens to it."""

from dataclasses import replace

from mediaproxy.calls.events import CallRecord, Participant
from mediaproxy.calls.model import Agent, Trunk
from mediaproxy.calls.outcome import Outcome
from mediaproxy.calls.plane import LegId
from mediaproxy.ids import CallId
from mediaproxy.sip.messages import Request

Peer = Agent | Trunk


def started(
    call: CallId, invite: Request, called: str, sender: Peer, callee: Peer | None, at_ms: int
) -> CallRecord:
    caller = invite.from_.uri
    return CallRecord(
        id=call,
        sip_call_id=invite.call_id,
        direction=_direction(sender, callee),
        from_user=caller.user or "",
        to_user=called,
        from_uri=str(caller),
        to_uri=invite.uri,
        from_name=invite.from_.display or None,
        agent=next((peer.name for peer in (callee, sender) if isinstance(peer, Agent)), None),
        trunk=next((peer.name for peer in (sender, callee) if isinstance(peer, Trunk)), None),
        state="trying",
        started_at_ms=at_ms,
    )


def _direction(sender: Peer, callee: Peer | None) -> str:
    if isinstance(sender, Trunk):
        return "inbound"
    return "internal" if isinstance(callee, Agent) else "outbound"


def answered(record: CallRecord, sender: Peer, callee: Peer, at_ms: int) -> CallRecord:
    participants = (
        _participant(LegId.A, sender, record.from_user),
        _participant(LegId.B, callee, record.to_user),
    )
    return replace(record, state="answered", answered_at_ms=at_ms, participants=participants)


def _participant(leg: LegId, peer: Peer, number: str) -> Participant:
    kind = "agent" if isinstance(peer, Agent) else "trunk"
    return Participant(leg, kind, peer.name, number, 0, None)


def ended(record: CallRecord, outcome: Outcome, at_ms: int) -> CallRecord:
    return replace(
        record,
        state="ended",
        ended_at_ms=at_ms,
        disposition=outcome.disposition,
        sip_status=outcome.sip_status,
        ended_by=outcome.ended_by,
        participants=left(record, at_ms),
    )


def left(record: CallRecord, at_ms: int) -> tuple[Participant, ...]:
    """Whoever is still on the call leaves it at `at_ms` (Unix)."""
    if record.answered_at_ms is None:
        return record.participants
    position_ms = at_ms - record.answered_at_ms
    return tuple(replace(who, to_ms=position_ms) if who.to_ms is None else who for who in record.participants)


def agent_leg(sender: Peer, callee: Peer) -> LegId | None:
    """Whose commands count: the callee's between two agents, nobody's between two trunks."""
    if isinstance(callee, Agent):
        return LegId.B
    return LegId.A if isinstance(sender, Agent) else None


def carrier_leg(sender: Peer, callee: Peer) -> LegId:
    """Channel 1 of a recording."""
    return LegId.B if isinstance(sender, Agent) and isinstance(callee, Trunk) else LegId.A
