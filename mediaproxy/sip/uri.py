"""URIs (RFC 3261 19.1, RFC 3966): sip, sips and tel in parts, every other scheme as it stands."""

import string
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from mediaproxy.errors import Malformed
from mediaproxy.net import Endpoint
from mediaproxy.sip.grammar import Params, format_params, param, parse_number, parse_params

DEFAULT_PORT = 5060
DEFAULT_TLS_PORT = 5061

_SCHEME = frozenset(string.ascii_letters + string.digits + "+-.")
_HOST = frozenset(string.ascii_letters + string.digits + "-._")
_IPV6 = frozenset(string.hexdigits + ":.")
_HEX = frozenset(string.hexdigits)
_USER = frozenset(string.ascii_letters + string.digits + "-_.!~*'()" + "&=+$,;?/")
_FORBIDDEN = frozenset('<>"\\^`{|} \x7f' + "".join(map(chr, range(32))))


class Uri(NamedTuple):
    """`user` is %-decoded, `headers` is what follows `?`, as spelt.

    Of a tel URI `user` is the number and `host` is empty; of an unknown scheme `opaque` is all
    that follows the colon. An IPv6 `host` has no brackets.
    """

    scheme: str
    user: str | None = None
    host: str = ""
    port: int | None = None
    params: Params = ()
    headers: str = ""
    password: str | None = None
    opaque: str = ""

    @property
    def is_sip(self) -> bool:
        return self.scheme == "sip" or self.scheme == "sips"

    @property
    def transport(self) -> str:
        """`udp` unless the URI says otherwise (lower case); sips is TLS whatever is named (26.2.2)."""
        named = (self.param("transport") or "udp").lower()
        if self.scheme == "sips":
            return "wss" if named == "ws" else "tls"
        return named

    @property
    def endpoint(self) -> Endpoint | None:
        """Where the URI points, when that takes no name resolution (`maddr` beats the host)."""
        host = self.param("maddr") or self.host
        try:
            ip_address(host)
        except ValueError:
            return None
        return Endpoint(host, self.port or default_port(self.transport))

    def param(self, name: str) -> str | None:
        return param(self.params, name)

    def __str__(self) -> str:
        if self.opaque:
            return f"{self.scheme}:{self.opaque}"
        params = format_params(self.params)
        if self.scheme == "tel":
            return f"tel:{_escape(self.user or '')}{params}"
        userinfo = "" if self.user is None else _escape(self.user)
        if self.password is not None:
            userinfo += f":{self.password}"
        at = "" if self.user is None else "@"
        tail = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{userinfo}{at}{format_host_port(self.host, self.port)}{params}{tail}"


def default_port(transport: str) -> int:
    """18.1.1, RFC 3263 4.2. `transport` in lower case."""
    return DEFAULT_TLS_PORT if transport == "tls" else DEFAULT_PORT


def parse_uri(text: str) -> Uri:
    scheme, colon, rest = text.partition(":")
    if not colon or not rest:
        raise Malformed("not a URI")
    if not _FORBIDDEN.isdisjoint(rest):
        raise Malformed("forbidden character in a URI")
    scheme = scheme.lower()
    if scheme == "sip" or scheme == "sips":
        return _parse_sip(scheme, rest)
    if not scheme or not scheme[0].isalpha() or not _SCHEME.issuperset(scheme):
        raise Malformed("URI scheme is not one")
    if scheme == "tel":
        number, semicolon, params = rest.partition(";")
        return Uri("tel", user=_unescape(number), params=parse_params(semicolon + params))
    return Uri(scheme, opaque=rest)


def parse_host_port(text: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[v6]`, `[v6]:port`; blanks around the colon are let pass (RFC 4475)."""
    if text[:1] == "[":
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not host or not _IPV6.issuperset(host):
            raise Malformed("bad IPv6 reference")
        rest = rest.lstrip()
        colon, port = rest[:1], rest[1:]
        if colon not in ("", ":"):
            raise Malformed("text after an IPv6 reference")
    else:
        host, colon, port = text.partition(":")
        host = host.rstrip()
        if not host or not _HOST.issuperset(host):
            raise Malformed("bad host")
    return host, parse_number(port.strip(), most=65_535) if colon else None


def format_host_port(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


def _parse_sip(scheme: str, rest: str) -> Uri:
    # `?` and `;` may stand unescaped in a user part, `@` may not stand anywhere else.
    userinfo, at, hostpart = rest.partition("@")
    user = password = None
    if at:
        if "@" in hostpart or not userinfo:
            raise Malformed("misplaced @ in a URI")
        user, colon, word = userinfo.partition(":")
        user = _unescape(user)
        password = word if colon else None
    else:
        hostpart = rest
    hostpart, _, headers = hostpart.partition("?")
    hostport, semicolon, params = hostpart.partition(";")
    host, port = parse_host_port(hostport)
    return Uri(scheme, user, host, port, parse_params(";" + params) if semicolon else (), headers, password)


def _unescape(text: str) -> str:
    if "%" not in text:
        return text
    for piece in text.split("%")[1:]:
        if len(piece) < 2 or not _HEX.issuperset(piece[:2]):
            raise Malformed("bad %-escape in a URI")
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _escape(text: str) -> str:
    if _USER.issuperset(text):
        return text
    return "".join(
        chr(byte) if chr(byte) in _USER else f"%{byte:02X}"
        for byte in text.encode("utf-8", "surrogateescape")
    )
