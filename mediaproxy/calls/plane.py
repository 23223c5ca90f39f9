"""What a media plane is asked to do and what it says back, as values.

`calls` and `recording` emit operations, a plane performs them and answers with events. Operations
on one call are performed in the order given; every one but `Allocate` is absorbed when the call is
not (or no longer) known to the plane, so that a release may race with anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from mediaproxy.audio.sound import Sound
from mediaproxy.ids import CallId
from mediaproxy.net import Endpoint, Family
from mediaproxy.sdp.payloads import Codec as Codec


class LegId(IntEnum):
    """Which leg of a call: A is the caller's, B the callee's."""

    A = 0
    B = 1

    @property
    def other(self) -> "LegId":
        return LegId.B if self is LegId.A else LegId.A


class Latch(Enum):
    """Which first packet locks a stream's source (RFC 4961); then it stays until c= or m= changes.

    AUTO: the SDP's IP with any port, or the signalling source's IP. ALWAYS: the first valid RTP.
    NEVER: the SDP's address and port alone.
    """

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class Tap(IntEnum):
    """What the tap copies of a leg's accepted packets."""

    OFF = 0
    HEADERS = 1  # the gate is closed: payload is never copied
    PAYLOAD = 2


@dataclass(frozen=True, slots=True)
class Remote:
    """Where a party expects its media, by its SDP. `rtcp` equals `rtp` with rtcp-mux (RFC 5761)."""

    rtp: Endpoint
    rtcp: Endpoint
    rtcp_mux: bool = False


@dataclass(frozen=True, slots=True)
class Allocate:
    """Take two port pairs, one a leg. Answered by `Allocated` or `AllocationFailed`.

    `generation` marks every tapped packet of this call; it is never used for another one.
    """

    call: CallId
    generation: int
    families: tuple[Family, Family] = (Family.IPV4, Family.IPV4)


@dataclass(frozen=True, slots=True)
class Connect:
    """A leg's party has said where its media goes. A changed `remote` starts latching anew."""

    call: CallId
    leg: LegId
    remote: Remote
    latch: Latch
    signalling_host: str


@dataclass(frozen=True, slots=True)
class Describe:
    """What a leg's party may send: payload types by the description *we sent to* that leg.

    `audio` maps payload types to codecs, `digits` are the telephone-event types (RFC 4733), and
    `heard` says whether the SDP lets this leg be heard by the other one (false on hold): what is
    not heard is relayed but never tapped.
    """

    call: CallId
    leg: LegId
    audio: Mapping[int, Codec]
    digits: frozenset[int] = frozenset()
    heard: bool = True


@dataclass(frozen=True, slots=True)
class SetTap:
    call: CallId
    leg: LegId
    tap: Tap


@dataclass(frozen=True, slots=True)
class WatchCodes:
    """Withhold digits from this leg that may form one of `codes` (action -> digits); None ends it."""

    call: CallId
    leg: LegId
    codes: Mapping[str, str] | None


class Tone(Enum):
    STARTED = "started"
    STOPPED = "stopped"
    REFUSED = "refused"
    WARNING = "warning"  # paused for too long


@dataclass(frozen=True, slots=True)
class PlayTone:
    """A short confirmation on this leg alone; it is never tapped."""

    call: CallId
    leg: LegId
    tone: Tone


@dataclass(frozen=True, slots=True)
class PlayAnnouncement:
    """Sound `sound` to `leg`'s party, in place of what sounds there; `number` names it in the events.

    It is mixed into the other leg's audio where the codec allows it and takes its place elsewhere;
    while nothing flows, packets of ours carry it. It begins when the party can hear us, and when that
    ends before the sound does, it begins anew the next time. Never tapped: `AnnouncementSpoken` says what
    went out. Over with `AnnouncementPlayed`, `StopAnnouncement`, another one, or the call.
    """

    call: CallId
    leg: LegId
    number: int
    sound: Sound


@dataclass(frozen=True, slots=True)
class StopAnnouncement:
    """Whatever announcement sounds or waits on this leg ends at once, without an event."""

    call: CallId
    leg: LegId


@dataclass(frozen=True, slots=True)
class WatchMedia:
    """Say `MediaTimedOut` when neither leg sent RTP for `timeout_s`; 0 = never (e.g. on hold)."""

    call: CallId
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Release:
    """Give the call's ports back. Idempotent; answered by `Released` when the call was known."""

    call: CallId


PlaneOperation = (
    Allocate
    | Connect
    | Describe
    | SetTap
    | WatchCodes
    | PlayTone
    | PlayAnnouncement
    | StopAnnouncement
    | WatchMedia
    | Release
)


@dataclass(frozen=True, slots=True)
class Allocated:
    """`local` are the RTP endpoints that each leg's party is to be told (RTCP: port + 1, or mux)."""

    call: CallId
    local: tuple[Endpoint, Endpoint]


@dataclass(frozen=True, slots=True)
class AllocationFailed:
    """No free ports, or none could be bound. The call is answered 503."""

    call: CallId
    reason: str


@dataclass(frozen=True, slots=True)
class CodeDialled:
    """A whole code came from a leg; `arrived_ns` is its last digit's first packet's arrival.

    With `certain` false it may still become a longer code: the leg's next one says what it was.
    """

    call: CallId
    leg: LegId
    action: str
    arrived_ns: int
    certain: bool = True


@dataclass(frozen=True, slots=True)
class DigitsSeen:
    """The first packet of an RFC 4733 event came from a watched leg.

    For 2 s after it digits by SIP INFO are the same ones told twice.
    """

    call: CallId
    leg: LegId
    arrived_ns: int


class Hindrance(Enum):
    """Why an announcement cannot sound now."""

    NOWHERE = "nowhere"  # the leg's party has not said where it hears, or no longer does
    NOT_LISTENING = "not_listening"  # by the SDP it hears nothing: hold, one-way media
    CODEC = "codec"  # none that we can encode


@dataclass(frozen=True, slots=True)
class AnnouncementSpoken:
    """`ticks` (1/8,000 s) of the announcement, from `first` on, went to `leg`'s party, who hears them from
    `at_ns` (monotonic) on. Stretches of one announcement never overlap in time and follow each other
    without gap as long as the packets did. `first` 0 may come again: it began anew."""

    call: CallId
    leg: LegId
    number: int
    first: int
    ticks: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class AnnouncementPlayed:
    """All of it went out; said when the last of it was to be heard, at `ended_ns`, not before."""

    call: CallId
    leg: LegId
    number: int
    ended_ns: int


@dataclass(frozen=True, slots=True)
class AnnouncementHindered:
    """It cannot sound at present, or was interrupted. It waits, and will begin anew."""

    call: CallId
    leg: LegId
    number: int
    reason: Hindrance


AnnouncementEvent = AnnouncementSpoken | AnnouncementPlayed | AnnouncementHindered


@dataclass(frozen=True, slots=True)
class MediaTimedOut:
    call: CallId


@dataclass(frozen=True, slots=True)
class MediaLost:
    """Whatever relayed this call is gone, and its ports with it. Nothing follows of this call."""

    call: CallId


@dataclass(frozen=True, slots=True)
class LegCounters:
    """What happened to one leg's packets. Never merged: each answers another question.

    What is an int may be summed over calls; floats are readings and may not. The reported values are
    what the leg's party says in RTCP of the stream that it was sent, whoever lost it on the way.
    """

    packets: int = 0  # valid RTP accepted from the leg's source
    relayed: int = 0
    rtcp: int = 0
    wrong_source: int = 0
    malformed: int = 0
    oversize: int = 0
    withheld: int = 0  # digits of a code
    injected: int = 0  # refused digits sent after all, packets with a tone or an announcement
    send_failed: int = 0
    reports: int = 0  # of the party's, by RTCP; without one the values below say nothing
    reported_lost: int = 0  # packets
    last_reported_loss_percent: float = 0.0
    worst_reported_loss_percent: float = 0.0
    last_reported_jitter_ms: float = 0.0
    worst_reported_jitter_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Released:
    call: CallId
    legs: tuple[LegCounters, LegCounters] = field(default=(LegCounters(), LegCounters()))


PlaneEvent = (
    Allocated
    | AllocationFailed
    | CodeDialled
    | DigitsSeen
    | AnnouncementEvent
    | MediaTimedOut
    | MediaLost
    | Released
)
