"""What the anchored audio section says: where to send, what it means, who may be heard (RFC 3264)."""

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum

from mediaproxy.errors import Malformed
from mediaproxy.net import Endpoint
from mediaproxy.sdp.description import Description, Line, Section, read_number
from mediaproxy.sdp.payloads import Payloads, read_payloads

NOT_ACCEPTABLE = 488
PLAIN_PROFILES = (b"RTP/AVP", b"RTP/AVPF")
_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_QUAD = re.compile(rb"(?!22[4-9]|23)" + _OCTET + rb"(?:\." + _OCTET + rb"){3}")  # what nearly all are
PREFERENCES = (b"on", b"off", b"pause")
NULL_HOSTS = ("0.0.0.0", "::")  # noqa: S104 - an address to recognise, none to bind


class Direction(Enum):
    """RFC 3264 5.1, seen from who wrote the description."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        return self in (Direction.SENDRECV, Direction.SENDONLY)

    @property
    def receives(self) -> bool:
        return self in (Direction.SENDRECV, Direction.RECVONLY)


_DIRECTIONS = {direction.value.encode(): direction for direction in Direction}


@dataclass(frozen=True, slots=True)
class Audio:
    """The anchored section, read.

    `rtp` and `rtcp` are None when nothing can be sent there: the section was refused (port 0) or its
    address is the null one, the hold of RFC 2543. `rtcp` never takes multiplexing into account.
    """

    index: int
    rtp: Endpoint | None
    rtcp: Endpoint | None
    rtcp_mux: bool
    direction: Direction
    payloads: Payloads
    ptime_ms: int | None
    refused: bool = False
    preference: str | None = None  # how its author wants to be recorded (RFC 7866 6.2.2): on, off, pause

    @property
    def receives(self) -> bool:
        return self.direction.receives and self.rtp is not None

    @property
    def sends(self) -> bool:
        return self.direction.sends and not self.refused


def read_offer(description: Description) -> Audio:
    """The section we anchor: the first audio one that is plain RTP and not switched off.

    488 when there is none. What only SRTP carries is not taken: what we can't decrypt would be
    recorded as noise.
    """
    audio = [
        (index, section)
        for index, section in enumerate(description.sections)
        if section.media_line.media == b"audio" and section.media_line.port
    ]
    for index, section in audio:
        if section.media_line.profile in PLAIN_PROFILES:
            return _read(description, index, section)
    raise Malformed("SDP offers no plain RTP audio", status=NOT_ACCEPTABLE)


def read_answer(description: Description, index: int) -> Audio:
    """The same section in the answer; the answerer keeps count and order (RFC 3264 6)."""
    if index >= len(description.sections):
        raise Malformed("SDP answer lacks the offered section", status=NOT_ACCEPTABLE)
    section = description.sections[index]
    line = section.media_line
    if line.media != b"audio" or (line.port and line.profile not in PLAIN_PROFILES):
        raise Malformed("SDP answer is not plain RTP audio", status=NOT_ACCEPTABLE)
    return _read(description, index, section)


def _read(description: Description, index: int, section: Section) -> Audio:
    port = section.media_line.port
    refused = port == 0
    host = None if refused else _connection_host(description, section)
    rtp = Endpoint(host, port) if host is not None else None
    attributes = _attributes(section.lines)
    direction = _direction(attributes) or _direction(_attributes(description.head))
    return Audio(
        index=index,
        rtp=rtp,
        rtcp=_rtcp(attributes.get(b"rtcp"), rtp) if rtp is not None else None,
        rtcp_mux=b"rtcp-mux" in attributes,
        direction=direction or Direction.SENDRECV,
        payloads=Payloads() if refused else read_payloads(section),
        ptime_ms=_ptime_ms(attributes.get(b"ptime")),
        refused=refused,
        preference=_preference(attributes.get(b"recordpref")),
    )


def _attributes(lines: tuple[Line, ...]) -> dict[bytes, Line]:
    """The first of each name; what is no attribute has none."""
    return {line.name: line for line in reversed(lines)}


def _connection_host(description: Description, section: Section) -> str | None:
    """The section's c= address, else the description's; None for the null address."""
    for lines in (section.lines, description.head):
        for line in lines:
            if line.kind == b"c":
                host = read_connection(line.value)
                return None if host in NULL_HOSTS else host
    raise Malformed("SDP has no c= line")


def read_connection(value: bytes) -> str:
    """The numeric unicast address of `IN IP4 <address>`; names are none, nobody resolves them here."""
    words = value.split()
    if len(words) < 3 or words[0].upper() != b"IN" or words[1].upper() not in (b"IP4", b"IP6"):
        raise Malformed("SDP c= line is not IN IP4 or IN IP6")
    return _host(words[2].partition(b"/")[0], version=int(words[1][2:]))


def _host(text: bytes, *, version: int) -> str:
    if version == 4 and _QUAD.fullmatch(text):
        return text.decode("ascii")
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:
        raise Malformed("SDP address is not numeric", status=NOT_ACCEPTABLE) from None
    if address.version != version or b"%" in text:
        raise Malformed("SDP address is of another family than it says")
    if address.is_multicast:
        raise Malformed("SDP address is multicast", status=NOT_ACCEPTABLE)
    return str(address)


def _rtcp(line: Line | None, rtp: Endpoint) -> Endpoint:
    """`a=rtcp:<port> [IN IP4 <address>]` (RFC 3605), else the next port."""
    words = line.text.split() if line is not None else []
    if words:
        port = read_number(words[0], 65_535)
        host = read_connection(b" ".join(words[1:4])) if len(words) >= 4 else rtp.host
        if port and host not in NULL_HOSTS:
            return Endpoint(host, port)
    return Endpoint(rtp.host, min(rtp.port + 1, 65_535))


def _direction(attributes: dict[bytes, Line]) -> Direction | None:
    for name, direction in _DIRECTIONS.items():
        if name in attributes:
            return direction
    return None


def _preference(line: Line | None) -> str | None:
    text = line.text.strip().lower() if line is not None else b""
    return text.decode() if text in PREFERENCES else None


def _ptime_ms(line: Line | None) -> int | None:
    text = line.text.strip() if line is not None else b""
    return int(text) if text.isdigit() and len(text) < 6 else None
