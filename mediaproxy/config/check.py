"""What a valid configuration gets wrong all the same: routes nobody reaches, names nobody has."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from ipaddress import ip_address
from itertools import combinations
from pathlib import Path

from mediaproxy.audio.soundfile import MAX_SECONDS, BadSound, read_wav
from mediaproxy.calls.glob import Glob, Wild, compile_glob
from mediaproxy.calls.model import BEEP
from mediaproxy.clock import NS_PER_S
from mediaproxy.config.check_tls import judge_tls
from mediaproxy.config.findings import Finding, Severity
from mediaproxy.config.sections import RecordingSection, RouteSection
from mediaproxy.config.settings import Config
from mediaproxy.config.trunks import TrunkSection
from mediaproxy.media.ports import slices
from mediaproxy.rtp.codes import INTER_DIGIT_NS

Codes = tuple[tuple[str, str], ...]

PORTS_PER_CALL = 4  # two legs, RTP and RTCP
SHORT_TOKEN = 16
SHORT_PASSWORD = 10


def check(config: Config, file: str = "configuration") -> list[Finding]:
    """Errors first. A configuration without errors can be served."""
    judges = (
        _names, _sources, _destinations, _unreachable, _codes, _ports, _loops, _shared_addresses, _api,
        _keeping, _sounds, _consent, _passwords, judge_tls,
    )  # fmt: skip
    findings = [finding for judge in judges for finding in judge(config, file)]
    return sorted(findings, key=lambda finding: finding.severity is Severity.WARNING)


def _names(config: Config, file: str) -> Iterator[Finding]:
    kinds = {"trunks": [one.name for one in config.trunks], "agents": [one.name for one in config.agents]}
    for kind, names in kinds.items():
        for name in _repeated(names):
            yield _error(file, f"{kind}[].name", name, "given twice", "give each a name of its own")
    for listener in _repeated(config.sip.listen):
        yield _error(file, "sip.listen", listener, "given twice", "remove one")


def _sources(config: Config, file: str) -> Iterator[Finding]:
    owners = defaultdict(list)
    for trunk in _known_by_address(config):
        for network in trunk.networks:
            owners[network].append(trunk.name)
            if network.prefixlen == 0:
                yield _warning(
                    file, f"trunks.{trunk.name}.sources", str(network),
                    "everyone is taken for this trunk", "name the carrier's own networks",
                )  # fmt: skip
    for network, names in owners.items():
        if len(names) > 1:
            yield _error(
                file, f"trunks.{names[1]}.sources", str(network),
                f"trunk {names[0]} has the same, and is always taken", "give each trunk sources of its own",
            )  # fmt: skip


def _destinations(config: Config, file: str) -> Iterator[Finding]:
    agents = {agent.name for agent in config.agents}
    trunks = {trunk.name for trunk in config.trunks}
    for number, route in enumerate(config.routes):
        if route.agent is not None and route.agent not in agents:
            yield _error(file, f"routes[{number}].agent", route.agent, "no such agent", _one_of(agents))
        if route.trunk is not None and route.trunk not in trunks:
            yield _error(file, f"routes[{number}].trunk", route.trunk, "no such trunk", _one_of(trunks))


def _unreachable(config: Config, file: str) -> Iterator[Finding]:
    senders = [f"trunk:{one.name}" for one in config.trunks] + [f"agent:{one.name}" for one in config.agents]
    earlier: list[tuple[int, frozenset[str], Glob]] = []
    for number, route in enumerate(config.routes):
        source, called = compile_glob(route.from_), compile_glob(route.to)
        sent = frozenset(sender for sender in senders if source.matches(sender))
        if not sent:
            yield _nobody(file, number, route, source)
            continue
        covered = {sender for _, who, to in earlier if covers(to, called) for sender in who & sent}
        if covered == sent:
            first = next(at for at, who, to in earlier if who & sent and covers(to, called))
            yield _error(
                file, f"routes[{number}]", f"{route.from_} to {route.to}",
                f"never reached: routes[{first}] takes its calls", "move it up, or remove it",
            )  # fmt: skip
        earlier.append((number, sent, called))


def _nobody(file: str, number: int, route: RouteSection, source: Glob) -> Finding:
    """A pattern may be ahead of the agents to come; a plain name is a mistake."""
    severity = Severity.WARNING if set(Wild) & set(source.parts) else Severity.ERROR
    return Finding(
        severity,
        file,
        f"routes[{number}].from",
        route.from_,
        "no trunk or agent is called so",
        "correct the name",
    )


def _codes(config: Config, file: str) -> Iterator[Finding]:
    yield from _code_pairs("recording.dtmf", config.recording.codes, file)
    for number, route in enumerate(config.routes):
        yield from _code_pairs(f"routes[{number}].dtmf", route.codes(config.recording) or (), file)


def _code_pairs(key: str, codes: Codes, file: str) -> Iterator[Finding]:
    for (one, digits), (other, longer) in combinations(sorted(codes, key=_by_length), 2):
        if longer == digits:
            yield _error(
                file, f"{key}.{other}", longer,
                f"is the code for {one} too", f'give {other} digits of its own, or "" for none',
            )  # fmt: skip
        elif longer.startswith(digits):
            yield _warning(
                file, f"{key}.{other}", longer,
                f"begins with the code for {one}, so that one waits {INTER_DIGIT_NS // NS_PER_S} s",
                "choose codes of which none begins another",
            )  # fmt: skip


def _ports(config: Config, file: str) -> Iterator[Finding]:
    ports, text = config.media.port_range, config.media.ports
    workers = max(config.media.workers, 1)
    calls = sum(len(each) // PORTS_PER_CALL for each in slices(ports, workers))
    if calls == 0:
        problem = (
            "too few for one call" if workers == 1 else f"too few for one call of each of {workers} workers"
        )
        remedy = f"give at least {PORTS_PER_CALL * workers}, the first one even"
        yield _error(file, "media.ports", text, problem, remedy)
    elif config.sip.max_calls > calls:
        yield _warning(
            file,
            "media.ports",
            text,
            f"enough for {calls} calls, fewer than sip.max_calls",
            "widen the range",
        )
    if ports.start % 2:
        yield _warning(file, "media.ports", text, "RTP takes even ports", "begin with an even one")
    for listener in config.sip.listeners:
        taken = listener.endpoint.port in ports and listener.endpoint.host in config.media.addresses.values()
        if taken and listener.transport == "udp":
            yield _error(
                file, "media.ports", text, f"{listener.endpoint} is listened on for SIP", "leave it out"
            )


def _loops(config: Config, file: str) -> Iterator[Finding]:
    ours = {listener.endpoint for listener in config.sip.listeners}
    targets = [
        (f"agents.{one.name}.contact", one.contact, one.target)
        for one in config.agents
        if one.contact is not None and one.target is not None
    ]
    targets += [
        (f"trunks.{one.name}.{key}", text, target)
        for one in config.trunks
        for key, text, target in one.addresses
    ]
    for key, value, target in targets:
        if target.endpoint in ours:
            yield _error(file, key, value, "this is where we listen ourselves", "name the peer's address")


def _shared_addresses(config: Config, file: str) -> Iterator[Finding]:
    at = defaultdict(list)
    for agent in config.agents:
        if agent.target is None:
            continue
        host = agent.target.endpoint.host
        at[host].append(agent)
        for trunk in _known_by_address(config):
            if any(ip_address(host) in network for network in trunk.networks):
                yield _warning(
                    file, f"agents.{agent.name}.contact", agent.contact,
                    f"within the sources of trunk {trunk.name}: from another port it is taken for the trunk",
                    "narrow the trunk's sources",
                )  # fmt: skip
    for host, agents in at.items():
        if len(agents) > 1:
            names = ", ".join(agent.name for agent in agents)
            yield _warning(
                file, "agents[].contact", host,
                f"{names} share an address and are told apart by port or From alone",
                "give each agent an address, if they may not pass for each other",
            )  # fmt: skip


def _api(config: Config, file: str) -> Iterator[Finding]:
    api = config.api
    local = ip_address(api.endpoint.host).is_loopback
    agents = {agent.name for agent in config.agents}
    if not api.tokens:
        yield _warning(file, "api.tokens", None, "nobody can use the API", "add a token")
    elif not local:
        yield _warning(
            file, "api.listen", api.listen, "tokens and audio cross the network unencrypted",
            "listen on loopback, behind a proxy that speaks TLS",
        )  # fmt: skip
    if _repeated(token.token.get_secret_value() for token in api.tokens):
        yield _error(
            file, "api.tokens", None, "two tokens are the same", "give everyone a token of their own"
        )
    for number, token in enumerate(api.tokens):
        if token.agent is not None and token.agent not in agents:
            yield _error(file, f"api.tokens[{number}].agent", token.agent, "no such agent", _one_of(agents))
        if not local and len(token.token.get_secret_value()) < SHORT_TOKEN:
            yield _warning(
                file,
                f"api.tokens[{number}].token",
                None,
                f"shorter than {SHORT_TOKEN} signs",
                "choose a longer one",
            )


def _passwords(config: Config, file: str) -> Iterator[Finding]:
    """A guess costs a caller little, a guessed password the operator much: calls on his account."""
    for agent in config.agents:
        hashed = agent.ha1 is not None or agent.ha256 is not None
        if hashed and config.sip.realm is None and config.sip.domain is None:
            yield _warning(
                file, f"agents.{agent.name}", None,
                "the hash holds a realm, which is our address as long as none is named", "set sip.realm",
            )  # fmt: skip
        if agent.ha1 is not None and agent.ha256 is None:
            yield _warning(
                file, f"agents.{agent.name}.ha1", None, "MD5 alone is weak",
                "add ha256, if the telephone speaks SHA-256",
            )  # fmt: skip
        if agent.password is not None and len(agent.password.get_secret_value()) < SHORT_PASSWORD:
            yield _warning(
                file, f"agents.{agent.name}.password", None, f"shorter than {SHORT_PASSWORD} signs",
                "choose a longer one",
            )  # fmt: skip


def _sounds(config: Config, file: str) -> Iterator[Finding]:
    """Every sound file is read: what cannot be played must not be found out in a call."""
    for key, path in sound_files(config):
        try:
            read_wav(Path(path).read_bytes())
        except OSError as error:
            yield _error(file, key, path, str(error.strerror), "name a WAV that can be read")
        except BadSound as error:
            yield _error(
                file, key, path, str(error),
                f'name a WAV of at most {MAX_SECONDS} s in which something is to be heard, or "{BEEP}"',
            )  # fmt: skip


def sound_files(config: Config) -> list[tuple[str, str]]:
    """(key, absolute path) of every sound file that a call may need."""
    sections = [("recording", config.recording.announcement)]
    sections += [
        (f"routes[{number}]", route.announcement)
        for number, route in enumerate(config.routes)
        if route.announcement is not None
    ]
    found = [(f"{where}.announcement.{key}", name) for where, one in sections for key, name in one.files]
    return [(key, name) for key, name in found if name != BEEP]


def _consent(config: Config, file: str) -> Iterator[Finding]:
    """To what nobody heard nobody consented."""
    default = config.recording
    asked = [("recording.consent", default.consent, default.announcement)]
    asked += [
        (f"routes[{number}].consent", route.consent or default.consent, route.announced(default))
        for number, route in enumerate(config.routes)
        if route.consent is not None or route.announcement is not None
    ]
    for key, consent, announcement in asked:
        if consent == "required" and not announcement.file:
            yield _error(
                file, key, consent, "there is no announcement to consent to",
                f'set announcement.file to a WAV or "{BEEP}"',
            )  # fmt: skip


def _keeping(config: Config, file: str) -> Iterator[Finding]:
    """Only what was asked for: the default stands for whatever the storage allows."""
    asked: list[tuple[str, RecordingSection | RouteSection]] = [("recording.keep_days", config.recording)]
    asked += [(f"routes[{number}].keep_days", route) for number, route in enumerate(config.routes)]
    for key, section in asked:
        days = section.keep_days
        if "keep_days" not in section.model_fields_set or days is None:
            continue
        kept = config.storage.limits.kept_days(days)
        if kept != days:
            yield _warning(
                file, key, str(days), f"the storage's limits make it {kept or 'for ever'}",
                "name a number within storage.min_keep_days and max_keep_days, or change these",
            )  # fmt: skip


def covers(wide: Glob, narrow: Glob) -> bool:
    """Whether `wide` certainly matches whatever `narrow` matches."""

    @cache
    def from_here(at: int, other: int) -> bool:
        if other == len(narrow.parts):
            return all(part is Wild.ANY for part in wide.parts[at:])
        if at == len(wide.parts):
            return False
        mine, theirs = wide.parts[at], narrow.parts[other]
        if mine is Wild.ANY:
            return from_here(at + 1, other) or from_here(at, other + 1)
        if theirs is Wild.ANY:
            return False
        return (mine is Wild.ONE or mine == theirs) and from_here(at + 1, other + 1)

    return from_here(0, 0)


def _known_by_address(config: Config) -> list[TrunkSection]:
    return [trunk for trunk in config.trunks if not trunk.client_certificate]


def _repeated(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def _by_length(code: tuple[str, str]) -> int:
    return len(code[1])


def _one_of(names: set[str]) -> str:
    return f"use one of {', '.join(sorted(names))}" if names else "there are none yet: add it"


def _error(file: str, key: str, value: str | None, problem: str, remedy: str) -> Finding:
    return Finding(Severity.ERROR, file, key, value, problem, remedy)


def _warning(file: str, key: str, value: str | None, problem: str, remedy: str) -> Finding:
    return Finding(Severity.WARNING, file, key, value, problem, remedy)
