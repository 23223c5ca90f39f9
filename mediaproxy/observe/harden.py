"""What a process that holds audio asks of the system: files and memory for nobody else, descriptors."""

import ctypes
import os
import resource

PR_SET_DUMPABLE = 4  # prctl(2)


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
