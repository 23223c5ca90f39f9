"""The log's view of a call, kept in step with what happens to it."""

from collections.abc import Mapping
from dataclasses import replace

from mediaproxy.calls.events import CallRecord, Participant
from mediaproxy.calls.metadata import Metadata
from mediaproxy.calls.model import Agent, Trunk
from mediaproxy.calls.outcome import Outcome
from mediaproxy.calls.plane import LegId
from mediaproxy.ids import CallId
from mediaproxy.sip.messages import Request

Peer = Agent | Trunk


def started(
    call: CallId,
    invite: Request,
    called: str,
    sender: Peer,
    callee: Peer | None,
    at_ms: int,
    metadata: Metadata = (),
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
        trunk=_trunk(sender, callee),
        state="trying",
        started_at_ms=at_ms,
        metadata=metadata,
    )


def _trunk(sender: Peer, callee: Peer | None) -> str | None:
    """The carrier's before a PBX's."""
    trunks = [peer for peer in (sender, callee) if isinstance(peer, Trunk)]
    return min(trunks, key=is_ours).name if trunks else None


def is_ours(peer: Peer) -> bool:
    """An agent, or who has agents behind it."""
    return isinstance(peer, Agent) or peer.agent_from is not None


def _direction(sender: Peer, callee: Peer | None) -> str:
    if not is_ours(sender):
        return "inbound"
    return "internal" if callee is not None and is_ours(callee) else "outbound"


def answered(
    record: CallRecord, sender: Peer, callee: Peer, at_ms: int, named: Mapping[LegId, str]
) -> CallRecord:
    """`named` are the agents behind a PBX, by its leg."""
    participants = (
        _participant(LegId.A, sender, record.from_user, named.get(LegId.A)),
        _participant(LegId.B, callee, record.to_user, named.get(LegId.B)),
    )
    return replace(record, state="answered", answered_at_ms=at_ms, participants=participants)


def _participant(leg: LegId, peer: Peer, number: str, named: str | None) -> Participant:
    kind = "agent" if isinstance(peer, Agent) or named is not None else "trunk"
    return Participant(leg, kind, named or peer.name, number, 0, None)


def taken_over(record: CallRecord, leg: LegId, agent: str | None, pbx: str, at_ms: int) -> CallRecord:
    """From `at_ms` of the call clock on another agent is on the leg of a PBX, or nobody whom we know."""
    kind, name = ("trunk", pbx) if agent is None else ("agent", agent)
    before = next(who for who in record.participants if who.leg is leg and who.to_ms is None)
    following = Participant(leg, kind, name, before.number, at_ms, None)
    stayed = [who for who in record.participants if who is not before]
    if at_ms > before.from_ms:  # else it was never there
        stayed.append(replace(before, to_ms=at_ms))
    return replace(record, participants=(*sorted(stayed, key=lambda who: who.from_ms), following))


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
    if is_ours(callee):
        return LegId.B
    return LegId.A if is_ours(sender) else None


def carrier_leg(sender: Peer, callee: Peer) -> LegId:
    """Channel 1 of a recording."""
    return LegId.B if is_ours(sender) and not is_ours(callee) else LegId.A
