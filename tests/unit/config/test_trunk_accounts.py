"""Accounts at carriers in the configuration: one password, shown nowhere, and a way to the registrar."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mediaproxy.calls.model import TrunkRegister
from mediaproxy.config import Config, check, plan

Loads = Callable[..., Config]
Refusals = Callable[..., list[str]]

TRUNK = '[[trunks]]\nname = "carrier"\naddress = "127.0.0.2:5060"\n'
PASSWORD = "open-sesame"


def test_an_account_is_as_it_is_written(loads: Loads, tmp_path: Path) -> None:
    (trunk,) = plan(loads(f'{TRUNK}register = {{user = "acme", password = "{PASSWORD}"}}')).trunks
    assert trunk.register == TrunkRegister("acme", PASSWORD, "", "", "", 3_600)
    (tmp_path / "secret").write_text(f"{PASSWORD}\nmore\n")
    (trunk,) = plan(
        loads(
            f'{TRUNK}register = {{user = "+49301", auth_user = "acme", password_file = "secret",'
            ' domain = "sip.example", realm = "r e", expires_s = 60}'
        )
    ).trunks
    assert trunk.register == TrunkRegister("+49301", PASSWORD, "acme", "sip.example", "r e", 60)
    assert PASSWORD not in repr(trunk)
    (trunk,) = plan(loads(TRUNK)).trunks
    assert trunk.register is None


@pytest.mark.parametrize(
    ("register", "key"),
    [
        ("{}", "user"),
        (f'{{password = "{PASSWORD}"}}', "user"),
        ('{user = "a"}', "register"),
        (f'{{user = "a", password = "{PASSWORD}", password_file = "x"}}', "register"),
        (f'{{user = "a", password = "{PASSWORD} {PASSWORD}"}}', "register.password"),
        (f'{{user = "a b", password = "{PASSWORD}"}}', "register.user"),
        (f'{{user = "a", password = "{PASSWORD}", expires_s = 5}}', "register.expires_s"),
        (f'{{user = "a", password = "{PASSWORD}", expires = 60}}', "register.expires"),
        (f'{{user = "a", password = "{PASSWORD}", domain = "a/b"}}', "register.domain"),
        ('{user = "a", password_file = "missing"}', "register.password_file"),
    ],
)
def test_what_is_no_account_is_refused_and_never_shown(refusals: Refusals, register: str, key: str) -> None:
    said = refusals(f"{TRUNK}register = {register}")
    assert any(f"trunks[0].{key}" in one or f"register.{key}" in one for one in said), said
    assert all(PASSWORD not in one for one in said)


def test_a_registrar_that_no_listener_reaches_is_an_error(loads: Loads) -> None:
    account = f'register = {{user = "a", password = "{PASSWORD}"}}'
    for address, wrong in (("127.0.0.2:5060", 0), ("tcp:127.0.0.2:5060", 1), ("[::2]:5060", 1)):
        text = f'[[trunks]]\nname = "carrier"\naddress = "{address}"\n{account}'
        found = [one for one in check(loads(text)) if one.key == "trunks.carrier.register"]
        assert len(found) == wrong, found
