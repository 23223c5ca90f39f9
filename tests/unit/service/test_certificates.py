"""Certificates are taken over when their files change; what is broken changes nothing."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from mediaproxy.config import Config, load
from mediaproxy.errors import Unavailable
from mediaproxy.service import certificates
from mediaproxy.service.certificates import Certificates
from mediaproxy.transport.certificates import Contexts
from tests.support.certificates import Authority
from tests.support.patience import seen

TEXT = """
[sip]
listen = ["tls:127.0.0.1:0"]
[sip.tls]
certificate = "proxy.pem"
key = "proxy.key"
"""


class Kept:
    """What was renewed, and what was said."""

    def __init__(self, config: Config) -> None:
        self.renewed: list[Contexts] = []
        self.alarms: list[tuple[str, Mapping[str, object]]] = []
        self.certificates = Certificates(
            config, self.renewed.append, lambda *alarm: self.alarms.append(alarm)
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.issue("proxy", "127.0.0.1")
    return made


@pytest.fixture
async def kept(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kept]:
    monkeypatch.setattr(certificates, "LOOK_S", 0.02)
    file = authority.folder / "proxy.toml"
    file.write_text(TEXT)
    made = Kept(load(file))
    await made.certificates.start()
    yield made
    await made.certificates.close()


async def test_a_new_certificate_is_taken_over_once(authority: Authority, kept: Kept) -> None:
    authority.issue("proxy", "127.0.0.1")
    await seen(lambda: len(kept.renewed) > 1)
    await asyncio.sleep(0.1)
    looks = len(kept.renewed)  # one, or two when it was looked at between key and certificate
    assert looks <= 3
    await asyncio.sleep(0.1)
    assert len(kept.renewed) == looks


async def test_a_broken_one_is_said_once_and_changes_nothing(authority: Authority, kept: Kept) -> None:
    (authority.folder / "proxy.pem").write_text("broken")
    await seen(lambda: kept.alarms)
    await asyncio.sleep(0.1)
    ((event, fields),) = kept.alarms
    assert event == "certificates_not_reloaded"
    why = str(fields["why"])
    assert "/proxy.pem: not PEM" in why
    assert why.endswith("; name a PEM file that holds our certificate")
    assert len(kept.renewed) == 1
    authority.issue("proxy", "127.0.0.1")
    await seen(lambda: len(kept.renewed) > 1)


async def test_a_reload_reads_them_again_or_says_why_not(authority: Authority, kept: Kept) -> None:
    config = load(authority.folder / "proxy.toml")
    await kept.certificates.reload(config)
    assert len(kept.renewed) == 2
    os.unlink(authority.folder / "proxy.key")
    with pytest.raises(Unavailable, match=r"proxy\.key: No such file or directory; name"):
        await kept.certificates.reload(config)
    assert len(kept.renewed) == 2
