"""`mediaproxy verify`: recordings against manifests, keys and the chain; a line each, or a report."""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from mediaproxy.cli import terminal
from mediaproxy.recording.chain import Head
from mediaproxy.storage import Verdict, Verification, keys
from mediaproxy.storage.verify import ChainVerdict

EXIT_FINDING = 1
REPORT_VERSION = 1
COLUMNS = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())

KEYS_FROM_OUTSIDE = "by keys that were given"
KEYS_BESIDE = "by keys that lie beside the recordings; give --key to hold them against keys kept elsewhere"
NO_HEAD = "note the head elsewhere and give it as --head another time: what was cut off since then is found"


@dataclass
class _Looked:
    """What was found, and how long it took."""

    verdicts: list[Verdict] = field(default_factory=list)
    chains: list[ChainVerdict] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Something was there, and all of it holds."""
        good = [each.ok for each in self.verdicts] + [each.ok for each in self.chains]
        return bool(good) and all(good)

    @property
    def played_s(self) -> float:
        """How long it would take to hear it all."""
        claimed = (each.claims for each in self.verdicts if each.claims is not None)
        return sum(claims.duration_samples / claims.sample_rate for claims in claimed)


def parse_head(text: str) -> Head:
    """`SEQ:HASH`, as the last line of a verification and the API say it."""
    found = re.fullmatch(r"([0-9]{1,15}):([0-9a-f]{64})", text)
    if found is None:
        raise typer.BadParameter("a head is a line's number, a colon and its SHA-256", param_hint="--head")
    return Head(int(found[1]), found[2])


def verify_paths(paths: Sequence[Path], *, given: Sequence[Path], head: str | None, as_json: bool) -> int:
    """1 when anything does not hold, or nothing was there to verify."""
    noted = None if head is None else parse_head(head)
    given_keys = keys.given(given) if given else None
    with terminal.progress(*COLUMNS) as shown:
        task = shown.add_task("reading", total=None)
        verification = Verification(
            paths,
            given_keys=given_keys,
            noted=noted,
            on_progress=lambda more: shown.advance(task, more),
        )
        shown.update(task, total=verification.audio_bytes)
        looked = _look(verification, None if as_json else shown)
    if as_json:
        typer.echo(json.dumps(_report(looked, given=bool(given), noted=noted)))
    else:
        _say(looked, given=bool(given), noted=noted)
    return 0 if looked.good else EXIT_FINDING


def _look(verification: Verification, shown: Progress | None) -> _Looked:
    looked = _Looked()
    began = time.monotonic()
    for verdict in verification.verdicts():
        looked.verdicts.append(verdict)
        if shown is not None:
            terminal.say(shown, str(verdict))
    looked.chains = verification.chains()
    looked.seconds = time.monotonic() - began
    return looked


def _say(looked: _Looked, *, given: bool, noted: Head | None) -> None:
    for chain in looked.chains:
        typer.echo(str(chain))
    if not looked.verdicts and not looked.chains:
        typer.echo("no recordings there", err=True)
        return
    bad = sum(not each.ok for each in looked.verdicts)
    typer.echo(
        f"{len(looked.verdicts) - bad} hold, {bad} do not; {looked.played_s / 60:.1f} min of calls"
        f" in {looked.seconds:.1f} s, {KEYS_FROM_OUTSIDE if given else KEYS_BESIDE}",
        err=True,
    )
    if looked.chains and noted is None:
        typer.echo(NO_HEAD, err=True)


def _report(looked: _Looked, *, given: bool, noted: Head | None) -> dict[str, object]:
    return {
        "version": REPORT_VERSION,
        "good": looked.good,
        "keys": "given" if given else "beside",
        "noted_head": None if noted is None else str(noted),
        "seconds": round(looked.seconds, 3),
        "played_seconds": round(looked.played_s, 3),
        "recordings": [_recording(each) for each in looked.verdicts],
        "chains": [_chain(each) for each in looked.chains],
    }


def _recording(verdict: Verdict) -> dict[str, object]:
    claims = verdict.claims
    return {
        "path": str(verdict.path),
        "recording_id": verdict.recording_id,
        "good": verdict.ok,
        "problems": list(verdict.problems),
        "manifest_sha256": verdict.manifest_sha256,
        "key_id": claims and claims.key_id,
        "result": claims and claims.result,
        "sample_rate": claims and claims.sample_rate,
        "duration_samples": claims and claims.duration_samples,
        "recorded_samples": claims and claims.recorded_samples,
        "redactions": None if claims is None else len(claims.redactions),
    }


def _chain(chain: ChainVerdict) -> dict[str, object]:
    return {
        "path": str(chain.path),
        "good": chain.ok,
        "problems": list(chain.problems),
        "head": str(chain.head),
        "lines": chain.head.seq + 1,
        "counts": dict(chain.counts),
        "key_ids": list(chain.key_ids),
    }
