"""Audio that was not recorded must not reach a disk by a crash either."""

import ctypes
import os
import resource

PR_SET_DUMPABLE = 4  # prctl(2)


def harden_process() -> list[str]:
    """No core dumps, no ptrace by our own user (Linux). Returns what could not be set, normally nothing."""
    failed = []
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError) as error:
        failed.append(f"RLIMIT_CORE: {error}")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        failed.append(f"PR_SET_DUMPABLE: {os.strerror(ctypes.get_errno())}")
    return failed
