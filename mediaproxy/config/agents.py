"""The table of an agent: at a fixed address, or with a password."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from mediaproxy.calls.model import Target
from mediaproxy.config.addresses import parse_contact
from mediaproxy.config.sections import Recorded
from mediaproxy.config.texts import Ha1, Ha256, LatchName, Name, PasswordText, TlsName, parses
from mediaproxy.sip.digest import Secret


class AgentSection(Recorded):
    """Someone at a fixed address, or with a password, who registers; or behind a PBX.

    Whoever sends from a fixed address is taken for its agent.
    """

    name: Name
    contact: Annotated[str, parses(parse_contact)] | None = Field(None, description="the fixed address")
    password: PasswordText | None = None
    password_file: Path | None = Field(
        None, description="its first line is the password; relative to this file's folder"
    )
    ha1: Ha1 | None = Field(None, description="MD5 of NAME:REALM:PASSWORD, instead of the password")
    ha256: Ha256 | None = Field(None, description="the same by SHA-256")
    trunk: Name | None = Field(None, description="of the PBX that it is behind, which has agent_from")
    tls_name: TlsName = Field("", description="which its certificate must hold; default: its address")
    latch: LatchName = "auto"

    @property
    def target(self) -> Target | None:
        return None if self.contact is None else replace(parse_contact(self.contact), name=self.tls_name)

    @property
    def registers(self) -> bool:
        return self.contact is None and self.trunk is None

    def secret(self, realm: str) -> Secret | None:
        """None: at a fixed address, or behind a PBX. A password file has been read by then."""
        if not self.registers:
            return None
        if self.password is not None:
            return Secret.of(self.name, realm, self.password.get_secret_value())
        return Secret(
            None if self.ha1 is None else self.ha1.get_secret_value().lower(),
            None if self.ha256 is None else self.ha256.get_secret_value().lower(),
        )

    @model_validator(mode="after")
    def _is_found_or_registers(self) -> "AgentSection":
        hashed = None if self.ha1 is None and self.ha256 is None else True
        known = (self.contact, self.password, self.password_file, hashed, self.trunk)
        if len([way for way in known if way is not None]) != 1:
            raise ValueError(
                "an agent is at a fixed address, registers, or is behind a PBX; give one of contact,"
                " password, password_file, ha1 and ha256, or trunk"
            )
        return self
