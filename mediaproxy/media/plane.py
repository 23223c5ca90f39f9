"""What every media plane is to its wiring. Planes differ by what they declare, never by their type."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from mediaproxy.calls.plane import LegCounters, PlaneOperation
from mediaproxy.ids import CallId
from mediaproxy.net import Family


class Capability(Enum):
    """What a plane can do beyond relaying RTP and RTCP."""

    TAP = "tap"  # SetTap: accepted packets are copied into the ring
    CODES = "codes"  # WatchCodes: digits of codes are withheld, refused ones made anew
    TONES = "tones"  # PlayTone
    ANNOUNCEMENTS = "announcements"  # PlayAnnouncement: with the codecs of `audio.codecs`


@dataclass(frozen=True, slots=True)
class PlaneSettings:
    """`bind` and `advertise` are numeric addresses by family; the latter is what parties are told.

    `ports`: RTP takes the even ones, RTCP the odd one above each. `quarantine_s` is how long a port
    rests after its call, so that a late sender of that call finds it closed. `compiled`: by the helper in C,
    where it was built.
    """

    bind: Mapping[Family, str]
    advertise: Mapping[Family, str]
    ports: range
    quarantine_s: float = 5.0
    compiled: bool = True


class Plane(Protocol):
    """Performs operations in the order given. Events come by the loop, never from inside `perform`."""

    @property
    def capabilities(self) -> frozenset[Capability]: ...

    def perform(self, operation: PlaneOperation) -> None: ...

    def counters(self, call: CallId) -> tuple[LegCounters, LegCounters] | None:
        """How a live call's legs fare; None when the call is not known."""

    def close(self) -> None:
        """Release every call and give back everything. Idempotent; no event follows."""
