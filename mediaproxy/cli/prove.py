"""`mediaproxy prove`: shows the run, and what was searched and found."""

import json
import shutil
import tempfile
from asyncio import CancelledError
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from mediaproxy.cli.loadtest import Shown, until_interrupted
from mediaproxy.loadtest.plan import Broken
from mediaproxy.prove.plan import Plan, Unproven
from mediaproxy.prove.run import Proof, prove
from mediaproxy.prove.search import Searched

EXIT_FINDING = 1
EXIT_NOT_PROVEN = 2
_FAULTS_SHOWN = 20


def prove_nothing_is_left(plan: Plan, *, json_file: Path | None) -> int:
    """0: nothing was found. 1: something was, and where. 2: it could not be searched for."""
    errors = Console(stderr=True)
    directory = Path(tempfile.mkdtemp(prefix="mediaproxy-prove-"))
    try:
        with Shown(errors) as shown:
            proof = uvloop.run(until_interrupted(prove(plan, directory, shown.tell)))
    except (Broken, Unproven) as error:
        errors.print(f"prove: {error}; the proxy's files are in {directory}", style="red", soft_wrap=True)
        return EXIT_NOT_PROVEN
    except CancelledError:
        shutil.rmtree(directory, ignore_errors=True)
        errors.print("interrupted")
        return EXIT_NOT_PROVEN
    _show(proof)
    if json_file is not None:
        json_file.write_text(json.dumps(proof.as_json(), indent=2) + "\n", encoding="utf-8")
    if proof.good:
        shutil.rmtree(directory)
        return 0
    errors.print(f"the proxy's files are in {directory}", soft_wrap=True)
    return EXIT_FINDING


def _show(proof: Proof) -> None:
    console, figures = Console(), proof.figures
    table = Table(show_header=False, title="prove", title_justify="left")
    table.add_row(
        "calls", f"{proof.plan.calls}, {figures['toggles']:.0f} toggles, {figures['codes']:.0f} dialled"
    )
    table.add_row(
        "said while off", f"{figures['marked_s']:.1f} s of the marker on both legs, also into announcements"
    )
    table.add_row(
        "said while on", f"{figures['recorded_s']:.1f} s of another signal, found in every recording"
    )
    table.add_row("digits", f"{figures['digits']:.0f} of a number, by RFC 4733 and INFO")
    table.add_row("files searched", _amount("files", proof.files))
    table.add_row(
        "memory searched",
        _amount("processes", proof.memory) if proof.plan.memory else "no",
    )
    console.print(table)
    for fault in proof.faults[:_FAULTS_SHOWN]:
        console.print(f"✗ {fault}", style="red", markup=False, soft_wrap=True)
    if len(proof.faults) > _FAULTS_SHOWN:
        console.print(f"… and {len(proof.faults) - _FAULTS_SHOWN} more")
    if proof.good:
        console.print(
            "good: nothing of what was said or dialled while recording was off is left", style="green"
        )


def _amount(what: str, searched: Searched) -> str:
    """Of both searches, while the calls live and when all is published."""
    return (
        f"{searched.places} {what} in two searches, {searched.size / 1e6:.1f} MB: {len(searched.hits)} hits"
    )
