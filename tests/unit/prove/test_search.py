"""Every byte of every file and of a process that lives is looked at."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediaproxy.prove import search
from mediaproxy.prove.needles import Needle, audio_needles, signal
from mediaproxy.prove.plan import Unproven
from mediaproxy.prove.search import search_files, search_memory

MARKER = signal("kept")
NEEDLES = [Needle("marker", MARKER[:16])]

HOLDER = """
import sys
sys.path[:0] = {path!r}
from mediaproxy.prove.needles import signal
kept = bytearray(signal("kept"))
{then}
churn = [bytes(160) for _ in range(10_000)]  # where the first copy was
print("ready", flush=True)
sys.stdin.read()
"""


def test_files_of_every_folder_are_searched_and_hits_say_where(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "live" / "a.wav").write_bytes(b"x" * 100 + MARKER + MARKER)
    (tmp_path / "clean").write_bytes(b"y" * 50)
    searched = search_files(tmp_path, NEEDLES)
    assert (searched.places, searched.size) == (2, 50 + 420)
    assert list(map(str, searched.hits)) == ["marker in live/a.wav, at byte 0x64, 2 ×"]


@pytest.mark.parametrize("at", range(0, 10_000, 487))
def test_no_edge_of_a_chunk_hides_anything(tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "CHUNK_BYTES", 600)
    monkeypatch.setattr(search, "OVERLAP_BYTES", 200)
    content = bytearray(10_000)
    content[at : at + len(MARKER)] = MARKER
    (tmp_path / "file").write_bytes(content)
    [hit] = search_files(tmp_path, [Needle("marker", MARKER[:100])]).hits
    assert hit.at == at


def test_zeros_are_counted_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").write_bytes(MARKER)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "zeros").write_bytes(bytes(70_000))
    searched = search_files(tmp_path / "in", NEEDLES)
    assert (searched.places, searched.size, searched.hits) == (1, 70_000, [])


def holder(then: str) -> "subprocess.Popen[bytes]":
    program = HOLDER.format(path=sys.path, then=then)
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.fixture(params=["", "kept[:] = bytes(len(kept))"], ids=["kept", "wiped"])
def held(request: pytest.FixtureRequest) -> "Iterator[tuple[int, bool]]":
    process = holder(request.param)
    yield process.pid, not request.param
    process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="reading another process's memory takes root")
def test_what_a_process_holds_is_found_and_what_it_wiped_is_not(held: tuple[int, bool]) -> None:
    pid, kept = held
    searched = search_memory(pid, audio_needles("marker", MARKER))
    assert searched.size > 1 << 20
    assert any(hit.form == "marker as µ-law" for hit in searched.hits) is kept


def test_a_process_that_is_gone_or_may_not_be_read_proves_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(Unproven, match="is gone"):
        search_memory(process.pid, NEEDLES)


def test_a_process_that_may_not_be_read_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> Iterator[tuple[int, int, str]]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(search, "_regions", refuse)
    with pytest.raises(Unproven, match="run as root"):
        search_memory(os.getpid(), NEEDLES)
