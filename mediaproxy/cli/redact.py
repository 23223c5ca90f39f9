"""`mediaproxy redact`: what should not have been recorded, made silent by hand."""

import math
import os
import pwd
import re
from pathlib import Path

import typer

from mediaproxy import config as configuration
from mediaproxy.errors import Malformed
from mediaproxy.ids import RecordingId
from mediaproxy.recording import manifest, redaction
from mediaproxy.recording.manifest import Actor, Manifest
from mediaproxy.storage import Storage
from mediaproxy.storage.redact import MAX_REASON, Unchanged, redact
from mediaproxy.storage.store import is_id

EXIT_FINDING = 1
MS_PER_S = 1_000
SECONDS_A_MINUTE = 60
_MOMENT = r"(?:([0-9]{1,4}):)?([0-9]{1,6}(?:\.[0-9]{1,3})?)"


def redact_recording(
    config: Path, recording: str, *, span: str | None, last_s: float | None, reason: str
) -> int:
    """1 when the recording was left as it is, with the reason."""
    if (span is None) == (last_s is None):
        raise typer.BadParameter("give either --range or --last")
    if not reason.strip() or len(reason) > MAX_REASON:
        raise typer.BadParameter(f"say why, in 1 to {MAX_REASON} characters", param_hint="--reason")
    if not is_id(recording):
        raise typer.BadParameter("that is no recording's id", param_hint="RECORDING")
    storage = Storage.attach(configuration.load(config).storage.directory)
    try:
        claims = _claims(storage, RecordingId(recording))
        start, end = _samples(claims, span, last_s)
        by = Actor("cli", _user())
        redact(storage, RecordingId(recording), start, end, by=by, reason=reason)
    except Unchanged as unchanged:
        typer.echo(f"{recording}: left as it is: {unchanged}", err=True)
        return EXIT_FINDING
    rate = claims.sample_rate
    typer.echo(f"{recording}: silent from {start / rate:.3f} s to {end / rate:.3f} s")
    return 0


def _claims(storage: Storage, recording: RecordingId) -> Manifest:
    document = storage.locate(recording)
    if document is None:
        raise Unchanged("no published recording has this id")
    try:
        return manifest.decode(document.read_bytes())
    except Malformed as error:
        raise Unchanged(error.reason) from error


def _user() -> str:
    """Who the kernel says it is; in a container that may be nobody with a name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _samples(claims: Manifest, span: str | None, last_s: float | None) -> tuple[int, int]:
    duration, rate = claims.duration_samples, claims.sample_rate
    hint = "--last" if span is None else "--range"
    try:
        if last_s is not None:
            if not math.isfinite(last_s):
                raise Malformed("is no number of seconds")
            return redaction.last_ms(redaction.whole_ms(last_s), duration, rate)
        return redaction.by_ms(*_parsed(span or ""), duration, rate)
    except Malformed as error:
        raise typer.BadParameter(f"it {error.reason}", param_hint=hint) from error


def _parsed(span: str) -> tuple[int, int]:
    """`1:01.5-1:15` in milliseconds."""
    found = re.fullmatch(f"{_MOMENT}-{_MOMENT}", span)
    if found is None:
        raise Malformed("is not FROM-TO in seconds")
    for minutes, seconds in (found.group(1, 2), found.group(3, 4)):
        if minutes is not None and float(seconds) >= SECONDS_A_MINUTE:
            raise Malformed("has 60 seconds or more beside its minutes")
    return _ms(found[1], found[2]), _ms(found[3], found[4])


def _ms(minutes: str | None, seconds: str) -> int:
    return int(minutes or 0) * 60 * MS_PER_S + round(float(seconds) * MS_PER_S)
