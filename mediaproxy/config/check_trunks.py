"""What a valid configuration gets wrong about its carriers all the same."""

from collections.abc import Iterator

from mediaproxy.config.findings import Finding, Severity
from mediaproxy.config.settings import Config


def judge_trunks(config: Config, file: str) -> Iterator[Finding]:
    """An account is of use only where we can send to its registrar."""
    ours = {(listener.transport, listener.endpoint.family) for listener in config.sip.listeners}
    for trunk in config.trunks:
        target = trunk.target
        if trunk.register_ is not None and (target.transport, target.endpoint.family) not in ours:
            yield Finding(
                Severity.ERROR,
                file,
                f"trunks.{trunk.name}.register",
                trunk.address,
                "no listener of ours reaches it",
                f"add one of {target.transport} and its kind of address to sip.listen",
            )
