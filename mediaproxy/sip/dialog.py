"""Dialogs (RFC 3261 12): what two user agents agreed on, and the requests within it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mediaproxy.sip.address import NameAddr, parse_name_addr
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.uri import Uri

MAX_FORWARDS = 70
TAG_BYTES = 8
CALL_ID_BYTES = 16

# An ACK and a CANCEL repeat their INVITE's number (12.2.1.1); they never count.
_OUT_OF_SEQUENCE = frozenset({"ACK", "CANCEL"})


class DialogId(NamedTuple):
    """Seen from our end. A tag is "" when the peer, speaking RFC 2543, sent none (12.1.1)."""

    call_id: str
    local_tag: str
    remote_tag: str


def new_tag(random_bytes: Callable[[int], bytes]) -> str:
    return random_bytes(TAG_BYTES).hex()


def new_call_id(random_bytes: Callable[[int], bytes]) -> str:
    return random_bytes(CALL_ID_BYTES).hex()


@dataclass(slots=True)
class Dialog:
    """One end of a dialog. `local` and `remote` are From and To of our requests, tags included.

    `target` is where the peer can be reached; `route_set` holds the elements as the peers spelt
    them; `local_seq` is the number last used.
    """

    id: DialogId
    local: NameAddr
    remote: NameAddr
    target: Uri
    route_set: tuple[str, ...] = ()
    local_seq: int = 0
    remote_seq: int | None = None

    @classmethod
    def uas(cls, request: Request, tag: str) -> "Dialog":
        """As we answer a request with `tag` in the To (12.1.1)."""
        return cls(
            id=DialogId(request.call_id, tag, request.from_.tag or ""),
            local=request.to.with_tag(tag),
            remote=request.from_,
            target=_target_of(request.contact, request.from_.uri),
            route_set=request.record_route,
            remote_seq=request.cseq.number,
        )

    @classmethod
    def uac(cls, request: Request, response: Response) -> "Dialog":
        """As a response with a To tag creates it (12.1.2); early and confirmed alike."""
        return cls(
            id=DialogId(request.call_id, request.from_.tag or "", response.to.tag or ""),
            local=request.from_,
            remote=response.to,
            target=_target_of(response.contact, request.target),
            route_set=response.record_route[::-1],
            local_seq=request.cseq.number,
        )

    @property
    def next_hop(self) -> Uri:
        """Where requests go first: the first route, or the remote target (8.1.2)."""
        return parse_name_addr(self.route_set[0]).uri if self.route_set else self.target

    def request(self, method: str, *, headers: Headers | None = None, body: bytes = b"") -> Request:
        """The next request in the dialog (12.2.1.1), without a Via; `headers` come last."""
        self.local_seq += 1
        return self._build(method, self.local_seq, headers, body)

    def ack(self, number: int, *, headers: Headers | None = None, body: bytes = b"") -> Request:
        """The ACK of a 2xx to our INVITE with that CSeq number (13.2.2.4)."""
        return self._build("ACK", number, headers, body)

    def receive_request(self, request: Request) -> int | None:
        """Take a request of the peer's: None, or 500 when it comes out of order (12.2.2).

        A target refresh (re-INVITE, UPDATE) moves the remote target at once; no other method does.
        """
        if request.method not in _OUT_OF_SEQUENCE:
            if self.remote_seq is not None and request.cseq.number < self.remote_seq:
                return 500
            self.remote_seq = request.cseq.number
        if request.method in ("INVITE", "UPDATE"):
            self.refresh(request.contact)
        return None

    def refresh(self, contact: NameAddr | None) -> None:
        """Take a new remote target, from a target refresh request or its 2xx (12.2.1.2)."""
        self.target = _target_of(contact, self.target)

    def confirm(self, response: Response) -> None:
        """The 2xx of the INVITE that made an early dialog replaces its route set (13.2.2.4)."""
        self.route_set = response.record_route[::-1]
        self.refresh(response.contact)

    def _build(self, method: str, number: int, headers: Headers | None, body: bytes) -> Request:
        uri, routes = self._routing()
        base = [("Route", route) for route in routes]
        base += [
            ("Max-Forwards", str(MAX_FORWARDS)),
            ("From", str(self.local)),
            ("To", str(self.remote)),
            ("Call-ID", self.id.call_id),
            ("CSeq", f"{number} {method}"),
        ]
        made = Headers.of(*base)
        return Request(method, uri, made if headers is None else made + headers, body)

    def _routing(self) -> tuple[str, Sequence[str]]:
        """Request-URI and Route. A strict router finds itself in the Request-URI (12.2.1.1)."""
        first = self.next_hop
        if not self.route_set or first.param("lr") is not None:
            return str(self.target), self.route_set
        return str(first), (*self.route_set[1:], f"<{self.target}>")


def _target_of(contact: NameAddr | None, otherwise: Uri) -> Uri:
    """A Contact's URI, fit for a Request-URI (19.1.5). Many a 180 has none, and RFC 2543 never asked."""
    if contact is None or not contact.uri.is_sip:
        return otherwise
    return contact.uri._replace(headers="") if contact.uri.headers else contact.uri
