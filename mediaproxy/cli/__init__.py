"""The command line. Exit codes: 0 good, 1 a finding, 2 bad usage or configuration."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mediaproxy import __version__
from mediaproxy.errors import MediaproxyError
from mediaproxy.loadtest.plan import MAX_CALLS, MAX_CPS, MAX_DURATION_S, Record
from mediaproxy.prove import plan as proof

EXIT_FINDING = 1
EXIT_USAGE = 2

app = typer.Typer(
    name="mediaproxy",
    help="A SIP/RTP media proxy between your carrier and your agents that records calls on demand.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config", "-c", help="The configuration (TOML).", envvar="MEDIAPROXY_CONFIG", show_envvar=True
    ),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mediaproxy {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    config: ConfigOption,
    check: Annotated[bool, typer.Option("--check", help="Validate the configuration and stop.")] = False,
) -> None:
    """Run the proxy. Says `mediaproxy ready` on stderr once every listener is bound."""
    from mediaproxy.cli.serve import check_configuration, run

    raise typer.Exit(check_configuration(config) if check else run(config))


@app.command()
def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="Stop after the call instead of staying up for a look around.")
    ] = False,
    directory: Annotated[Path, typer.Option("--directory", help="Where the demo keeps its files.")] = Path(
        "var/demo"
    ),
) -> None:
    """Watch a carrier call an agent through a real proxy, recorded on demand, within a minute."""
    from mediaproxy.demo import run

    raise typer.Exit(run(directory, leave=leave))


@app.command()
def loadtest(
    calls: Annotated[int, typer.Option("--calls", min=1, max=MAX_CALLS, help="How many calls.")] = 50,
    cps: Annotated[float, typer.Option("--cps", min=0.1, max=MAX_CPS, help="How many begin a second.")] = 25,
    duration: Annotated[
        float, typer.Option("--duration", min=1, max=MAX_DURATION_S, help="Seconds that each call talks.")
    ] = 10,
    record: Annotated[
        Record, typer.Option("--record", help="Which are recorded; random = toggled by API.")
    ] = Record.ALL,
    toggle_every: Annotated[
        float, typer.Option("--toggle-every", min=0.2, help="Seconds between a call's toggles, on average.")
    ] = 4,
    seed: Annotated[int, typer.Option("--seed", help="Repeats the toggles of an earlier run.")] = 1,
    workers: Annotated[
        int, typer.Option("--workers", min=0, max=64, help="Media processes of the proxy that is started.")
    ] = 0,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures there.", dir_okay=False)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Write a page with plots into this folder.", file_okay=False),
    ] = None,
) -> None:
    """Load a proxy of its own on loopback with real SIP and RTP; check every packet, row and sample.

    Calls come and go: about CPS times DURATION live at the same time. Ctrl-C ends them in order, and what was
    measured until then is checked and reported.
    """
    from mediaproxy.cli.loadtest import load
    from mediaproxy.loadtest.plan import Plan

    plan = Plan(calls, cps, duration, record, seed, toggle_every_s=toggle_every, workers=workers)
    raise typer.Exit(load(plan, json_file=json_file, report=report))


@app.command()
def prove(
    seconds: Annotated[
        float,
        typer.Option("--seconds", min=proof.MIN_SECONDS, max=proof.MAX_SECONDS, help="How long they talk."),
    ] = 20,
    calls: Annotated[int, typer.Option("--calls", min=1, max=proof.MAX_CALLS, help="How many calls.")] = 4,
    seed: Annotated[int, typer.Option("--seed", help="Repeats the signals, digits and toggles.")] = 1,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what was searched and found there.", dir_okay=False)
    ] = None,
    memory: Annotated[
        bool, typer.Option(help="Search the proxy's memory too; that takes root, or CAP_SYS_PTRACE.")
    ] = True,
) -> None:
    """Prove that nothing said or dialled while recording is off is left anywhere.

    Real calls through a proxy of its own on loopback, toggled at random, with a marker signal spoken only
    while recording is off and a number dialled; then both are searched for in every file (spool, journal,
    database, log, recordings) and in the proxy's memory: as PCM, G.711, base64, hex and text.
    1 when anything is found, and where; 2 when it could not be searched for.
    """
    from mediaproxy.cli.prove import prove_nothing_is_left

    plan = proof.Plan(calls, seconds, seed, memory)
    raise typer.Exit(prove_nothing_is_left(plan, json_file=json_file))


@app.command()
def verify(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Recordings, manifests, folders, or a whole storage."),
    ],
    keys: Annotated[
        list[Path] | None,
        typer.Option("--key", help="A public key (PEM) kept elsewhere, or a folder of them; repeatable."),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option("--head", help="A head (NUMBER:HASH) noted earlier; the chain must hold it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A report as one JSON object.")] = False,
) -> None:
    """Hold recordings against their manifests: length, silence, hashes, signature; and against the chain.

    A whole storage is searched for what is missing, too. 1 when anything does not hold.
    """
    from mediaproxy.cli.verify import verify_paths

    raise typer.Exit(verify_paths(paths, given=keys or [], head=head, as_json=as_json))


@app.command()
def redact(
    recording: Annotated[str, typer.Argument(help="The recording's id.")],
    config: ConfigOption,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in manifest and chain.")],
    span: Annotated[
        str | None,
        typer.Option("--range", help="FROM-TO in seconds, 61.5-75, or minutes, 1:01.5-1:15."),
    ] = None,
    last: Annotated[float | None, typer.Option("--last", help="The last so many seconds.")] = None,
) -> None:
    """Make a range of a published recording silent for ever, beside a running server or without one."""
    from mediaproxy.cli.redact import redact_recording

    raise typer.Exit(redact_recording(config, recording, span=span, last_s=last, reason=reason))


@app.command()
def render(
    recording: Annotated[str, typer.Argument(help="A master, its manifest, or the recording's id.")],
    form: Annotated[
        str, typer.Option("--format", "-f", help="wav, flac, mono (both mixed, as WAV), opus or mp3.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Default: ID.FORMAT, here.", dir_okay=False)
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Where an id is looked up.", envvar="MEDIAPROXY_CONFIG"),
    ] = None,
) -> None:
    """Make a copy of a published recording in another format; wav and flac hold the same samples."""
    from mediaproxy.cli.render import render as render_recording

    raise typer.Exit(render_recording(recording, config, form, out))


@app.command()
def retention(
    config: ConfigOption,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Remove recordings that were kept for as long as they were to be. The server does so once a day.

    1 when something was left alone, because nothing says how long it is to be kept, say.
    """
    from mediaproxy.cli.retention import apply_retention

    raise typer.Exit(apply_retention(config, dry_run=dry_run, as_json=as_json))


@app.command()
def repair(
    directory: Annotated[Path, typer.Argument(help="A storage directory (it holds `live/`).")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Publish what a crash left in the spool, by hand. The server does the same when it starts.

    1 when a recording was refused: its files are as they were, and the line says why.
    """
    from mediaproxy.cli.repair import repair_directory

    raise typer.Exit(repair_directory(directory, as_json=as_json))


@app.command()
def calls(
    config: ConfigOption,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many, newest first.")] = 50,
) -> None:
    """Show the call log: how long each call was, and how much of it was recorded."""
    from mediaproxy.cli.calls import show_calls

    raise typer.Exit(show_calls(config, as_json=as_json, limit=limit))


@app.command()
def verifier(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it.", dir_okay=False)] = Path(
        "verifier.html"
    ),
    keys: Annotated[
        list[Path] | None,
        typer.Option("--key", help="A public key (`keys/*.pub`) that the page shall trust; repeatable."),
    ] = None,
) -> None:
    """Write the page with which anybody can verify a recording in a browser, offline."""
    from mediaproxy.cli.verifier import write_page

    raise typer.Exit(write_page(output, keys or []))


@app.command("config-schema")
def config_schema() -> None:
    """Print the JSON schema of the configuration."""
    from mediaproxy.cli.serve import print_schema

    raise typer.Exit(print_schema())


def main() -> None:
    """The entry point: what goes wrong on purpose is one line, not a traceback."""
    try:
        app()
    except MediaproxyError as error:
        typer.echo(f"mediaproxy: {error}", err=True)
        sys.exit(EXIT_USAGE)
    except OSError as error:
        if error.strerror is None or error.filename is None:
            raise
        typer.echo(f"mediaproxy: {error.filename}: {error.strerror}", err=True)
        sys.exit(EXIT_USAGE)
