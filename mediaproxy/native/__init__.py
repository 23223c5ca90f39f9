"""The optional compiled helper: the innermost loops of relay and recorder once more, in C.

Everything works without it, a little slower: whoever uses it has the same thing in Python beside it. It is
built on the machine that it runs on (`python -m mediaproxy.native`, which scripts/setup calls where there is
a C compiler), and one that was built of other sources than these is not loaded.
"""

import ctypes
import hashlib
import sysconfig
from functools import cache
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
SOURCES: Final = ("hot.h", "relay.c", "recorder.c")


def built() -> Path:
    """Where the library of these very sources lies, if it was built."""
    digest = hashlib.sha256(sysconfig.get_platform().encode())
    for name in SOURCES:
        digest.update((HERE / name).read_bytes())
    return HERE / f"hot-{digest.hexdigest()[:16]}.so"


@cache
def library() -> ctypes.PyDLL | None:
    """The helper's functions, called with the GIL held; None where it was not built or can't be loaded."""
    try:
        return ctypes.PyDLL(str(built()))
    except OSError:
        return None
