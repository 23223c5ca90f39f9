"""The command line. Exit codes: 0 good, 1 a finding, 2 bad usage or configuration."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mediaproxy import __version__
from mediaproxy.errors import MediaproxyError
from mediaproxy.loadtest.codecs import Codec
from mediaproxy.loadtest.network import MAX_JITTER_MS, Network
from mediaproxy.loadtest.plan import (
    MAX_CALLS,
    MAX_CPS,
    MAX_DURATION_S,
    MAX_FLOOD,
    MAX_WORKERS,
    Bounds,
    Plan,
    Record,
)
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
WorkersOption = Annotated[
    int, typer.Option("--workers", min=0, max=MAX_WORKERS, help="Media workers of the proxy that is started.")
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
        Record, typer.Option("--record", help="Which are recorded; random = toggled at random.")
    ] = Record.ALL,
    toggle_every: Annotated[
        float, typer.Option("--toggle-every", min=0.2, help="Seconds between a call's toggles, on average.")
    ] = 4,
    dtmf: Annotated[
        bool, typer.Option("--dtmf", help="Every second agent toggles by dialling *1 and *2 (RFC 4733).")
    ] = False,
    hold: Annotated[bool, typer.Option("--hold", help="Every second call is held once meanwhile.")] = False,
    codec: Annotated[Codec, typer.Option("--codec", help="What the parties speak.")] = Codec.PCMU,
    loss: Annotated[
        float, typer.Option("--loss", min=0, max=50, help="Percent of the packets that are never sent.")
    ] = 0,
    jitter: Annotated[
        float,
        typer.Option("--jitter", min=0, max=MAX_JITTER_MS, help="ms by which packets are late at most."),
    ] = 0,
    reorder: Annotated[
        float,
        typer.Option("--reorder", min=0, max=50, help="Percent of the packets that the next overtakes."),
    ] = 0,
    flood: Annotated[
        int,
        typer.Option(
            "--flood", min=0, max=MAX_FLOOD, help="Packets a second that a stranger sends to one call's port."
        ),
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Repeats toggles and network of an earlier run.")] = 1,
    soak: Annotated[
        str,
        typer.Option("--soak", help="For so long (8h, 30m, 90s) calls come and go, whatever --calls says."),
    ] = "",
    limit: Annotated[
        bool, typer.Option("--find-limit", help="From --calls on more and more, until a bound breaks.")
    ] = False,
    max_delay: Annotated[
        float, typer.Option("--max-delay-ms", min=0, help="Bound of the delay's p99; 0 = none.")
    ] = 0,
    max_setup: Annotated[
        float, typer.Option("--max-setup-ms", min=0, help="Bound of the set-up time's p99; 0 = none.")
    ] = 0,
    max_toggle: Annotated[
        float, typer.Option("--max-toggle-ms", min=0, help="Bound of the p99 of a toggle by API; 0 = none.")
    ] = 0,
    workers: WorkersOption = 0,
    target: Annotated[
        str, typer.Option("--target", help="A proxy that runs already, as udp:HOST:PORT; needs --token.")
    ] = "",
    api: Annotated[str, typer.Option("--api", help="The target's API.")] = "http://127.0.0.1:8080",
    token: Annotated[str, typer.Option("--token", help="An admin's.", envvar="MEDIAPROXY_TOKEN")] = "",
    carrier: Annotated[
        str, typer.Option("--carrier", help="Where our carrier listens: a trunk of the target.")
    ] = "127.0.0.2:15070",
    agent: Annotated[
        str, typer.Option("--agent", help="Where our agent listens: an agent of the target.")
    ] = "127.0.0.3:15080",
    number: Annotated[str, typer.Option("--number", help="What the target routes to it.")] = "+15550100",
    storage: Annotated[
        Path | None, typer.Option("--storage", help="The target's storage, on the same machine.")
    ] = None,
    pid: Annotated[
        int | None, typer.Option("--pid", help="The target's process, on the same machine.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures there.", dir_okay=False)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", help="Write a page with plots, and PNG files, into this folder.", file_okay=False
        ),
    ] = None,
) -> None:
    """Load a proxy with real SIP and RTP: check every packet, every row of the log, every sample recorded.

    Calls come and go: about CPS times DURATION live at the same time. Without --target a proxy of its own is
    started on loopback. Ctrl-C ends the calls in order; what was measured until then is checked and reported.
    1 on any loss, wrong sample, missing row or broken bound.
    """
    from mediaproxy.cli.loadoptions import command_line, plan_of, whereabouts
    from mediaproxy.cli.loadtest import Wanted, load, search

    network = Network(loss / 100, jitter, reorder / 100, seed)
    bounds = Bounds(max_delay, max_setup, max_toggle)
    plan = Plan(
        calls, cps, duration, record, seed, network, codec, dtmf, hold, toggle_every, workers,
        flood=flood, bounds=bounds,
    )  # fmt: skip
    plan = plan_of(plan, soak=soak, limit=limit)
    at = None
    if target:
        at = whereabouts(target, api, token, (carrier, agent, number), storage, pid)
    wanted = Wanted(json_file, report, command_line())
    raise typer.Exit((search if limit else load)(plan, at, wanted))


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
    workers: WorkersOption = 0,
) -> None:
    """Prove that nothing said or dialled while recording is off is left anywhere.

    Real calls through a proxy of its own on loopback, toggled at random, with a marker signal spoken only
    while recording is off and a number dialled; then both are searched for in every file (spool, journal,
    database, log, recordings) and in the proxy's memory: as PCM, G.711, base64, hex and text.
    1 when anything is found, and where; 2 when it could not be searched for.
    """
    from mediaproxy.cli.prove import prove_nothing_is_left

    plan = proof.Plan(calls, seconds, seed, memory, workers)
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
    as_csv: Annotated[bool, typer.Option("--csv", help="For spreadsheets.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="How many, newest first.")] = 50,
) -> None:
    """Show the call log: how long each call was, and how much of it was recorded."""
    from mediaproxy.cli.calls import show_calls

    if as_json and as_csv:
        raise typer.BadParameter("JSON or CSV, not both", param_hint="--csv")
    raise typer.Exit(show_calls(config, as_json=as_json, as_csv=as_csv, limit=limit))


@app.command()
def report(
    config: ConfigOption,
    day: Annotated[
        str, typer.Option("--day", help="2026-01-31, today or yesterday; in UTC, as the log is.")
    ] = "yesterday",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Account for a day's calls: by policy what was recorded, what is missing, and why.

    1 when audio is missing and nothing says why.
    """
    from mediaproxy.cli.report import report as account

    raise typer.Exit(account(config, day, as_json=as_json))


@app.command()
def trace(
    call: Annotated[str, typer.Argument(help="A call's id, as the log has it.")],
    api: Annotated[str, typer.Option("--api", help="The proxy's API.")] = "http://127.0.0.1:8080",
    token: Annotated[str, typer.Option("--token", help="An admin's.", envvar="MEDIAPROXY_TOKEN")] = "",
    whole: Annotated[bool, typer.Option("--whole", help="Every message with all its lines.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As the API has it.")] = False,
) -> None:
    """Draw who said what in a recent call: the SIP messages of both legs, as a ladder.

    Without credentials, keys and dialled digits. 1 when nothing of the call is kept any more.
    """
    from mediaproxy.cli.trace import show_trace

    raise typer.Exit(show_trace(call, api, token, whole=whole, as_json=as_json))


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
