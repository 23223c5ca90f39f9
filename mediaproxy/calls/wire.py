"""What of a message goes on to the other leg, and what is ours (the B2BUA's part of RFC 3261)."""

from mediaproxy.calls.model import Agent, Trunk
from mediaproxy.sip.address import NameAddr
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.headers import Header, Headers
from mediaproxy.sip.messages import Message, Request
from mediaproxy.sip.uri import Uri, format_host_port

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE"
SDP = "application/sdp"
MAX_FORWARDS = 70
# Extensions that we would have to take part in, or take part in on each leg by itself.
UNDONE = frozenset({"100rel", "timer", "replaces"})

# Each leg has its own dialog, so its headers are ours; credentials never cross to the other leg.
_CREDENTIALS = frozenset(
    {
        *("authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate"),
        *("authentication-info", "proxy-authentication-info"),
    }
)
_OURS = _CREDENTIALS | {
    *("via", "from", "to", "call-id", "cseq", "contact", "max-forwards"),
    *("route", "record-route", "content-length", "allow", "session-expires", "min-se"),
}
_OPTIONS = frozenset({"supported", "require"})
_IDENTITY = frozenset({"p-asserted-identity", "privacy"})
_CONTENT = frozenset({"content-type", "content-encoding", "content-disposition", "content-language"})


def copied(message: Message, sender: Agent | Trunk, *, body: bool) -> Headers:
    """What passes from one leg to the other, byte for byte and in order.

    An asserted identity is worth what its sender is: a trunk's is kept, an agent's removed.
    """
    dropped = _OURS if isinstance(sender, Trunk) else _OURS | _IDENTITY
    if not body:
        dropped |= _CONTENT
    kept: list[Header] = []
    for header in message.headers:
        if header.key in _OPTIONS:
            kept.extend(_without_undone(header))
        elif header.key not in dropped:
            kept.append(header)
    return Headers(kept)


def _without_undone(header: Header) -> list[Header]:
    tags = [tag.strip() for tag in header.value.split(",")]
    left = [tag for tag in tags if tag and tag.lower() not in UNDONE]
    if len(left) == len(tags):
        return [header]
    return [Header(header.key, f"{header.name}: {', '.join(left)}")] if left else []


def contact(flow: Flow, scheme: str = "sip") -> str:
    """Where requests within the dialog are to come. A sips URI says by itself that it is TLS."""
    transport = "" if flow.transport == "udp" or scheme == "sips" else f";transport={flow.transport}"
    return f"<{scheme}:{format_host_port(*flow.local)}{transport}>"


def own_headers(flow: Flow, scheme: str = "sip") -> Headers:
    return Headers.of(("Contact", contact(flow, scheme)), ("Allow", ALLOW))


def scheme_towards(uri: str) -> str:
    """Of the Contact in our request to `uri` (RFC 3261 8.1.1.8)."""
    return "sips" if uri[:5].lower() == "sips:" else "sip"


def scheme_asked_for(request: Request, flow: Flow) -> str:
    """Of the Contact in our answer (RFC 3261 12.1.1)."""
    way = request.headers.first("record-route") or request.headers.first("contact") or ""
    uris = (request.uri, way.partition("<")[2] or way)
    return "sips" if flow.transport == "tls" and "sips" in map(scheme_towards, uris) else "sip"


def request_uri(peer: Agent | Trunk, called: str) -> str:
    """An agent's contact as it was given; the called number at a trunk's address."""
    if isinstance(peer, Agent):
        return peer.contact
    return str(Uri("sip", called, *peer.target.endpoint))


def outgoing_invite(
    invite: Request,
    *,
    sender: Agent | Trunk,
    uri: str,
    domain: str,
    flow: Flow,
    tag: str,
    call_id: str,
    path: tuple[str, ...] = (),
) -> Request:
    """The B-leg's INVITE as the A-leg's one makes it, still without a body of its own."""
    hops = invite.max_forwards
    caller = NameAddr(Uri("sip", invite.from_.uri.user, domain), invite.from_.display, params=(("tag", tag),))
    ours = Headers.of(
        *[("Route", hop) for hop in path],
        ("Max-Forwards", MAX_FORWARDS if hops is None else hops - 1),
        ("From", caller),
        ("To", f"<{uri}>"),
        ("Call-ID", call_id),
        ("CSeq", "1 INVITE"),
    )
    rest = copied(invite, sender, body=bool(invite.body))
    return Request("INVITE", uri, ours + own_headers(flow, scheme_towards(uri)) + rest)


def has_sdp(message: Message) -> bool:
    return bool(message.body) and message.content_type == SDP
