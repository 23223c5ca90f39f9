"""Who sends, where a call goes, how it is recorded: one plan, read many times."""

from collections import defaultdict
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from mediaproxy.calls.glob import Glob, compile_glob
from mediaproxy.calls.model import Agent, Plan, Policy, RecordingPolicy, Route, Trunk
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.uri import parse_uri

Peer = Agent | Trunk

VISUAL = str.maketrans("", "", "-.()")  # RFC 3966 5.1.1: separators for the eye


@dataclass(frozen=True, slots=True)
class Destination:
    """What a call is sent to, and by which route."""

    route: Route
    peer: Peer
    recording: RecordingPolicy


@dataclass(slots=True)
class Routing:
    """A plan with its indexes."""

    plan: Plan
    _agents: dict[str, list[tuple[Agent, int]]] = field(default_factory=lambda: defaultdict(list))
    _sources: list[tuple[IPv4Network | IPv6Network, Trunk]] = field(default_factory=list)
    _by_certificate: list[Trunk] = field(default_factory=list)
    _routes: list[tuple[Glob, Glob, Route]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for agent in self.plan.agents:
            if agent.target is not None:
                self._agents[agent.target.endpoint.host].append((agent, agent.target.endpoint.port))
        trunks = self.plan.trunks
        self._by_certificate = [trunk for trunk in trunks if trunk.by_certificate]
        self._sources = [
            (net, trunk) for trunk in trunks if not trunk.by_certificate for net in trunk.sources
        ]
        self._sources.sort(key=lambda source: -source[0].prefixlen)  # stable: the first one named wins
        self._routes = [
            (compile_glob(route.source), compile_glob(route.to), route) for route in self.plan.routes
        ]

    def sender(self, flow: Flow, *, from_user: str) -> Peer | None:
        """Who sent a request: by certificate, an agent's contact, the longest prefix, an agent's host.

        A reliable transport's source port says nothing: there the contact's host is enough, and
        several agents behind it are told apart by the From user.
        """
        source = flow.remote
        for trunk in self._by_certificate:
            if any(target.proven_name in flow.names for target in trunk.targets):
                return trunk
        at_host = self._agents.get(source.host, [])
        here = [agent for agent, _ in at_host]
        if flow.reliable:
            contacts = here if len(here) == 1 else _named(here, from_user)
        else:
            contacts = [agent for agent, port in at_host if port == source.port]
        if len(contacts) > 1:
            contacts = _named(contacts, from_user) or contacts
        known = None if contacts else self._trunk(ip_address(source.host))
        if contacts or known:
            return contacts[0] if contacts else known
        agents = here if len(here) == 1 else _named(here, from_user)
        return agents[0] if agents else None

    def destination(self, sender: Peer, called: str) -> Destination | None:
        """The first route that fits, with the recording policy that follows from it."""
        source = f"{'agent' if isinstance(sender, Agent) else 'trunk'}:{sender.name}"
        for from_glob, to_glob, route in self._routes:
            if from_glob.matches(source) and to_glob.matches(called):
                peer = self._peer(route)
                return Destination(route, peer, self._policy(route, sender, peer)) if peer else None
        return None

    def _trunk(self, address: IPv4Address | IPv6Address) -> Trunk | None:
        for network, trunk in self._sources:
            if address in network:
                return trunk
        return None

    def _peer(self, route: Route) -> Peer | None:
        for agent in self.plan.agents:
            if agent.name == route.agent:
                return agent
        for trunk in self.plan.trunks:
            if trunk.name == route.trunk:
                return trunk
        return None

    def _policy(self, route: Route, sender: Peer, peer: Peer) -> RecordingPolicy:
        """An agent's `off` wins; else route, agent (the callee before the caller), default."""
        own = [who.recording for who in (peer, sender) if isinstance(who, Agent) and who.recording]
        for policy in own:
            if policy.policy is Policy.OFF:
                return policy
        chosen = next((policy for policy in (route.recording, *own) if policy), self.plan.recording)
        return route.overrides.over(chosen)


def _named(agents: list[Agent], user: str) -> list[Agent]:
    return [agent for agent in agents if parse_uri(agent.contact).user == user]


def called_number(user: str) -> str:
    """The %-decoded user of a Request-URI without its parameters and without visual separators."""
    return user.partition(";")[0].translate(VISUAL)
