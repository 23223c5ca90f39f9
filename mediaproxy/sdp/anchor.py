"""Rewrites a description so that the media of one section flows through us.

Ours are o=, c=, the m= ports and a=rtcp. What would lead media past us or make it unreadable goes
(ICE, DTLS, keys). Every other byte stays as it was, in order.
"""

from dataclasses import dataclass, field

from mediaproxy.net import Endpoint
from mediaproxy.sdp.audio import NULL_HOSTS
from mediaproxy.sdp.description import Description, Line, Section, to_bytes

REMOVED = frozenset(
    (
        *(b"candidate", b"remote-candidates", b"end-of-candidates", b"ice-ufrag", b"ice-pwd"),
        *(b"ice-options", b"ice-lite", b"ice-mismatch", b"ice-pacing"),  # RFC 8839
        *(b"fingerprint", b"setup", b"connection", b"tls-id", b"dtls-id"),  # RFC 8842, RFC 4145
        *(b"crypto", b"key-mgmt", b"zrtp-hash"),  # RFC 4568, RFC 4567, RFC 6189
    )
)


@dataclass(slots=True)
class Origin:
    """The o= line of one leg: its id for the leg's life, its version with every change (RFC 3264 8)."""

    session_id: int
    _version: int = 0
    _said: bytes = field(default=b"", repr=False)

    def anchor(
        self, description: Description, index: int, local: Endpoint, record: str | None = None
    ) -> bytes:
        """`description` for this leg, section `index` at our `local` RTP endpoint.

        `record` tells a recording-aware peer whether we record (RFC 7866 6.1.1.1)."""
        before, after = _anchored(description, index, local, record)
        said = before + after  # all but the o= value, which is no content
        if said != self._said:
            self._version += 1
            self._said = said
        origin = f"- {self.session_id} {self._version} IN {local.family.value} {local.host}"
        return before + origin.encode() + after


def _anchored(
    description: Description, index: int, local: Endpoint, record: str | None
) -> tuple[bytes, bytes]:
    """What stands before the value of the o= line, and what stands after it."""
    kept = [line for line in description.head if not _goes(line)]
    at = [line.kind for line in kept].index(b"o")  # a description has exactly one
    head = [_line(line, local) for line in kept]
    rest = head[at + 1 :]
    for number, section in enumerate(description.sections):
        lines = _section(section, local if number == index else local._replace(port=0))
        rest += _indicating(lines, record) if number == index and record is not None else lines
    return to_bytes(head[:at]) + b"o=", kept[at].end + to_bytes(rest) + description.tail


def _section(section: Section, local: Endpoint) -> list[Line]:
    port = section.media_line.port and local.port
    edited = [_media_line(section.lines[0], port)]
    for line in section.lines[1:]:
        if line.name != b"rtcp":
            edited.extend(() if _goes(line) else (_line(line, local),))
        elif port:
            edited.append(_rtcp_line(line, local, section.media_line.port))
    return edited


def _indicating(lines: list[Line], record: str) -> list[Line]:
    """With our indication in place of another: where both record, either's "on" is what counts."""
    theirs = next((line.text.strip() for line in lines if line.name == b"record"), b"")
    word = b"on" if theirs == b"on" else record.encode()
    kept = [line for line in lines if line.name != b"record"]
    end = kept[0].end or b"\r\n"
    kept[-1] = kept[-1]._replace(end=kept[-1].end or end)
    return [*kept, Line(b"a", b"record:" + word, end, b"record")]


def _goes(line: Line) -> bool:
    if line.name == b"acap":  # a wrapper around an attribute (RFC 5939): "a=acap:1 crypto:1 ..."
        _, _, wrapped = line.text.partition(b" ")
        return wrapped.partition(b":")[0].strip() in REMOVED
    return line.name in REMOVED


def _line(line: Line, local: Endpoint) -> Line:
    # A null address is how RFC 2543 says hold: replaced, the other leg would never learn of it.
    if line.kind != b"c" or _is_null(line.value):
        return line
    return Line(b"c", f"IN {local.family.value} {local.host}".encode(), line.end)


def _is_null(value: bytes) -> bool:
    words = value.split()
    return len(words) > 2 and words[2].decode("latin-1") in NULL_HOSTS


def _media_line(line: Line, port: int) -> Line:
    """Only the port word changes; "6000/2" loses its count, for we hold one pair."""
    media, _, rest = line.value.lstrip().partition(b" ")
    rest = rest.lstrip()
    after = rest[len(rest.split(None, 1)[0]) :]
    return Line(b"m", b"%b %d%b" % (media, port, after), line.end)


def _rtcp_line(line: Line, local: Endpoint, port: int) -> Line:
    """On the RTP port where the sender put it there (RFC 5761), else on the next one."""
    words = line.text.split()
    ours = local.port if words[:1] == [b"%d" % port] else local.port + 1
    where = f" IN {local.family.value} {local.host}" if len(words) > 1 else ""
    return Line(b"a", f"rtcp:{ours}{where}".encode(), line.end, line.name)
