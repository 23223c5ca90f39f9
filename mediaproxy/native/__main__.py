"""Builds the compiled helper beside its sources. Exit 0: it is there; 1: no C compiler, or it failed."""

import os
import shlex
import shutil
import subprocess
import sys

from mediaproxy.native import HERE, SOURCES, built

FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror")


def main() -> int:
    target = built()
    if target.exists():
        return 0
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        sys.stderr.write(
            f"note: no C compiler ({compiler[0]}): media goes the plain way, which costs more CPU "
            "(Debian: apt-get install gcc libc6-dev, then this again)\n"
        )
        return 1
    draft = target.with_suffix(f".{os.getpid()}")
    sources = [str(HERE / name) for name in SOURCES if name.endswith(".c")]
    try:
        done = subprocess.run([*compiler, *FLAGS, *sources, "-o", str(draft)], check=False)  # noqa: S603
        if done.returncode != 0:
            sys.stderr.write("note: the compiled helper could not be built: media goes the plain way\n")
            return 1
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    for old in HERE.glob("hot-*.so"):
        if old != target:
            old.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
