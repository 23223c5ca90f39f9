"""`mediaproxy verifier`: the page that verifies recordings offline."""

from collections.abc import Sequence
from pathlib import Path

import typer

from mediaproxy.api.verifier import page
from mediaproxy.storage.keys import read_public

EXIT_USAGE = 2


def write_page(output: Path, keys: Sequence[Path]) -> int:
    """Write it with these public keys in it; 2 when one is no key or the file cannot be written."""
    for key in keys:
        if read_public(key) is None:
            typer.echo(
                f"{key}: is no Ed25519 public key in PEM; give one of a storage's keys/*.pub", err=True
            )
            return EXIT_USAGE
    try:
        output.write_bytes(page([key.read_text() for key in keys]))
    except OSError as error:
        typer.echo(f"{output}: {error.strerror}; choose another place with --output", err=True)
        return EXIT_USAGE
    typer.echo(f"{output}: open it in a browser and drop a recording on it")
    return 0
