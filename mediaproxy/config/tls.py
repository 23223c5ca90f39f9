"""The keys of SIP over TLS."""

from pathlib import Path

from pydantic import Field

from mediaproxy.config.section import Section
from mediaproxy.transport.certificates import TlsFiles


class TlsSection(Section):
    """Who we are to TLS peers, and whom we trust. PEM files, relative to this file's folder."""

    certificate: Path | None = Field(None, description="ours, then those between it and the root")
    key: Path | None = Field(None, description="the certificate's, without a passphrase")
    ca: Path | None = Field(None, description="who signs our peers' certificates; default: the system's")

    @property
    def files(self) -> TlsFiles | None:
        if self.certificate is None or self.key is None:
            return None
        return TlsFiles(self.certificate, self.key, self.ca)

    def below(self, folder: Path) -> "TlsSection":
        """The same with absolute paths."""
        return self.model_copy(
            update={name: folder / path.expanduser() for name, path in self if path is not None}
        )
