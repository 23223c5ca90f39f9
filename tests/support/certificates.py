"""Certificates made at test time: an authority of the test's own, and whatever it signs."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mediaproxy.transport.certificates import TlsFiles

PEM, PLAIN = Encoding.PEM, (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Authority:
    """Signs certificates; all files lie in `folder`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name = folder, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        made = _builder(name, name, self._key.public_key(), 30).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.ca = folder / f"{name}-ca.pem"
        self.ca.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(PEM))

    def issue(self, file: str, *names: str, subject: str = "peer", days: float = 30) -> TlsFiles:
        """For these DNS names, addresses and `sip:` URIs; without any, the subject alone says who it is."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _builder(subject, self.name, key.public_key(), days)
        if names:
            made = made.add_extension(x509.SubjectAlternativeName(map(_general, names)), critical=False)
        certificate, secret = self.folder / f"{file}.pem", self.folder / f"{file}.key"
        secret.write_bytes(key.private_bytes(*PLAIN))
        certificate.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(PEM))
        return TlsFiles(certificate, secret, self.ca)


def client_context(ca: Path, own: TlsFiles | None = None) -> ssl.SSLContext:
    """A peer's, for connections to us."""
    context = ssl.create_default_context(cafile=ca)
    if own is not None:
        context.load_cert_chain(own.certificate, own.key)
    return context


def server_context(own: TlsFiles) -> ssl.SSLContext:
    """A peer's, for connections from us."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    return context


def _builder(
    subject: str, issuer: str, public: ec.EllipticCurvePublicKey, days: float
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    ends = now + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, ends) - timedelta(days=1))
        .not_valid_after(ends)
    )


def _general(name: str) -> x509.GeneralName:
    if name.startswith("sip:"):
        return x509.UniformResourceIdentifier(name)
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
