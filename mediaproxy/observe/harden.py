"""What a process that holds audio asks of the system: no dumps of its memory, descriptors enough."""

import ctypes
import os
import resource

PR_SET_DUMPABLE = 4  # prctl(2)


def harden_process() -> list[str]:
    """No core dumps, no ptrace by our own user (Linux), as many descriptors as we may have.

    Returns what could not be set, normally nothing.
    """
    failed = []
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
