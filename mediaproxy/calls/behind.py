"""Agents behind a PBX or a queue: which of them is on its leg, as it says itself or as we were told.

A leg whose trunk has `agent_from` is on our side, as an agent's leg is. Who is on it may change while the
call lasts. A message that does not say it changes nothing; one that names nobody whom we know leaves
nobody there. What is said again is no news: it does not undo what the API has said since.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Protocol

from mediaproxy.calls import record
from mediaproxy.calls.context import Context
from mediaproxy.calls.events import CallRecord, CallUpdated
from mediaproxy.calls.leg import Leg
from mediaproxy.calls.model import Agent, AgentFrom, Policy, Trunk
from mediaproxy.calls.plane import LegId
from mediaproxy.errors import Malformed
from mediaproxy.ids import CallId
from mediaproxy.sip.address import parse_name_addr
from mediaproxy.sip.messages import Message, Request, Response

TELLING = frozenset({"INVITE", "UPDATE"})  # what refreshes a target (RFC 3261 12.2, RFC 3311)


class Naming(Enum):
    """What became of a command that names the agent of a call."""

    DONE = "done"
    NO_SUCH_CALL = "no_such_call"
    NO_PBX = "no_pbx"  # neither leg's trunk has agents behind it
    UNKNOWN_AGENT = "unknown_agent"


class Followed(Protocol):
    """The call whose agents are followed."""

    id: CallId
    record: CallRecord
    context: Context

    @property
    def is_live(self) -> bool: ...

    def since_answer_ms(self) -> int | None:
        """The call clock now; None before the answer."""


def said(message: Message, source: AgentFrom) -> str | None:
    """The name in a message: None when it says nothing of it, "" when it names nobody."""
    match source.kind:
        case "header":
            return message.headers.first(source.header)
        case "pai":
            return _user(message, "p-asserted-identity")
        case _:
            return _user(message, "contact")


def _user(message: Message, name: str) -> str | None:
    try:
        values = message.headers.elements(name)
        return (parse_name_addr(values[0]).uri.user or "") if values else None
    except Malformed:
        return ""


class BehindPbx:
    """Who is on those of the call's legs that a PBX speaks for; the call itself comes with each message."""

    def __init__(self, legs: tuple[Leg, Leg], agents: tuple[Agent, ...]) -> None:
        self._legs = legs
        self._sources = {leg.id: source for leg in legs if (source := _source(leg)) is not None}
        self._agents = {
            leg.id: {one.name: one for one in agents if one.trunk in ("", leg.peer.name)}
            for leg in legs
            if leg.id in self._sources
        }
        self._said: dict[LegId, str] = {}
        self._on: dict[LegId, Agent] = {}

    @property
    def names(self) -> Mapping[LegId, str]:
        return {leg: agent.name for leg, agent in self._on.items()}

    @property
    def barred(self) -> bool:
        """Whether one of them may not be recorded."""
        return any(
            one.recording is not None and one.recording.policy is Policy.OFF for one in self._on.values()
        )

    def begin(self, call: Followed, invite: Request) -> None:
        """The call is not told of yet."""
        if (heard := self._news(LegId.A, invite)) is not None:
            self._set(call, LegId.A, self._agents[LegId.A].get(heard))

    def receive_request(self, call: Followed, leg: Leg, request: Request) -> None:
        if request.method in TELLING:
            self._hear(call, leg.id, request)

    def receive_response(self, call: Followed, response: Response) -> None:
        """Of a leg that we asked: provisional, of any fork; afterwards within its dialog alone."""
        if not (self._sources and response.cseq.method in TELLING and 100 < response.status < 300):
            return
        leg = self._legs[LegId.B if response.call_id == str(call.id) else LegId.A]
        expected = leg.id is LegId.B if leg.dialog is None else response.to.tag == leg.dialog.id.remote_tag
        if expected:
            self._hear(call, leg.id, response)

    def name(self, call: Followed, agent: str | None) -> Naming:
        """The API's word; between two such legs the callee's is meant."""
        leg = next((each for each in (LegId.B, LegId.A) if each in self._sources), None)
        if leg is None:
            return Naming.NO_PBX
        if not call.is_live:
            return Naming.NO_SUCH_CALL
        if agent is not None and agent not in self._agents[leg]:
            return Naming.UNKNOWN_AGENT
        self._change(call, leg, None if agent is None else self._agents[leg][agent])
        return Naming.DONE

    def _hear(self, call: Followed, leg: LegId, message: Message) -> None:
        if call.is_live and (heard := self._news(leg, message)) is not None:
            self._change(call, leg, self._agents[leg].get(heard))

    def _news(self, leg: LegId, message: Message) -> str | None:
        source = self._sources.get(leg)
        heard = None if source is None else said(message, source)
        if heard is None or heard == self._said.get(leg):
            return None
        self._said[leg] = heard
        return heard

    def _change(self, call: Followed, leg: LegId, agent: Agent | None) -> None:
        if agent is self._on.get(leg):
            return
        self._set(call, leg, agent)
        call.context.emit(CallUpdated(call.record, call.context.now_ns, self.barred))

    def _set(self, call: Followed, leg: LegId, agent: Agent | None) -> None:
        if agent is None:
            self._on.pop(leg, None)
        else:
            self._on[leg] = agent
        changed = replace(call.record, agent=self._agent)
        at_ms = call.since_answer_ms()
        if at_ms is not None:
            name = self._legs[leg].peer.name
            changed = record.taken_over(changed, leg, None if agent is None else agent.name, name, at_ms)
        call.record = changed

    @property
    def _agent(self) -> str | None:
        """The callee before the caller."""
        names = (_own_name(self._legs[each]) or self.names.get(each) for each in (LegId.B, LegId.A))
        return next((name for name in names if name), None)


def _source(leg: Leg) -> AgentFrom | None:
    return leg.peer.agent_from if isinstance(leg.peer, Trunk) else None


def _own_name(leg: Leg) -> str | None:
    return leg.peer.name if isinstance(leg.peer, Agent) else None
