"""Certificates as TLS for SIP needs them (RFC 5922): judged before use, made contexts, asked for names."""

import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mediaproxy.errors import Malformed, Unavailable
from mediaproxy.sip.uri import parse_uri

SOON = timedelta(days=14)
NOT_TLS, NOT_PLAIN = "it speaks no TLS", "it speaks TLS to a TCP port"
WRONG_NAME = "its certificate is good, and not of"  # whom we wanted
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL"})


class TlsFiles(NamedTuple):
    """PEM. `certificate` is ours, with those up to the root; `ca` whom we trust, None: the system's."""

    certificate: Path
    key: Path
    ca: Path | None = None

    def version(self) -> tuple[object, ...]:
        """Another one when a file has become another one; blocks."""
        return tuple(_version(path) for path in self if path is not None)


class Contexts(NamedTuple):
    """`accepting` is for who connects to us, `connecting` for whom we connect to."""

    accepting: ssl.SSLContext
    connecting: ssl.SSLContext


class Fault(NamedTuple):
    """What is wrong with one of the files; `of` is its name in `TlsFiles`. A `warning` can be served with."""

    of: str
    problem: str
    remedy: str
    warning: bool = False


def faults(files: TlsFiles, *, now: datetime | None = None) -> Iterator[Fault]:
    """Reads them all; blocks."""
    certificate, key = _read(files.certificate, _load_certificates), _read(files.key, _load_key)
    if isinstance(certificate, str):
        yield Fault("certificate", certificate, "name a PEM file that holds our certificate")
    else:
        yield from _time_faults(certificate[0], now or datetime.now(UTC))
    if isinstance(key, str):
        yield Fault("key", key, "name a PEM file that holds the certificate's key, without a passphrase")
    elif not isinstance(certificate, str) and _public(certificate[0]) != _public(key):
        yield Fault("key", "is not the certificate's", "name the key that the certificate was made for")
    trusted = None if files.ca is None else _read(files.ca, _load_certificates)
    if isinstance(trusted, str):
        yield Fault("ca", trusted, "name a PEM file of certificates to trust, or leave it out")


def contexts(files: TlsFiles, *, ask_clients: bool) -> Contexts:
    """`ask_clients`: whoever connects may show a certificate, and it must be good then. Blocks.

    Raises `Unavailable` with file, problem and remedy.
    """
    for fault in faults(files):
        if not fault.warning:
            raise Unavailable(f"{getattr(files, fault.of)}: {fault.problem}; {fault.remedy}")
    accepting, connecting = (
        _context(side, files) for side in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)
    )
    accepting.verify_mode = ssl.CERT_OPTIONAL if ask_clients else ssl.CERT_NONE
    return Contexts(accepting, connecting)


def names(certificate: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The SIP identities of a verified certificate (RFC 5922 7.1), and addresses, which our peers have too.

    `certificate` is as `SSLSocket.getpeercert` gives it. Wildcards are names like any other: they match
    nothing (7.2). The subject counts only where there is no subjectAltName.
    """
    if not certificate:
        return ()
    others = certificate.get("subjectAltName")
    if others is None:
        subject = [pair for pairs in certificate.get("subject", ()) for pair in pairs]
        return tuple(value.lower() for key, value in subject if key == "commonName")
    return tuple(name for kind, value in others if (name := _identity(kind, value)))


def reason_of(error: OSError) -> str:
    """Why a handshake failed, in words of ours and of OpenSSL's: none of them is the peer's."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = getattr(error, "verify_message", "")  # not there when it was us who looked
        return f"its certificate is refused: {why}" if why else str(error.args[0])
    if isinstance(error, ssl.SSLError):
        return NOT_TLS if error.reason in _NO_TLS else f"no TLS with it: {error.reason or 'it broke off'}"
    return "it broke off, or took too long"


def _identity(kind: str, value: str) -> str:
    if kind == "DNS":
        return value.lower()
    try:
        if kind == "IP Address":
            return str(ip_address(value))
        uri = parse_uri(value) if kind == "URI" else None
    except (ValueError, Malformed):
        return ""
    return uri.host.lower() if uri is not None and uri.scheme == "sip" and uri.user is None else ""


def _context(side: int, files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.check_hostname = False  # by `names`: wildcards are not for SIP, URIs are
    try:
        context.load_cert_chain(files.certificate, files.key)
        if files.ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(files.ca)
    except OSError as error:  # SSLError is one
        raise Unavailable(f"{files.certificate}: cannot be used: {error}; make a new one") from None
    return context


def _read(path: Path, parse: Any) -> Any:
    """What `parse` makes of the file, or what is wrong with it as a text."""
    try:
        return parse(path.read_bytes())
    except OSError as error:
        return str(error.strerror)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: encrypted
        return "not PEM, empty, encrypted, or of a kind that is not known"


def _load_certificates(pem: bytes) -> list[x509.Certificate]:
    loaded = x509.load_pem_x509_certificates(pem)
    for certificate in loaded:
        certificate.public_key()  # raises when its kind is not known
    return loaded


def _load_key(pem: bytes) -> Any:
    return load_pem_private_key(pem, None)


def _public(holder: Any) -> bytes:
    key: bytes = holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return key


def _time_faults(certificate: x509.Certificate, now: datetime) -> Iterator[Fault]:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins:
        yield Fault("certificate", f"is valid from {begins:%Y-%m-%d %H:%M} UTC on", "wait, or mend the clock")
    if ends <= now:
        yield Fault("certificate", f"expired on {ends:%Y-%m-%d %H:%M} UTC", "put a new one in its place")
    elif ends - now < SOON:
        problem = f"expires on {ends:%Y-%m-%d %H:%M} UTC"
        yield Fault("certificate", problem, "put a new one in its place by then", warning=True)


def _version(path: Path) -> object:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
