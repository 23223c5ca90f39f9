"""The tables of the configuration: keys, defaults and what a value may be. Defaults are safe: loopback."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mediaproxy.api.tokens import Caller, Role, Token
from mediaproxy.calls.model import BEEP, Addressed, Announcement, Overrides, Policy, RecordingPolicy, Target
from mediaproxy.config.addresses import (
    Network,
    parse_endpoint,
    parse_host,
    parse_listener,
    parse_network,
    parse_ports,
    parse_target,
)
from mediaproxy.config.section import Section
from mediaproxy.config.texts import (
    Code,
    Database,
    Domain,
    EndpointText,
    Glob,
    Hosts,
    LatchName,
    Listeners,
    Name,
    PolicyName,
    Realm,
    SampleRate,
    SessionSeconds,
    Source,
    TlsName,
    TokenText,
    parses,
)
from mediaproxy.config.tls import TlsSection
from mediaproxy.net import Endpoint, Family
from mediaproxy.recording.keeping import Limits

Days = Annotated[int, Field(ge=0, le=36_500)]
Consent = Literal["none", "required"]
MIN_REMINDER_S = 5
PauseSeconds = Annotated[float, Field(ge=0, le=86_400)]
DtmfLegs = Literal["agent", "both"]


class SipSection(Section):
    """Signalling."""

    listen: Listeners = ("udp:127.0.0.1:5060",)
    domain: Domain | None = Field(None, description="the host of our From; default: the first listener's")
    realm: Realm | None = Field(None, description="what agents' passwords are for; default: domain")
    ring_timeout_s: float = Field(120.0, gt=0, le=3_600, description="then 480")
    session_expires_s: SessionSeconds = Field(0, description="asked of each side; 0: as peers wish")
    drain_timeout_s: float = Field(
        10.0,
        ge=0,
        le=86_400,
        description="how long a stopping server waits for live calls before it ends them",
    )
    max_calls: int = Field(0, ge=0, description="more are answered 503; 0 = as many as there are ports")
    tls: TlsSection = TlsSection()

    @property
    def has_tls(self) -> bool:
        """Whether we speak it at all."""
        return any(listener.transport == "tls" for listener in self.listeners)

    @property
    def listeners(self) -> tuple[Target, ...]:
        return tuple(parse_listener(text) for text in self.listen)

    @property
    def our_domain(self) -> str:
        host = self.listeners[0].endpoint.host
        return self.domain or (f"[{host}]" if ":" in host else host)

    @property
    def our_realm(self) -> str:
        return self.realm or self.our_domain


class CaptureSection(Section):
    """Copies of all SIP messages, for Homer and its like (HEP3)."""

    server: Annotated[str, parses(parse_endpoint)] | None = Field(
        None, description="ADDRESS:PORT, over UDP; unset = none"
    )
    id: int = Field(1, ge=0, lt=1 << 32, description="by which it tells this proxy from others")

    @property
    def endpoint(self) -> Endpoint | None:
        return None if self.server is None else parse_endpoint(self.server)


class MediaSection(Section):
    """RTP."""

    address: Hosts = Field("127.0.0.1", description="one, or one per family")
    advertise: Hosts | None = Field(None, description="what peers are told behind NAT")
    ports: Annotated[str, parses(parse_ports)] = "20000-29999"
    timeout_s: float = Field(
        60.0, ge=0, le=86_400, description="no RTP on both legs ends the call; 0 = never"
    )
    workers: int = Field(
        0,
        ge=0,
        le=64,
        description="processes that relay and record, as many as there are cores for it; 0 = the one alone",
    )
    compiled: bool = Field(True, description="use the compiled helper, where it was built")

    @property
    def addresses(self) -> dict[Family, str]:
        return _by_family(self.address)

    @property
    def advertised(self) -> dict[Family, str]:
        return self.addresses | _by_family(self.advertise or ())

    @property
    def port_range(self) -> range:
        return parse_ports(self.ports)

    @model_validator(mode="after")
    def _tellable(self) -> "MediaSection":
        for hosts in (self.address, self.advertise or ()):
            if not isinstance(hosts, str) and len(_by_family(hosts)) < len(hosts):
                raise ValueError("two addresses of one family; give one per family")
        if not set(_by_family(self.advertise or ())) <= set(self.addresses):
            raise ValueError("advertise has a family that address lacks; add an address of that family")
        if any(ip_address(host).is_unspecified for host in self.advertised.values()):
            raise ValueError("peers cannot be told an unspecified address; set media.advertise")
        return self


class TokenSection(Section):
    """Who may use the API."""

    token: TokenText
    role: Literal["admin", "agent"]
    agent: Name | None = None
    name: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        None, description="stands in recordings as the user; default: the agent, or the role"
    )

    @model_validator(mode="after")
    def _agent_is_named(self) -> "TokenSection":
        if self.role == "agent" and self.agent is None:
            raise ValueError('which agent? add agent = "NAME"')
        return self

    @property
    def known(self) -> Token:
        caller = Caller(Role(self.role), self.name or self.agent or self.role, self.agent)
        return Token(self.token.get_secret_value(), caller)


class ApiSection(Section):
    """The HTTP interface."""

    listen: EndpointText = "127.0.0.1:8080"
    tokens: tuple[TokenSection, ...] = ()

    @property
    def endpoint(self) -> Endpoint:
        return parse_endpoint(self.listen)

    def known_tokens(self) -> list[Token]:
        return [token.known for token in self.tokens]


class StorageSection(Section):
    """Where recordings live."""

    directory: Path = Field(Path("recordings"), description="relative to this file's folder")
    min_keep_days: Days = Field(0, description="no recording goes earlier, whatever its keep_days; 0 = none")
    max_keep_days: Days = Field(0, description="every recording goes by then; 0 = no such limit")
    backlog_mb: int = Field(
        256, ge=1, le=1_000_000, description="audio kept in memory while the disk does not take it"
    )
    renditions_mb: int = Field(
        1024, ge=0, le=1_000_000, description="what is kept of renditions; those least used go first"
    )

    @model_validator(mode="after")
    def _some_time_is_left(self) -> "StorageSection":
        if 0 < self.max_keep_days < self.min_keep_days:
            raise ValueError("max_keep_days is below min_keep_days; raise it, or 0 for no limit")
        return self

    @property
    def limits(self) -> Limits:
        return Limits(self.min_keep_days, self.max_keep_days)


class DatabaseSection(Section):
    """Where the call log lives."""

    url: Database = Field(
        "sqlite:///mediaproxy.sqlite", description="relative to this file's folder; four slashes: absolute"
    )


class DtmfSection(Section):
    """The codes that an agent dials; "" switches one off."""

    start: Code = "*1"
    stop: Code = "*2"
    toggle: Code = "*3"
    pause: Code = ""
    resume: Code = ""

    @property
    def codes(self) -> tuple[tuple[str, str], ...]:
        """(action, digits)"""
        return tuple((action, digits) for action, digits in self if digits)


class AnnouncementSection(Section):
    """What is said when a recording opens. Files are WAVs, relative to this file's folder, or "beep"."""

    file: str = Field("", description='a WAV of at most 60 s, or "beep"; "" = none')
    to: Literal["both", "carrier", "agent"] = "both"
    reminder: str = Field(
        "", description='as file: what is played again and again while recording; "" = none'
    )
    reminder_every_s: float = Field(0.0, ge=0, le=86_400)

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """(key, file) of what is to be played."""
        return tuple((key, name) for key, name in (("file", self.file), ("reminder", self.reminder)) if name)

    @property
    def announcement(self) -> Announcement:
        return Announcement(self.file, Addressed(self.to), self.reminder, self.reminder_every_s)

    @model_validator(mode="after")
    def _reminds_now_and_then(self) -> "AnnouncementSection":
        if self.reminder and self.reminder_every_s < MIN_REMINDER_S:
            raise ValueError(
                f"how often is the reminder played? reminder_every_s is at least {MIN_REMINDER_S}"
            )
        return self

    def below(self, folder: Path) -> "AnnouncementSection":
        """The same with absolute paths."""
        paths = {key: str(folder / Path(name).expanduser()) for key, name in self.files if name != BEEP}
        return self.model_copy(update=paths)


class RecordingSection(Section):
    """How calls are recorded, unless their route or agent says otherwise."""

    policy: PolicyName = "on_demand"
    pausable: bool = Field(True, description="false: no stop, pause or code is obeyed")
    format: Literal["wav", "flac"] = Field("wav", description="of the published recording; both are exact")
    sample_rate: SampleRate = Field(
        8000, description='of the file, in Hz; "best": by the call\'s best codec at the answer'
    )
    dtmf: DtmfSection = DtmfSection()
    dtmf_legs: DtmfLegs = Field("agent", description="both: from the carrier's leg too, but only to close")
    max_pause_s: PauseSeconds = Field(0.0, description="a longer pause is warned of by a tone; 0 = never")
    resume_after_max_pause: bool = Field(False, description="true: such a pause ends by itself")
    keep_unrecorded: bool = Field(False, description="keep the silent file of a call never recorded")
    record_on_hold: bool = Field(True, description="false: hold is silence in the file")
    on_recorder_failure: Literal["continue", "refuse_new"] = Field(
        "continue", description="refuse_new: 503 to new calls that would be recorded while the storage fails"
    )
    agents_may_redact_s: int = Field(
        0, ge=0, le=86_400, description="how far back from a call's end its agents may redact; 0: not at all"
    )
    confirmation_tone: bool = Field(False, description="a short tone to the agent alone, never in the file")
    keep_days: Days = Field(0, description="how long a recording is kept; 0 = for ever")
    consent: Consent = Field(
        "none", description='"required": nobody is recorded before the announcement was played in full'
    )
    announcement: AnnouncementSection = AnnouncementSection()

    @property
    def codes(self) -> tuple[tuple[str, str], ...]:
        """(action, digits)"""
        return self.dtmf.codes

    @property
    def default_policy(self) -> RecordingPolicy:
        return RecordingPolicy(
            Policy(self.policy),
            self.pausable,
            keep_days=self.keep_days,
            consent_required=self.consent == "required",
            announcement=self.announcement.announcement,
            carrier_closes=self.dtmf_legs == "both",
            max_pause_s=self.max_pause_s,
            resume_after_max_pause=self.resume_after_max_pause,
        )


class Recorded(Section):
    """What may say how its calls are recorded."""

    recording: PolicyName | None = None
    pausable: bool | None = None

    @model_validator(mode="after")
    def _pausable_what(self) -> Any:
        if self.pausable is not None and self.recording is None:
            raise ValueError('pausable alone says nothing; add recording = "on_demand" or "automatic"')
        return self

    def own_policy(self, default: RecordingSection) -> RecordingPolicy | None:
        if self.recording is None:
            return None
        return replace(
            default.default_policy,
            policy=Policy(self.recording),
            pausable=default.pausable if self.pausable is None else self.pausable,
        )


class TrunkSection(Section):
    """A carrier. Whoever sends from `sources` is taken for it, or who shows its certificate."""

    name: Name
    address: Annotated[str, parses(parse_target)]
    sources: tuple[Annotated[str, parses(parse_network)], ...] = Field(
        (), description="default: its address alone"
    )
    tls_name: TlsName = Field("", description="which its certificate must hold; default: its address")
    client_certificate: bool = Field(
        False, description="true: who shows a certificate with that name is this trunk, and nobody else"
    )
    latch: LatchName = "auto"

    @property
    def target(self) -> Target:
        return replace(parse_target(self.address), name=self.tls_name)

    @property
    def networks(self) -> tuple[Network, ...]:
        return tuple(parse_network(text) for text in self.sources or (self.target.endpoint.host,))


class RouteSection(Recorded):
    """First match wins."""

    from_: Source = Field(alias="from")
    to: Glob
    agent: Name | None = None
    trunk: Name | None = None
    keep_days: Days | None = None
    dtmf: DtmfSection | None = Field(None, description="codes that differ from recording.dtmf")
    dtmf_legs: DtmfLegs | None = None
    max_pause_s: PauseSeconds | None = None
    resume_after_max_pause: bool | None = None
    consent: Consent | None = None
    announcement: AnnouncementSection | None = Field(
        None, description="what differs from recording.announcement"
    )

    @property
    def overrides(self) -> Overrides:
        return Overrides(
            keep_days=self.keep_days,
            consent_required=None if self.consent is None else self.consent == "required",
            carrier_closes=None if self.dtmf_legs is None else self.dtmf_legs == "both",
            max_pause_s=self.max_pause_s,
            resume_after_max_pause=self.resume_after_max_pause,
        )

    def codes(self, default: RecordingSection) -> tuple[tuple[str, str], ...] | None:
        """(action, digits): the route's own, and the default's where it is silent; None: it names none."""
        if self.dtmf is None:
            return None
        own = self.dtmf.model_dump(include=self.dtmf.model_fields_set)
        return default.dtmf.model_copy(update=own).codes

    def announced(self, default: RecordingSection) -> AnnouncementSection:
        """The route's own announcement, and the default's where it is silent."""
        if self.announcement is None:
            return default.announcement
        own = self.announcement.model_dump(include=self.announcement.model_fields_set)
        return default.announcement.model_copy(update=own)

    @model_validator(mode="after")
    def _leads_to_one(self) -> "RouteSection":
        if (self.agent is None) == (self.trunk is None):
            raise ValueError('a route leads to one agent or one trunk; give agent = "NAME" or trunk = "NAME"')
        return self


def _by_family(hosts: str | tuple[str, ...]) -> dict[Family, str]:
    listed = (hosts,) if isinstance(hosts, str) else hosts
    return {Endpoint(host, 0).family: host for host in map(parse_host, listed)}
