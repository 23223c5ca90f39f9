"""SIP over TLS in the configuration: what is read, and what is found wrong with it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mediaproxy.calls.model import Target
from mediaproxy.config import Config, check, needs_restart, plan
from mediaproxy.net import Endpoint
from mediaproxy.transport.certificates import TlsFiles
from tests.support.certificates import Authority

Loads = Callable[..., Config]

LISTEN = '[sip]\nlisten = ["tls:127.0.0.1"]\n'
TLS = LISTEN + '[sip.tls]\ncertificate = "proxy.pem"\nkey = "proxy.key"\nca = "authority-ca.pem"\n'
TOKEN = '[api]\ntokens = [{token = "x", role = "admin"}]\n'
TRUNK = '[[trunks]]\nname = "carrier"\naddress = "tls:192.0.2.1"\n'


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.issue("proxy", "127.0.0.1")
    return made


def lines(config: Config) -> list[str]:
    return [str(finding) for finding in check(config, "FILE")]


def test_ports_names_and_paths(loads: Loads, authority: Authority) -> None:
    agent = '[[agents]]\nname = "a"\ncontact = "sips:a@192.0.2.2"\ntls_name = "a.example"\n'
    config = loads(TLS + TOKEN + TRUNK + "client_certificate = true\n" + agent)
    assert check(config) == []
    assert config.sip.listeners == (Target("tls", Endpoint("127.0.0.1", 5061)),)
    below = authority.folder
    assert config.sip.tls.files == TlsFiles(below / "proxy.pem", below / "proxy.key", authority.ca)
    made = plan(config)
    assert made.trunks[0].by_certificate
    assert made.trunks[0].target.proven_name == "192.0.2.1"
    assert made.agents[0].target == Target("tls", Endpoint("192.0.2.2", 5061), "a.example")


def test_the_environment_names_files_too(loads: Loads, authority: Authority) -> None:
    config = loads(TLS, MEDIAPROXY_SIP__TLS__KEY="other.key")
    assert config.sip.tls.key == authority.folder / "other.key"


def test_a_reload_may_change_files_and_names(loads: Loads, authority: Authority) -> None:
    new = loads(TLS.replace("proxy.", "new.") + TRUNK + 'tls_name = "c.example"\n')
    assert needs_restart(loads(TLS + TRUNK), new) == []


def test_a_listener_without_files(loads: Loads) -> None:
    missing = "missing, and sip.listen has a TLS listener; name a PEM file"
    assert lines(loads(LISTEN + TOKEN)) == [
        f"error: FILE: sip.tls.certificate: {missing}", f"error: FILE: sip.tls.key: {missing}",
    ]  # fmt: skip


def test_files_that_cannot_be_used(loads: Loads, authority: Authority) -> None:
    def said(**files: str) -> str:
        text = TLS
        for name, file in files.items():
            text = re.sub(rf'^{name} = ".*"$', f'{name} = "{file}"', text, flags=re.MULTILINE)
        (line,) = lines(loads(text + TOKEN))
        return line.replace(f"{authority.folder}/", "")

    authority.issue("other", "127.0.0.1")
    authority.issue("old", "127.0.0.1", days=-1)
    authority.issue("soon", "127.0.0.1", days=3)
    authority.issue("later", "127.0.0.1", days=3)
    (authority.folder / "text.pem").write_text("no PEM")
    assert said(certificate="none.pem") == (
        "error: FILE: sip.tls.certificate = none.pem: No such file or directory; "
        "name a PEM file that holds our certificate"
    )
    assert said(certificate="text.pem").startswith("error: FILE: sip.tls.certificate = text.pem: not PEM")
    assert said(key="proxy.pem").startswith("error: FILE: sip.tls.key = proxy.pem: not PEM, empty")
    assert said(key="other.key") == (
        "error: FILE: sip.tls.key = other.key: is not the certificate's; "
        "name the key that the certificate was made for"
    )
    assert said(ca="none.pem").startswith("error: FILE: sip.tls.ca = none.pem: No such file")
    assert said(certificate="old.pem", key="old.key").startswith(
        "error: FILE: sip.tls.certificate = old.pem: expired on 20"
    )
    assert said(certificate="soon.pem", key="soon.key").startswith(
        "warning: FILE: sip.tls.certificate = soon.pem: expires on 20"
    )


def test_peers_out_of_reach(loads: Loads) -> None:
    agent = '[[agents]]\nname = "a"\ncontact = "sips:a@192.0.2.2"\n'
    remedy = 'there is no TLS listener; add "tls:ADDRESS:PORT" to sip.listen'
    assert lines(loads(TOKEN + TRUNK + "client_certificate = true\n" + agent)) == [
        f"error: FILE: agents.a.contact = sips:a@192.0.2.2: {remedy}",
        f"error: FILE: trunks.carrier.address = tls:192.0.2.1: {remedy}",
        f"error: FILE: trunks.carrier.client_certificate = true: {remedy}",
    ]


def test_trunks_known_by_certificate_need_names_of_their_own_and_no_sources(
    loads: Loads, authority: Authority
) -> None:
    def two(name: str) -> str:
        return "".join(
            f'[[trunks]]\nname = "{n}"\naddress = "192.0.2.1"\ntls_name = "{t}"\nclient_certificate = true\n'
            for n, t in (("one", "c.example"), ("two", name))
        )

    assert lines(loads(TLS + TOKEN + two("d.example"))) == []
    (line,) = lines(loads(TLS + TOKEN + two("C.example")))
    assert line.startswith("error: FILE: trunks.two.tls_name = c.example: trunk one has the same")
