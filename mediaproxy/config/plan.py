"""The configuration as the call core reads it."""

from dataclasses import replace

from mediaproxy.calls.model import Agent, Overrides, Plan, Route, Trunk
from mediaproxy.calls.plane import Latch
from mediaproxy.config.agents import AgentSection
from mediaproxy.config.sections import RecordingSection, RouteSection
from mediaproxy.config.settings import Config


def plan(config: Config) -> Plan:
    """Everything that decides about a new call."""
    default = config.recording
    return Plan(
        domain=config.sip.our_domain,
        realm=config.sip.our_realm,
        trunks=tuple(
            Trunk(one.name, one.target, one.networks, Latch(one.latch), one.client_certificate)
            for one in config.trunks
        ),
        agents=tuple(_agent(one, config.sip.our_realm, default) for one in config.agents),
        routes=tuple(
            Route(one.from_, one.to, one.agent, one.trunk, one.own_policy(default), _overrides(one, default))
            for one in config.routes
        ),
        recording=default.default_policy,
        codes=default.codes,
        ring_timeout_s=config.sip.ring_timeout_s,
        session_expires_s=config.sip.session_expires_s,
        media_timeout_s=config.media.timeout_s,
        max_calls=config.sip.max_calls,
    )


def _agent(one: AgentSection, realm: str, default: RecordingSection) -> Agent:
    return Agent(
        one.name,
        one.contact or "",
        one.target,
        Latch(one.latch),
        one.own_policy(default),
        one.secret(realm),
    )


def _overrides(route: RouteSection, default: RecordingSection) -> Overrides:
    announcement = None if route.announcement is None else route.announced(default).announcement
    return replace(route.overrides, codes=route.codes(default), announcement=announcement)


def needs_restart(old: Config, new: Config) -> list[str]:
    """The keys that differ and are read at the start alone; everything else a reload may change."""
    fixed = {
        "sip": {"listen"},
        "capture": {"server", "id"},
        "media": {"address", "advertise", "compiled", "ports", "workers"},
        "api": {"listen"},
        "storage": {"backlog_mb", "directory", "renditions_mb"},
        "database": {"url"},
        "recording": {"format", "sample_rate", "keep_unrecorded", "record_on_hold", "confirmation_tone"},
    }
    before, after = old.model_dump(include=fixed), new.model_dump(include=fixed)
    return [
        f"{section}.{key}"
        for section, keys in after.items()
        for key, value in keys.items()
        if before[section][key] != value
    ]
