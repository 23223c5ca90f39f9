"""Via (RFC 3261 20.42, RFC 3581): the way that responses go back."""

from typing import NamedTuple

from mediaproxy.errors import Malformed
from mediaproxy.net import Endpoint
from mediaproxy.sip.grammar import (
    WHITESPACE,
    Params,
    format_params,
    is_token,
    param,
    parse_number,
    parse_params,
    with_param,
)
from mediaproxy.sip.uri import default_port, format_host_port, parse_host_port

MAGIC_COOKIE = "z9hG4bK"


class Via(NamedTuple):
    """`transport` in upper case; an IPv6 `host` has no brackets."""

    transport: str
    host: str
    port: int | None = None
    params: Params = ()

    @property
    def branch(self) -> str:
        """ "" when there is none (RFC 2543)."""
        return self.param("branch") or ""

    @property
    def sent_by(self) -> tuple[str, int]:
        """Host and port as compared in transaction matching."""
        return self.host.lower(), self.port or default_port(self.transport.lower())

    @property
    def reply_to(self) -> Endpoint:
        """Where a response goes over UDP (18.2.2, RFC 3581 4), once `stamped`: a numeric address.

        `maddr` is not followed: it would let anybody aim our responses at anybody else.
        """
        port = self.param("rport")
        host = self.param("received") or self.host
        return Endpoint(host.strip("[]"), int(port) if port else self.sent_by[1])

    def param(self, name: str) -> str | None:
        return param(self.params, name)

    def stamped(self, source: Endpoint) -> "Via":
        """With `received` and, if asked for, `rport`, as the receiver must (18.2.1, RFC 3581 4).

        Whatever the sender put there himself is replaced: it could point anywhere.
        """
        params = self.params
        if param(params, "rport") is not None:
            params = with_param(params, "rport", str(source.port))
            params = with_param(params, "received", source.host)
        elif self.host != source.host or param(params, "received") is not None:
            params = with_param(params, "received", source.host)
        return self if params is self.params else self._replace(params=params)

    def __str__(self) -> str:
        sent_by = format_host_port(self.host, self.port)
        return f"SIP/2.0/{self.transport} {sent_by}{format_params(self.params)}"


def parse_via(text: str) -> Via:
    """One Via element. Blanks around the slashes and the colon are legal."""
    if text[:8] == "SIP/2.0/":
        transport, _, rest = text[8:].lstrip(WHITESPACE).partition(" ")
        if not is_token(transport):
            return _parse_spaced(text)
        return _complete(transport, rest)
    return _parse_spaced(text)


def _parse_spaced(text: str) -> Via:
    name, slash, rest = text.partition("/")
    version, other_slash, rest = rest.partition("/")
    if not slash or not other_slash or name.strip(WHITESPACE).upper() != "SIP":
        raise Malformed("Via names no SIP protocol")
    if version.strip(WHITESPACE) != "2.0":
        raise Malformed("Via names another version")
    words = rest.split(None, 1)
    if len(words) != 2 or not is_token(words[0]):
        raise Malformed("Via has no transport or no sent-by")
    return _complete(words[0], words[1])


def _complete(transport: str, rest: str) -> Via:
    sent_by, semicolon, params = rest.partition(";")
    host, port = parse_host_port(sent_by.strip(WHITESPACE))
    parsed = parse_params(semicolon + params)
    rport = param(parsed, "rport")
    if rport:
        parse_number(rport, most=65_535)
    return Via(transport.upper(), host, port, parsed)
