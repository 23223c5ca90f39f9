"""Payload types of one media section: the static ones of RFC 3551 and what a=rtpmap adds."""

from dataclasses import dataclass, field

from mediaproxy.sdp.description import Section, read_number

MAX_PAYLOAD_TYPE = 127
MAX_CLOCK_HZ = 1_000_000
MAX_CHANNELS = 255


@dataclass(frozen=True, slots=True)
class Codec:
    """One rtpmap: encoding name upper case, RTP clock rate in Hz, channels."""

    name: str
    clock_hz: int
    channels: int = 1


# RFC 3551 table 4; 9 is G722 at a clock of 8000 although it samples at 16000 (4.5.2).
STATIC: dict[int, Codec] = {
    0: Codec("PCMU", 8000),
    3: Codec("GSM", 8000),
    4: Codec("G723", 8000),
    5: Codec("DVI4", 8000),
    6: Codec("DVI4", 16000),
    7: Codec("LPC", 8000),
    8: Codec("PCMA", 8000),
    9: Codec("G722", 8000),
    10: Codec("L16", 44100, 2),
    11: Codec("L16", 44100),
    12: Codec("QCELP", 8000),
    13: Codec("CN", 8000),
    14: Codec("MPA", 90000),
    15: Codec("G728", 8000),
    16: Codec("DVI4", 11025),
    17: Codec("DVI4", 22050),
    18: Codec("G729", 8000),
    19: Codec("CN", 8000),
}
TELEPHONE_EVENT = "TELEPHONE-EVENT"
COMFORT_NOISE = "CN"


@dataclass(frozen=True, slots=True)
class Payloads:
    """`audio` holds what carries speech; digits (RFC 4733) and comfort noise (RFC 3389) are apart."""

    audio: dict[int, Codec] = field(default_factory=dict)
    digits: frozenset[int] = frozenset()


def read_payloads(section: Section) -> Payloads:
    """The payload types that the m= line lists and whose meaning is known."""
    known = STATIC | _rtpmaps(section)
    listed = [read_number(text, MAX_PAYLOAD_TYPE) for text in section.media_line.formats]
    codecs = {payload_type: known[payload_type] for payload_type in listed if payload_type in known}
    digits = frozenset(pt for pt, codec in codecs.items() if codec.name == TELEPHONE_EVENT)
    audio = {pt: codec for pt, codec in codecs.items() if codec.name not in (TELEPHONE_EVENT, COMFORT_NOISE)}
    return Payloads(audio, digits)


def _rtpmaps(section: Section) -> dict[int, Codec]:
    """An a=rtpmap that can't be read maps nothing: the other leg gets it as written and judges."""
    maps: dict[int, Codec] = {}
    for line in section.lines:
        if line.name == b"rtpmap":
            payload_type, codec = _rtpmap(line.text)
            if codec is not None:
                maps.setdefault(payload_type, codec)
    return maps


def _rtpmap(text: bytes) -> tuple[int, Codec | None]:
    """`<type> <name>/<clock rate>[/<channels>]` (RFC 4566 6)."""
    words = text.split()
    if len(words) < 2 or not words[0].isdigit() or len(words[0]) > 3:
        return 0, None
    name, _, numbers = words[1].partition(b"/")
    clock, _, channels = numbers.partition(b"/")
    clock_hz = _leading_number(clock)
    if not 1 <= clock_hz <= MAX_CLOCK_HZ:
        return 0, None
    count = min(_leading_number(channels), MAX_CHANNELS) or 1
    return int(words[0]), Codec(name.decode("latin-1").upper(), clock_hz, count)


def _leading_number(text: bytes) -> int:
    digits = text if text.isdigit() else text[: len(text) - len(text.lstrip(b"0123456789"))]
    return int(digits) if 0 < len(digits) < 10 else 0
