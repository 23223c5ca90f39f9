"""What a process that holds audio asks of the system: files and memory for nobody else, descriptors."""

import ctypes
import os
import resource
import signal

PR_SET_PDEATHSIG = 1  # prctl(2)
PR_SET_DUMPABLE = 4


def harden_process() -> list[str]:
    """No core dumps, no ptrace by our own user (Linux), new files for our user alone (the call log tells
    who called whom), as many descriptors as we may have.

    Returns what could not be set, normally nothing.
    """
    failed = []
    os.umask(0o077)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)  # a recorded call holds six
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError) as error:
        failed.append(f"RLIMIT_CORE: {error}")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        failed.append(f"PR_SET_DUMPABLE: {os.strerror(ctypes.get_errno())}")
    return failed


def die_with_parent(parent: int) -> None:
    """Whoever started us may be killed at any moment, also before we asked for this (Linux)."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
