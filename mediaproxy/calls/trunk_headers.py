"""What a trunk's INVITEs say otherwise than the caller did (a B2BUA's liberty; RFC 3261 knows of none)."""

from mediaproxy.calls.model import Agent, HeaderRules, Trunk
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request


def towards(request: Request, peer: Agent | Trunk) -> Request:
    """An INVITE, within a dialog or not, as this peer is to get it; every other request as it stands."""
    if request.method != "INVITE" or not isinstance(peer, Trunk) or peer.headers is None:
        return request
    return request.replace(headers=_changed(request.headers, peer.headers))


def _changed(headers: Headers, rules: HeaderRules) -> Headers:
    """First what goes, then what stands for whatever was there, then what comes beside it."""
    headers = headers.without(*rules.remove, *[name for name, _ in rules.set])
    return headers + Headers.of(*rules.set, *rules.add)
