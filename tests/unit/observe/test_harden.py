"""A crash leaves no copy of our memory."""

import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, os, resource
from mediaproxy.observe import harden_process
assert harden_process() == []
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
assert os.umask(0) == 0o077
assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0  # PR_GET_DUMPABLE
"""


@pytest.mark.slow
def test_neither_core_dumps_nor_ptrace() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
