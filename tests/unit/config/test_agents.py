"""Agents in the configuration: at a fixed address, or with a password that is shown nowhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mediaproxy.config import Config, check, plan
from mediaproxy.sip.digest import Secret

Loads = Callable[..., Config]
Refusals = Callable[..., list[str]]

AGENT = '[[agents]]\nname = "alice"\n'
PASSWORD = "open-sesame"
MD5 = "0123456789abcdef" * 2
WAYS = "give one of contact, password, password_file, ha1 and ha256, or trunk"


def test_a_password_is_for_the_realm(loads: Loads) -> None:
    text = f'{AGENT}password = "{PASSWORD}"'
    for sip, realm in (
        ("", "127.0.0.1"),
        ('[sip]\ndomain = "pbx.example"\n', "pbx.example"),
        ('[sip]\ndomain = "pbx.example"\nrealm = "Acme agents"\n', "Acme agents"),
    ):
        made = plan(loads(sip + text))
        (agent,) = made.agents
        assert made.realm == realm
        assert agent.secret == Secret.of("alice", realm, PASSWORD)
        assert (agent.contact, agent.target, agent.registers) == ("", None, True)


def test_a_password_may_stand_in_a_file(loads: Loads, tmp_path: Path) -> None:
    (tmp_path / "alice").write_text(f"{PASSWORD}\r\nmore\n")
    (agent,) = plan(loads(AGENT + 'password_file = "alice"')).agents
    assert agent.secret == Secret.of("alice", "127.0.0.1", PASSWORD)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file or directory; name a file that can be read"),
        (b"", "its first line is no password; write one of visible ASCII signs"),
        (b"two words\n", "its first line is no password; write one of visible ASCII signs"),
        (b"caf\xc3\xa9\n", "its first line is no password; write one of visible ASCII signs"),
    ],
)
def test_a_file_without_a_password_is_named(
    refusals: Refusals, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / "alice").write_bytes(content)
    (said,) = refusals(AGENT + 'password_file = "alice"')
    assert said == f"error: FILE: agents[0].password_file = {tmp_path}/alice: {problem}"


def test_hashes_stand_for_the_password(loads: Loads) -> None:
    whole = Secret.of("alice", "r", PASSWORD)
    head = f'[sip]\nrealm = "r"\n{AGENT}'
    (both,) = plan(loads(f'{head}ha1 = "{(whole.md5 or "").upper()}"\nha256 = "{whole.sha256}"')).agents
    (strong,) = plan(loads(f'{head}ha256 = "{whole.sha256}"')).agents
    assert both.secret == whole
    assert strong.secret == Secret(sha256=whole.sha256)


@pytest.mark.parametrize(
    "lines",
    [
        "",
        f'contact = "sip:a@127.0.0.9"\npassword = "{PASSWORD}"',
        f'contact = "sip:a@127.0.0.9"\nha1 = "{MD5}"',
        f'password = "{PASSWORD}"\nha256 = "{MD5 * 2}"',
        f'password = "{PASSWORD}"\npassword_file = "x"',
        'contact = "sip:a@127.0.0.9"\ntrunk = "pbx"',
    ],
)
def test_an_agent_is_at_an_address_or_registers(refusals: Refusals, lines: str) -> None:
    (said,) = refusals(AGENT + lines)
    assert (
        said
        == f"error: FILE: agents[0]: an agent is at a fixed address, registers, or is behind a PBX; {WAYS}"
    )


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('password = "geheim geheim"', "password"),
        ("password = 5", "password"),
        ('password = ""', "password"),
        ('ha1 = "geheim"', "ha1"),
        (f'ha1 = "{"geheim99" * 4}"', "ha1"),
        (f'ha256 = "{MD5}"', "ha256"),
    ],
)
def test_what_is_no_password_is_refused_and_never_shown(refusals: Refusals, line: str, key: str) -> None:
    (said,) = refusals(AGENT + line)
    assert said.startswith(f"error: FILE: agents[0].{key}: ")
    assert "geheim" not in said
    assert MD5 not in said


def test_a_configuration_shows_no_password(loads: Loads) -> None:
    config = loads(f'{AGENT}password = "{PASSWORD}"')
    for text in (repr(config), str(config.model_dump()), config.model_dump_json(), repr(plan(config))):
        assert PASSWORD not in text


def test_what_makes_a_password_weak_is_worth_a_word(loads: Loads) -> None:
    def lines(text: str) -> list[str]:
        said = [str(finding).partition("configuration: ")[2] for finding in check(loads(text))]
        return [line for line in said if "api.tokens" not in line]

    realm = '[sip]\nrealm = "r"\n'
    assert lines(f'{realm}{AGENT}password = "{PASSWORD}"') == []
    assert lines(f'{realm}{AGENT}ha1 = "{MD5}"\nha256 = "{MD5 * 2}"') == []
    assert lines(f'{realm}{AGENT}password = "geheim"') == [
        "agents.alice.password: shorter than 10 signs; choose a longer one"
    ]
    assert lines(f'{realm}{AGENT}ha1 = "{MD5}"') == [
        "agents.alice.ha1: MD5 alone is weak; add ha256, if the telephone speaks SHA-256"
    ]
    assert lines(f'{AGENT}ha256 = "{MD5 * 2}"') == [
        "agents.alice: the hash holds a realm, which is our address as long as none is named; set sip.realm"
    ]
