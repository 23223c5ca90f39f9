"""What a valid configuration gets wrong about TLS: files that cannot be used, peers out of reach."""

from collections.abc import Iterator

from mediaproxy.config.findings import Finding, Severity
from mediaproxy.config.settings import Config
from mediaproxy.transport.certificates import faults


def judge_tls(config: Config, file: str) -> Iterator[Finding]:
    if any(listener.transport == "tls" for listener in config.sip.listeners):
        yield from _files(config, file)
    else:
        yield from _out_of_reach(config, file)
    yield from _shared_names(config, file)


def _files(config: Config, file: str) -> Iterator[Finding]:
    tls = config.sip.tls
    for key, path in (("certificate", tls.certificate), ("key", tls.key)):
        if path is None:
            yield _error(
                file, f"sip.tls.{key}", None, "missing, and sip.listen has a TLS listener", "name a PEM file"
            )
    for fault in faults(tls.files) if tls.files else ():
        severity = Severity.WARNING if fault.warning else Severity.ERROR
        path = getattr(tls, fault.of)
        yield Finding(severity, file, f"sip.tls.{fault.of}", str(path), fault.problem, fault.remedy)


def _out_of_reach(config: Config, file: str) -> Iterator[Finding]:
    problem, remedy = "there is no TLS listener", 'add "tls:ADDRESS:PORT" to sip.listen'
    for agent in config.agents:
        if agent.target is not None and agent.target.transport == "tls":
            yield _error(file, f"agents.{agent.name}.contact", agent.contact, problem, remedy)
    for trunk in config.trunks:
        for key, address, target in trunk.addresses:
            if target.transport == "tls":
                yield _error(file, f"trunks.{trunk.name}.{key}", address, problem, remedy)
        if trunk.client_certificate:
            yield _error(file, f"trunks.{trunk.name}.client_certificate", "true", problem, remedy)


def _shared_names(config: Config, file: str) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for trunk in config.trunks:
        names = dict.fromkeys(target.proven_name for _, _, target in trunk.addresses)
        for name in names if trunk.client_certificate else ():
            if first.setdefault(name, trunk.name) != trunk.name:
                yield _error(
                    file, f"trunks.{trunk.name}.tls_name", name,
                    f"trunk {first[name]} has the same, and is always taken",
                    "give each trunk a name of its own",
                )  # fmt: skip


def _error(file: str, key: str, value: str | None, problem: str, remedy: str) -> Finding:
    return Finding(Severity.ERROR, file, key, value, problem, remedy)
