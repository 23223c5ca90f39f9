"""The signing key: made at the first start, kept beside the recordings, readable by us alone.

The public half lies beside it under its key id, so that a manifest signed with a former key can
still be verified. Copy `keys/*.pub` elsewhere to hold recordings against keys that nobody here can change.
"""

import os
from pathlib import Path

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
        disk.write_new(path, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def find_public(published: Path, key_id: str) -> bytes | None:
    """The raw public key of that id, from the storage directory in which `published` lies."""
    if not key_id.isalnum():
        return None
    for directory in published.absolute().parents:
        path = directory / "keys" / f"{key_id}.pub"
        if os.path.lexists(path):
            return read_public(path)
    return None


def read_public(path: Path) -> bytes | None:
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError):
        return None
    return key.public_bytes_raw() if isinstance(key, Ed25519PublicKey) else None
