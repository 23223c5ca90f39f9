"""Requests and responses (RFC 3261 7) as values.

A header is read when it is first asked for; `parser` asks for all that may raise `Malformed`, so
that a message which came from a peer raises nothing later.
"""

from typing import NamedTuple

from mediaproxy.errors import Malformed
from mediaproxy.sip.address import NameAddr, parse_name_addr
from mediaproxy.sip.grammar import is_token, parse_number, split_outside_quotes
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.uri import Uri, parse_uri
from mediaproxy.sip.via import Via, parse_via

MAX_CSEQ = 2**31 - 1
MAX_FORWARDS = 255


SIP_VERSION = "SIP/2.0"


class CSeq(NamedTuple):
    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


def parse_cseq(text: str) -> CSeq:
    words = text.split()
    if len(words) != 2 or not is_token(words[1]):
        raise Malformed("CSeq is not a number and a method")
    return CSeq(parse_number(words[0], most=MAX_CSEQ), words[1])


class Message:
    """What requests and responses share. Never changed once made: `replace` makes another one."""

    __slots__ = ("_cseq", "_from", "_to", "_via", "body", "headers")

    def __init__(self, headers: Headers, body: bytes = b"") -> None:
        self.headers = headers
        self.body = body
        self._via: Via | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._cseq: CSeq | None = None

    @property
    def start_line(self) -> str:
        raise NotImplementedError

    @property
    def via(self) -> Via:
        """The topmost Via."""
        if self._via is None:
            value = self._required("via")
            self._via = parse_via(value if "," not in value else split_outside_quotes(value, ",")[0])
        return self._via

    @property
    def from_(self) -> NameAddr:
        if self._from is None:
            self._from = parse_name_addr(self._required("from"))
        return self._from

    @property
    def to(self) -> NameAddr:
        if self._to is None:
            self._to = parse_name_addr(self._required("to"))
        return self._to

    @property
    def cseq(self) -> CSeq:
        if self._cseq is None:
            self._cseq = parse_cseq(self._required("cseq"))
        return self._cseq

    @property
    def call_id(self) -> str:
        return self._required("call-id")

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact; None when there is none or it is `*`."""
        contacts = self.headers.elements("contact")
        return parse_name_addr(contacts[0]) if contacts and contacts[0] != "*" else None

    @property
    def record_route(self) -> tuple[str, ...]:
        """Each element as spelt, topmost first."""
        return tuple(self.headers.elements("record-route"))

    @property
    def route(self) -> tuple[str, ...]:
        return tuple(self.headers.elements("route"))

    @property
    def content_type(self) -> str | None:
        """`type/subtype` in lower case, without parameters."""
        value = self.headers.first("content-type")
        return None if value is None else value.partition(";")[0].replace(" ", "").lower()

    def encode(self) -> bytes:
        """The bytes on the wire. Content-Length is as it stands when right, else made right."""
        headers = self.headers
        length = headers.first("content-length")
        if length is None or not length.isdecimal() or int(length) != len(self.body):
            headers = headers.with_("Content-Length", len(self.body))
        return f"{self.start_line}\r\n{headers}\r\n".encode("utf-8", "surrogateescape") + self.body

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Message)
            and self.start_line == other.start_line
            and self.headers == other.headers
            and self.body == other.body
        )

    def __hash__(self) -> int:
        return hash((self.start_line, self.headers, self.body))

    def __repr__(self) -> str:
        return f"<{self.start_line}>"

    def _knows(self, other: "Message", via: Via | None) -> None:
        """Take over what was read of `other`, whose From, To and CSeq are the same."""
        self._via = via
        self._from, self._to, self._cseq = other._from, other._to, other._cseq

    def _required(self, key: str) -> str:
        value = self.headers.first(key)
        if not value:
            raise Malformed("a mandatory header is missing")
        return value


class Request(Message):
    """`uri` is the Request-URI as spelt, `target` the same in parts."""

    __slots__ = ("_target", "method", "uri")

    def __init__(self, method: str, uri: str, headers: Headers, body: bytes = b"") -> None:
        super().__init__(headers, body)
        self.method = method
        self.uri = uri
        self._target: Uri | None = None

    @property
    def start_line(self) -> str:
        return f"{self.method} {self.uri} {SIP_VERSION}"

    @property
    def target(self) -> Uri:
        if self._target is None:
            self._target = parse_uri(self.uri)
        return self._target

    @property
    def max_forwards(self) -> int | None:
        value = self.headers.first("max-forwards")
        return None if value is None else parse_number(value, most=MAX_FORWARDS)

    def replace(
        self, *, uri: str | None = None, headers: Headers | None = None, body: bytes | None = None
    ) -> "Request":
        return Request(
            self.method,
            self.uri if uri is None else uri,
            self.headers if headers is None else headers,
            self.body if body is None else body,
        )

    def with_new_via(self, via: Via) -> "Request":
        """With one more Via on top, as whoever sends a request adds it (8.1.1.7)."""
        added = self.replace(headers=self.headers.prepended("Via", via))
        added._knows(self, via)
        return added

    def with_via(self, via: Via) -> "Request":
        """With another topmost Via in the place of the present one."""
        changed = self.replace(headers=self.headers.with_first_element("via", via))
        changed._knows(self, via)
        return changed


class Response(Message):
    """`status` is 100 to 699, `reason` any text."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str, headers: Headers, body: bytes = b"") -> None:
        super().__init__(headers, body)
        self.status = status
        self.reason = reason

    @property
    def start_line(self) -> str:
        return f"{SIP_VERSION} {self.status} {self.reason}"

    @classmethod
    def answering(
        cls, request: Request, status: int, reason: str, headers: Headers, body: bytes, to: NameAddr
    ) -> "Response":
        """A response whose Via, From and CSeq are the request's, and whose To is `to`."""
        response = cls(status, reason, headers, body)
        response._knows(request, request._via)
        response._to = to
        return response

    def replace(self, *, headers: Headers | None = None, body: bytes | None = None) -> "Response":
        return Response(
            self.status,
            self.reason,
            self.headers if headers is None else headers,
            self.body if body is None else body,
        )
