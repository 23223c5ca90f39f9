"""`mediaproxy verifier` writes one page that holds the keys it was given."""

import json
import re
from pathlib import Path

import pytest

from mediaproxy.api.verifier import page
from mediaproxy.cli.verifier import write_page
from mediaproxy.storage import keys


@pytest.fixture
def public_key(tmp_path: Path) -> Path:
    keys.load_or_make(tmp_path / "keys")
    [path] = (tmp_path / "keys").glob("*.pub")
    return path


def test_the_page_holds_the_key(tmp_path: Path, public_key: Path) -> None:
    output = tmp_path / "page.html"
    assert write_page(output, [public_key]) == 0
    found = re.search(r'<script type="application/json" id="keys">(.*?)</script>', output.read_text())
    assert found is not None
    assert json.loads(found[1]) == [public_key.read_text()]


def test_what_is_no_key_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stranger = tmp_path / "stranger.pub"
    stranger.write_text("-----BEGIN PUBLIC KEY-----\n")
    assert write_page(tmp_path / "page.html", [stranger]) == 2
    assert "keys/*.pub" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert write_page(tmp_path / "nowhere" / "page.html", []) == 2
    assert "--output" in capsys.readouterr().err


def test_nothing_is_fetched_from_anywhere_and_no_key_breaks_out() -> None:
    html = page(["</script><script>alert(1)</script>"]).decode()
    assert "</script><script>alert" not in html
    assert "{{" not in html
    assert not re.findall(r'(?:src|href)="(?!blob:)', html)
    assert "default-src 'none'" in html
