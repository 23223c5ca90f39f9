"""How we register with a carrier: `[[trunks]] register`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from mediaproxy.calls.model import TrunkRegister
from mediaproxy.config.section import Section
from mediaproxy.config.texts import Domain, Name, PasswordText, Realm


class RegisterSection(Section):
    """Its password answers that carrier's challenges, in calls too, and nobody else's."""

    user: Name = Field(description="the account's user: of From, To and Contact")
    password: PasswordText | None = None
    password_file: Path | None = Field(
        None, description="its first line is the password; relative to this file's folder"
    )
    auth_user: Name | None = Field(None, description="the user that the password is for; default: user")
    domain: Domain | None = Field(None, description="the account's domain; default: the trunk's address")
    realm: Realm | None = Field(
        None, description="of the challenges that are answered; default: the one that the registrar names"
    )
    expires_s: int = Field(3_600, ge=60, le=86_400, description="for how long; refreshed in time")

    @property
    def wanted(self) -> TrunkRegister:
        """A password file has been read by then."""
        assert self.password is not None
        return TrunkRegister(
            self.user,
            self.password.get_secret_value(),
            self.auth_user or "",
            self.domain or "",
            self.realm or "",
            self.expires_s,
        )

    @model_validator(mode="after")
    def _has_one_password(self) -> "RegisterSection":
        if (self.password is None) == (self.password_file is None):
            raise ValueError("how do we prove who we are? give one of password, password_file")
        return self

    def below(self, folder: Path) -> "RegisterSection":
        """The same with an absolute path."""
        if self.password_file is None:
            return self
        return self.model_copy(update={"password_file": folder / self.password_file.expanduser()})


Registering = Annotated[
    RegisterSection | None, Field(alias="register", description="an account that we register with it")
]
