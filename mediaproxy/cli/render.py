"""`mediaproxy render`: a recording in another format, made by a worker process."""

from pathlib import Path
from typing import Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from mediaproxy import config as configuration
from mediaproxy.errors import Malformed
from mediaproxy.ids import RecordingId
from mediaproxy.recording import manifest
from mediaproxy.storage import jobs
from mediaproxy.storage.encoders import Encoders, Failed
from mediaproxy.storage.jobs import Job
from mediaproxy.storage.store import MASTER_FORMATS, Storage, is_id

EXIT_FINDING: Final = 1
TIMEOUT_S: Final = 86_400.0  # whoever waits too long can stop it


def render(recording: str, config: Path | None, form: str, out: Path | None) -> int:
    """1 when it could not be made, with the reason."""
    if form not in jobs.FORMS:
        raise typer.BadParameter(f"one of {', '.join(jobs.FORMS)}", param_hint="--format")
    document = _document(recording, config)
    try:
        claims = manifest.decode(document.read_bytes())
        master = document.absolute().with_name(claims.master.file)
    except (OSError, Malformed, ValueError):
        return _refused(recording, "its manifest cannot be read")
    target = (out or Path(f"{claims.recording_id}.{jobs.suffix(form)}")).absolute()
    if target.exists():
        return _refused(recording, f"{target} is there already; name another with --out")
    if not target.parent.is_dir():
        return _refused(recording, f"{target.parent} is no folder; name another place with --out")
    job = Job(form, master, target, claims.master.sha256)
    encoders = Encoders()
    try:
        with _Bar(form) as bar:
            encoders.run(job, timeout_s=TIMEOUT_S, on_progress=bar.show)
    except Failed as failed:
        return _refused(recording, ": ".join(filter(None, (failed.reason, failed.last_words))))
    finally:
        encoders.stop()
    typer.echo(str(target))
    return 0


def _document(recording: str, config: Path | None) -> Path:
    """The manifest of a recording that is named by a file of its own, or by its id."""
    if is_id(recording):
        if config is None:
            raise typer.BadParameter("an id is looked up where --config says", param_hint="--config")
        storage = Storage.attach(configuration.load(config).storage.directory)
        found = storage.locate(RecordingId(recording))
        if found is None:
            raise typer.BadParameter("no published recording has this id", param_hint="RECORDING")
        return found
    path = Path(recording)
    if path.suffix[1:] not in (*MASTER_FORMATS, "json"):
        raise typer.BadParameter("an id, a master or a manifest", param_hint="RECORDING")
    return path.with_suffix(".json")


def _refused(recording: str, why: str) -> int:
    typer.echo(f"{recording}: {why}", err=True)
    return EXIT_FINDING


class _Bar:
    """On a terminal only."""

    def __init__(self, form: str) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
            console=console, disable=not console.is_terminal, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task(form, total=None)

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, progress: jobs.Progress) -> None:
        self._progress.update(self._task, completed=progress.done, total=progress.of)
