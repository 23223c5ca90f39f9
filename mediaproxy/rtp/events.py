"""Telephone-events (RFC 4733 2.3): what a pressed key looks like in RTP."""

from dataclasses import dataclass, field
from struct import Struct
from typing import Final

PAYLOAD: Final = Struct("!BBH")
DIGITS: Final = "0123456789*#ABCD"  # by event code
MAX_DURATION: Final = 0xFFFF  # timestamp units; a longer event goes on in a new segment (2.5.1.3)

_END: Final = 0x80
_VOLUME: Final = 0x3F


@dataclass(frozen=True, slots=True)
class TelephoneEvent:
    """One packet's word on an event. `duration` is in timestamp units, `volume` in -dBm0."""

    code: int = field(repr=False)  # digits appear in no log
    end: bool
    volume: int
    duration: int

    @property
    def is_digit(self) -> bool:
        return self.code < len(DIGITS)


def parse_event(payload: bytes | bytearray | memoryview) -> TelephoneEvent | None:
    """The first event of a payload; None when there is none. The reserved bit is ignored."""
    if len(payload) < PAYLOAD.size:
        return None
    code, flags, duration = PAYLOAD.unpack_from(payload)
    return TelephoneEvent(code, bool(flags & _END), flags & _VOLUME, duration)


def build_event(event: TelephoneEvent) -> bytes:
    flags = event.volume | _END if event.end else event.volume
    return PAYLOAD.pack(event.code, flags, event.duration)
