"""The table of a trunk: a carrier at one address, or at several of which one is enough."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field, model_validator

from mediaproxy.calls.model import Place, Target
from mediaproxy.config.addresses import Network, parse_network, parse_target
from mediaproxy.config.section import Section
from mediaproxy.config.texts import LatchName, Name, TlsName, parses

Share = Annotated[int, Field(ge=0, le=65_535)]


class TargetSection(Section):
    """One of a trunk's addresses (RFC 2782)."""

    address: Annotated[str, parses(parse_target)]
    priority: Share = Field(0, description="lower ones are tried first")
    weight: Share = Field(0, description="among equal priorities: how often it is the first, by proportion")


class TrunkSection(Section):
    """A carrier. Whoever sends from `sources` is taken for it, or who shows its certificate."""

    name: Name
    address: Annotated[str, parses(parse_target)] | None = Field(None, description="where its calls go")
    targets: tuple[TargetSection, ...] = Field(
        (), description="instead of address: on 503, 408, silence or a dead connection the next one is tried"
    )
    sources: tuple[Annotated[str, parses(parse_network)], ...] = Field(
        (), description="default: its addresses alone"
    )
    tls_name: TlsName = Field("", description="which its certificate must hold; default: its address")
    client_certificate: bool = Field(
        False, description="true: who shows a certificate with that name is this trunk, and nobody else"
    )
    latch: LatchName = "auto"

    @property
    def addresses(self) -> tuple[tuple[str, str, Target], ...]:
        """Key, text and value of each, as they were written."""
        texts = [("address", self.address)] if self.address is not None else []
        texts += [(f"targets[{number}].address", one.address) for number, one in enumerate(self.targets)]
        return tuple((key, text, replace(parse_target(text), name=self.tls_name)) for key, text in texts)

    @property
    def target(self) -> Target:
        return self.addresses[0][2]

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(
            Place(target, one.priority, one.weight)
            for one, (_, _, target) in zip(self.targets, self.addresses, strict=False)
        )

    @property
    def networks(self) -> tuple[Network, ...]:
        texts = self.sources or dict.fromkeys(target.endpoint.host for _, _, target in self.addresses)
        return tuple(parse_network(text) for text in texts)

    @model_validator(mode="after")
    def _is_somewhere(self) -> "TrunkSection":
        if (self.address is None) == (not self.targets):
            raise ValueError("a trunk has one address or several targets; give address, or targets")
        return self
