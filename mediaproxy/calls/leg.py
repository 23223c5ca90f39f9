"""One leg: our relation to the caller or the callee."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mediaproxy.calls.model import Agent, Target, Trunk
from mediaproxy.calls.plane import Describe, LegId, Remote
from mediaproxy.calls.session_timer import Session
from mediaproxy.calls.wire import own_headers
from mediaproxy.sdp.anchor import Origin
from mediaproxy.sdp.audio import Audio
from mediaproxy.sdp.description import Description
from mediaproxy.sip.address import NameAddr
from mediaproxy.sip.dialog import Dialog
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Message, Request


@dataclass(slots=True)
class Leg:
    """`tag` is our own tag of its dialog, `connected` and `described` what the plane was last told.

    `aware`: whether it wants to be told in SDP that it is recorded (None: not yet known), `offered` the
    other leg's description that it was told last, kept for that alone, and `indicated` our last word.
    """

    id: LegId
    peer: Agent | Trunk
    flow: Flow
    tag: str
    origin: Origin
    dialog: Dialog | None = None
    connected: Remote | None = None
    described: Describe | None = None
    aware: bool | None = None
    offered: tuple[Description, Audio] | None = None
    indicated: str = "off"  # who is told nothing takes it for that
    preference: str | None = None  # how it wants to be recorded, by its SDP (RFC 7866 6.2.2)
    obeyed: str | None = None  # of its preferences, the one that was asked for last
    updates: bool = False  # takes UPDATE, by its last Allow (RFC 3311 4)
    moved: NameAddr | None = None  # its Contact of an UPDATE before there was a dialog
    session: Session = field(default_factory=Session)
    told: bytes = b""  # the description that it was sent last
    scheme: str = "sip"  # of our Contact: "sips" where the peer's URIs are (RFC 3261 8.1.1.8, 12.1.1)

    @property
    def is_agent(self) -> bool:
        return isinstance(self.peer, Agent)

    @property
    def own_headers(self) -> Headers:
        """Of what may make or refresh the dialog."""
        return own_headers(self.flow, self.scheme)

    @property
    def pinned(self) -> bool:
        """Whether all goes over its flow: whoever registers may have a Contact that only NAT understands."""
        return isinstance(self.peer, Agent) and self.peer.registers

    @property
    def next_flow(self) -> Flow:
        return self.flow if self.dialog is None or self.pinned else within(self.dialog, self.flow)

    def learn(self, message: Message) -> None:
        """What it can do, by a message that says so."""
        if "allow" in message.headers:
            self.updates = "update" in message.headers.tokens("allow")

    def request(self, method: str, headers: Headers | None = None, body: bytes = b"") -> Request:
        assert self.dialog is not None  # asked of a leg that has one alone
        return self.dialog.request(method, headers=headers, body=body)


def within(dialog: Dialog, flow: Flow) -> Flow:
    """How a request in `dialog`, which was made over `flow`, travels.

    A connection is used again, whatever a Contact says: behind NAT there is no other way in.
    """
    hop = dialog.next_hop
    endpoint = hop.endpoint
    if flow.reliable or endpoint is None or hop.transport not in ("udp", "tcp"):
        return flow
    return flow._replace(transport=hop.transport, remote=endpoint)


def flow_to(target: Target, listeners: Sequence[Target]) -> Flow | None:
    """From which of our addresses a target is reached; None when we have none of its kind."""
    family = target.endpoint.family
    names = (target.proven_name,) if target.transport == "tls" else ()
    for listener in listeners:
        if listener.transport == target.transport and listener.endpoint.family is family:
            return Flow(target.transport, listener.endpoint, target.endpoint, names=names)
    return None
