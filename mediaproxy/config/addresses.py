"""Addresses and ranges as an operator writes them. Every ValueError reads `problem; remedy`."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from mediaproxy.calls.model import Target
from mediaproxy.errors import Malformed
from mediaproxy.net import Endpoint
from mediaproxy.sip.uri import Uri, default_port, parse_uri

TRANSPORTS = ("udp", "tcp", "tls")
LATER_TRANSPORTS = ("ws", "wss")

_TRANSPORT = re.compile(f"({'|'.join(TRANSPORTS + LATER_TRANSPORTS)}):(.*)")
_HOST_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?")
_PORT_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")

Network = IPv4Network | IPv6Network


def parse_target(text: str) -> Target:
    """`host:port`, `udp:host:port`, `tcp:host:port` or `tls:host:port`; the port may be left out."""
    named = _TRANSPORT.fullmatch(text)
    transport, rest = (named[1], named[2]) if named else ("udp", text)
    port = default_port(transport)
    return Target(_known_transport(transport), parse_endpoint(rest, default_port=port))


def parse_listener(text: str) -> Target:
    """Where to listen for SIP: an address that a peer can be told."""
    if not _TRANSPORT.fullmatch(text):
        raise ValueError('no transport; write "udp:ADDRESS:PORT", "tcp:…" or "tls:…"')
    target = parse_target(text)
    if ip_address(target.endpoint.host).is_unspecified:
        raise ValueError("peers cannot be told this address; name the one that they reach")
    return target


def parse_endpoint(text: str, *, default_port: int | None = None) -> Endpoint:
    """`192.0.2.1:5060` or `[2001:db8::1]:5060`."""
    parts = _HOST_PORT.fullmatch(text)
    if parts is None:
        raise ValueError('not a numeric address and a port; write "192.0.2.1:5060" or "[2001:db8::1]:5060"')
    port = default_port if parts[3] is None else int(parts[3])
    if port is None:
        raise ValueError('no port; write "ADDRESS:PORT"')
    if port > 65_535:
        raise ValueError("no such port; choose one of 1 to 65535")
    return Endpoint(parse_host(parts[1] or parts[2]), port)


def parse_host(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError('not a numeric address; write one like "192.0.2.1" or "2001:db8::1"') from None


def parse_contact(text: str) -> Target:
    """Where an agent's SIP URI points; names are not resolved yet."""
    try:
        uri = parse_uri(text)
    except Malformed:
        uri = Uri("")
    if not uri.is_sip:
        raise ValueError('not a sip: URI; write "sip:alice@192.0.2.1:5060"')
    if uri.endpoint is None:
        raise ValueError('the host is no numeric address; write "sip:alice@192.0.2.1:5060"')
    return Target(_known_transport(uri.transport), Endpoint(parse_host(uri.endpoint.host), uri.endpoint.port))


def parse_network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError:
        raise ValueError('not a network; write "192.0.2.0/24" or "192.0.2.1/32"') from None


def parse_ports(text: str) -> range:
    """`first-last`, both included."""
    parts = _PORT_RANGE.fullmatch(text)
    first, last = (int(parts[1]), int(parts[2])) if parts else (0, 0)
    if not 1_024 <= first <= last <= 65_535:
        raise ValueError('not a range within 1024 to 65535; write "20000-29999"')
    return range(first, last + 1)


def _known_transport(name: str) -> str:
    if name in LATER_TRANSPORTS:
        raise ValueError(f"{name} is not there yet; use udp, tcp or tls")
    if name not in TRANSPORTS:
        raise ValueError("unknown transport; use udp, tcp or tls")
    return name
