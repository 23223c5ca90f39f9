"""Who may call whom, and how it is recorded: the operator's words as values."""

from dataclasses import dataclass, field, fields, replace
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

from mediaproxy.calls.plane import Latch
from mediaproxy.net import Endpoint
from mediaproxy.sip.digest import Secret


class Policy(Enum):
    """How a call is recorded: never, by command, or from position 0."""

    OFF = "off"
    ON_DEMAND = "on_demand"
    AUTOMATIC = "automatic"


class Addressed(Enum):
    """Whom an announcement is for."""

    BOTH = "both"
    CARRIER = "carrier"
    AGENT = "agent"


BEEP = "beep"  # a sound of ours, no file


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is said when a recording opens: `sound` and `reminder` are absolute paths of WAVs, or `BEEP`.

    Both are empty when nothing is played; the reminder comes every `reminder_every_s` while recording.
    """

    sound: str = ""
    to: Addressed = Addressed.BOTH
    reminder: str = ""
    reminder_every_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RecordingPolicy:
    """The policy of one call. With `pausable` false every stop, pause and code is refused.

    `keep_days`: how long the published recording is kept; 0 = for ever.
    """

    policy: Policy = Policy.ON_DEMAND
    pausable: bool = True
    keep_days: int = 0
    consent_required: bool = False  # nobody is recorded before the announcement was played to them in full
    announcement: Announcement = field(default_factory=Announcement)
    codes: tuple[tuple[str, str], ...] | None = None  # (action, digits); None: the plan's
    carrier_closes: bool = False  # the codes that close are obeyed from the carrier's leg too
    max_pause_s: float = 0.0  # a longer pause is warned of; 0 = never
    resume_after_max_pause: bool = False


@dataclass(frozen=True, slots=True)
class Overrides:
    """What a route decides of a policy, whoever decides the rest. None: it leaves that as it is.

    The names are those of `RecordingPolicy`.
    """

    keep_days: int | None = None
    consent_required: bool | None = None
    announcement: Announcement | None = None
    codes: tuple[tuple[str, str], ...] | None = None
    carrier_closes: bool | None = None
    max_pause_s: float | None = None
    resume_after_max_pause: bool | None = None

    def over(self, policy: RecordingPolicy) -> RecordingPolicy:
        said = {one.name: value for one in fields(self) if (value := getattr(self, one.name)) is not None}
        return replace(policy, **said)


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests to a trunk go: `transport` is "udp", "tcp" or "tls".

    `name` is the one that a TLS peer's certificate must hold; "" is its address.
    """

    transport: str
    endpoint: Endpoint
    name: str = ""

    @property
    def proven_name(self) -> str:
        """As in a flow's `names`."""
        return self.name.lower() or self.endpoint.host


@dataclass(frozen=True, slots=True)
class Trunk:
    """`by_certificate`: whoever proves to hold its target's name is this trunk, and nobody is by address."""

    name: str
    target: Target
    sources: tuple[IPv4Network | IPv6Network, ...]
    latch: Latch = Latch.AUTO
    by_certificate: bool = False


@dataclass(frozen=True, slots=True)
class Agent:
    """`contact` is the SIP URI verbatim; `target` is where it points.

    One who `registers` has neither, but a `secret`: it says where it is, and proves who it is.
    """

    name: str
    contact: str = ""
    target: Target | None = None
    latch: Latch = Latch.AUTO
    recording: RecordingPolicy | None = None
    secret: Secret | None = None

    @property
    def registers(self) -> bool:
        return self.secret is not None


@dataclass(frozen=True, slots=True)
class Route:
    """First match wins. `source` is `trunk:NAME` or `agent:NAME` with globs, `to` a glob."""

    source: str
    to: str
    agent: str | None = None
    trunk: str | None = None
    recording: RecordingPolicy | None = None
    overrides: Overrides = Overrides()


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides about a new call; replaced whole on a reload."""

    domain: str
    realm: str = ""  # that passwords are for (RFC 3261 22.1)
    trunks: tuple[Trunk, ...] = ()
    agents: tuple[Agent, ...] = ()
    routes: tuple[Route, ...] = ()
    recording: RecordingPolicy = field(default_factory=RecordingPolicy)
    codes: tuple[tuple[str, str], ...] = ()  # (action, digits)
    ring_timeout_s: float = 120.0
    session_expires_s: int = 0  # the session timer that we ask for (RFC 4028); 0 = none
    media_timeout_s: float = 60.0
    max_calls: int = 0  # 0 = no limit
