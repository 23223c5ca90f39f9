"""What every test gets: a check that it leaves nothing behind."""

import fcntl
import gc
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

SETTLE_S = 1.0  # a pool's thread may need a moment to end
KEPT_OPEN = (".hypothesis", "/mpl-data/fonts/")  # libraries' own caches, for as long as the process lives


# How long an example takes says how busy the machine is; a test that hangs meets pytest's timeout.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def corpora() -> Path:
    """Where the test data lies that is not part of the project."""
    default = Path(__file__).parents[1].parent / "shared" / "corpora"
    return Path(os.environ.get("MEDIAPROXY_CORPORA", default))


@pytest.fixture(scope="session")
def corpora_path() -> Path:
    path = corpora()
    if not path.is_dir():
        pytest.skip(f"no corpora at {path}: set MEDIAPROXY_CORPORA to their folder")
    return path


@pytest.fixture(autouse=True)
def one_at_a_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests of one `xdist_group` share what there is once on a machine: whichever process they run in, each
    waits for the other."""
    group = request.node.get_closest_marker("xdist_group")
    if group is None:
        yield
        return
    name = f"mediaproxy-{group.args[0].replace(' ', '-')}.lock"
    with (Path(tempfile.gettempdir()) / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def open_files() -> Counter[str]:
    """Descriptors of this process by what they are; sockets and files by kind and path."""
    found: Counter[str] = Counter()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:
            continue
        kind = target.split(":", 1)[0]
        if kind in ("socket", "anon_inode"):
            found[kind] += 1
        elif (
            target.startswith("/")
            and not target.startswith(("/dev/", "/proc/"))
            and not any(part in target for part in KEPT_OPEN)
        ):
            found[target] += 1
    return found


def left_behind(files: Counter[str], threads: set[threading.Thread]) -> list[str]:
    more = open_files() - files
    alive = [t.name for t in threading.enumerate() if t not in threads and not t.daemon]
    return [f"{count} × {name}" for name, count in more.items()] + [f"thread {name}" for name in alive]


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Sockets, files and threads that a test opened are closed when it ends (tasks: see below).

    Fixtures of a wider scope are set up before this one or not counted; tasks that are still
    pending at the end of an asyncio test warn, and warnings are errors.
    """
    files, threads = open_files(), set(threading.enumerate())
    yield
    left = left_behind(files, threads)
    deadline = time.monotonic() + SETTLE_S
    while left and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
        left = left_behind(files, threads)
    assert not left, f"left behind: {', '.join(left)}"
