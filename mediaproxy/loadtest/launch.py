"""Starts processes that are measured, all alike: ahead of other work on the machine where that is allowed."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

NICE = -15


def favoured() -> bool:
    """Whether this user may put processes ahead of others."""
    return os.geteuid() == 0


def launch(
    command: Sequence[str], *, output: IO[bytes] | None = None, **options: Any
) -> subprocess.Popen[Any]:
    """Start a process in a session of its own (the scheduler shares CPUs by session, then by niceness)."""
    if output is not None:
        options |= {"stdout": output, "stderr": output}
    process = subprocess.Popen(command, start_new_session=True, **options)  # noqa: S603 - our own programs
    if favoured():
        os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        with suppress(OSError):  # a kernel without autogroups
            Path(f"/proc/{process.pid}/autogroup").write_text(str(NICE))
    return process


def end(process: subprocess.Popen[Any]) -> None:
    """Kill what `launch` started, with all that it started itself, and wait for it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
