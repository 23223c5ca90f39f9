"""What a figure is worth nothing without: the machine, the kernel, the versions, the command."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.bench import rtpengine

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("mediaproxy", "numpy", "uvloop", "sqlalchemy", "aiosqlite", "fastapi", "uvicorn")


def about(command: str) -> dict[str, str]:
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "command": command,
        "processor": _processor(),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB",
        "system": _system(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": sys.version.split()[0],
        "commit": _commit(),
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "peer": rtpengine.version() or "not installed",
    }


def _processor() -> str:
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    ]
    model = models[0].partition(":")[2].strip() if models else platform.processor()
    return f"{os.cpu_count()} × {model or 'unknown'}"


def _system() -> str:
    release = platform.freedesktop_os_release()
    return release.get("PRETTY_NAME", "unknown")


def _commit() -> str:
    """The commit of the tree that was measured, and whether the product differed from it."""
    head = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", "mediaproxy")
    return (head or "unknown") + (" with uncommitted changes" if changed else "")


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()
