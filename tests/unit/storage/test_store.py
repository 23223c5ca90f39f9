"""The directory is ours alone, or one line says why not."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from mediaproxy.errors import Misuse, Unavailable
from mediaproxy.ids import RecordingId
from mediaproxy.storage import Storage
from tests.support.recordings import ANSWERED_AT_MS, recording_id


def refused(directory: Path, **limits: int) -> str:
    with pytest.raises(Unavailable) as caught:
        Storage.open(directory, **limits)
    text = str(caught.value)
    assert "\n" not in text
    assert str(directory) in text
    return text


def test_everything_is_readable_by_us_alone(storage: Storage) -> None:
    storage.make_day(ANSWERED_AT_MS)
    for path in [storage.root, *storage.root.rglob("*")]:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_a_directory_serves_one_process_at_a_time(storage: Storage) -> None:
    assert "in use by another mediaproxy" in refused(storage.root)
    storage.close()
    storage.close()
    Storage.open(storage.root, min_free_bytes=0).close()


def test_the_key_stays_the_same(storage: Storage) -> None:
    storage.close()
    again = Storage.open(storage.root, min_free_bytes=0)
    again.close()
    assert again.private_key == storage.private_key


def test_a_strange_key_is_refused(storage: Storage) -> None:
    storage.close()
    (storage.root / "keys" / "signing.pem").write_text("no key")
    with pytest.raises(Unavailable, match="is no Ed25519 key"):
        Storage.open(storage.root, min_free_bytes=0)
    (storage.root / "keys" / "signing.pem").unlink()
    Storage.open(storage.root, min_free_bytes=0).close()


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("elsewhere")])
def test_something_in_the_place_of_the_chain(storage: Storage, make: Callable[[Path], None]) -> None:
    storage.close()
    storage.chain.path.unlink()
    make(storage.chain.path)
    for _ in range(2):  # the first left the directory for another
        assert "chain.jsonl: cannot be read and written" in refused(storage.root, min_free_bytes=0)


def test_a_file_in_the_place_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "rec").write_text("")
    assert "is no directory" in refused(tmp_path / "rec")
    assert "is no directory" in refused(tmp_path / "rec" / "below")


def test_a_link_in_the_place_of_a_directory_of_ours(tmp_path: Path) -> None:
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec" / "live").symlink_to("/tmp")
    assert "is no directory" in refused(tmp_path / "rec")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc")
def test_a_place_where_nothing_can_be_written() -> None:
    assert "choose another directory" in refused(Path("/proc/self/rec"))


def test_a_full_disk(tmp_path: Path) -> None:
    assert "MiB free" in refused(tmp_path / "rec", min_free_bytes=1 << 60)


def test_names_come_from_our_ids_alone(storage: Storage) -> None:
    name = recording_id(1)
    assert storage.audio(name, ANSWERED_AT_MS) == storage.root / "2026/01/05" / f"{name}.wav"
    for strange in ("../../etc/passwd", "", name.upper(), name + "\n"):
        with pytest.raises(Misuse):
            storage.live_audio(RecordingId(strange))


def test_what_is_not_published_is_not_found(storage: Storage) -> None:
    assert storage.find(recording_id(1), ANSWERED_AT_MS) is None
