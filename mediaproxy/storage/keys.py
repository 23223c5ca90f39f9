"""The signing key: made at the first start, kept beside the recordings, readable by us alone.

The public half lies beside it under its key id, so that what was signed with a former key can still be
verified: to change the key, move `keys/signing.pem` away and restart. Copy `keys/*.pub` elsewhere to hold
recordings against keys that nobody here can change.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from mediaproxy.errors import Unavailable
from mediaproxy.recording import manifest
from mediaproxy.storage import disk

SIGNING_KEY = "signing.pem"


def load_or_make(directory: Path) -> bytes:
    """The 32-byte Ed25519 seed. `Unavailable` when the key file is there but is no such key."""
    disk.make_directory(directory)
    path = directory / SIGNING_KEY
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        disk.write_new(path, pem)
    else:
        key = _load(path)
        path.chmod(disk.FILE_MODE)  # whoever copied it here may have left it open
    _keep_public(directory, key.public_key())
    disk.sync_directory(directory)
    return key.private_bytes_raw()


def _load(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise _no_key(path) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _no_key(path)
    return key


def _no_key(path: Path) -> Unavailable:
    return Unavailable(f"{path}: is no Ed25519 key in PEM; restore it, or move it away for a new one")


def _keep_public(directory: Path, key: Ed25519PublicKey) -> None:
    path = directory / f"{manifest.key_id(key.public_bytes_raw())}.pub"
    if not path.exists():
        disk.write_new(path, _pem(key))


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public half: its id, the 32 raw bytes, and the same as PEM."""

    key_id: str
    raw: bytes
    pem: str


def public_keys(directory: Path) -> list[PublicKey]:
    """Every public key in a directory, former ones too, in the order of their ids."""
    found = (_public(path) for path in sorted(directory.glob("*.pub")))
    return sorted((key for key in found if key is not None), key=lambda key: key.key_id)


def beside(path: Path) -> dict[str, bytes]:
    """The raw public keys by id of the storage in which `path` lies; none when it lies in none."""
    for directory in (path.absolute(), *path.absolute().parents):
        if (directory / "keys").is_dir():
            return _by_id(public_keys(directory / "keys"))
    return {}


def given(paths: Iterable[Path]) -> dict[str, bytes]:
    """The raw public keys by id in PEM files, or directories of `*.pub`. `Unavailable` when one has none."""
    found: dict[str, bytes] = {}
    for path in paths:
        named = public_keys(path) if path.is_dir() else [key for key in [_public(path)] if key]
        if not named:
            raise Unavailable(f"{path}: holds no Ed25519 public key in PEM")
        found |= _by_id(named)
    return found


def read_public(path: Path) -> bytes | None:
    """The raw public key in a PEM file; None when it holds none."""
    found = _public(path)
    return None if found is None else found.raw


def _by_id(keys: Iterable[PublicKey]) -> dict[str, bytes]:
    return {key.key_id: key.raw for key in keys}


def _public(path: Path) -> PublicKey | None:
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(key, Ed25519PublicKey):
        return None
    raw = key.public_bytes_raw()
    return PublicKey(manifest.key_id(raw), raw, _pem(key).decode())


def _pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
