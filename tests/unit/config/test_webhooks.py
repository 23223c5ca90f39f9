"""Webhooks in the configuration: what is made of them, and what is refused."""

from collections.abc import Callable

import pytest

from mediaproxy.config import Config, check
from mediaproxy.config.plan import needs_restart

Loads = Callable[..., Config]

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOOK = f"""
[api]
tokens = [{{token = "x", role = "admin"}}]
[[webhooks]]
name = "crm"
url = "https://crm.example/calls?key=geheim"
secret = "{SECRET}"
"""


def test_what_is_made_of_it(loads: Loads) -> None:
    config = loads(HOOK + 'events = ["call.*", "recording.completed"]')
    assert check(config) == []
    (one,) = config.webhooks
    hook = one.hook
    assert (hook.name, hook.place.origin, hook.place.allow_private) == ("crm", "https://crm.example", False)
    assert hook.wants("call.ringing")
    assert not hook.wants("recording.failed")
    assert SECRET not in repr(config)
    assert SECRET[6:] not in repr(hook)
    assert not loads(HOOK).webhooks[0].hook.wants("call.started")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (HOOK.replace(SECRET, "geheim"), "webhooks[0].secret"),
        (HOOK.replace("https", "ftp"), "webhooks[0].url"),
        (HOOK.replace("https://", "https://u:geheim@"), "webhooks[0].url"),
        (HOOK + 'events = ["call.end"]', "webhooks[0].events[0]"),
        (HOOK + "events = []", "webhooks[0].events"),
    ],
)
def test_what_is_none(refusals: Callable[[str], list[str]], text: str, key: str) -> None:
    (said,) = refusals(text)
    assert f"FILE: {key}" in said
    assert SECRET not in said


def test_what_would_not_do(loads: Loads) -> None:
    text = HOOK + HOOK.partition('admin"}]')[2].replace("https", "http")
    said = [str(one) for one in check(loads(text), "FILE")]
    assert said == [
        "error: FILE: webhooks[].name = crm: given twice; give each a name of its own",
        "warning: FILE: webhooks.crm.url = http://crm.example: numbers and names cross the Internet"
        " unencrypted; write https",
    ]


def test_a_change_needs_a_restart(loads: Loads) -> None:
    assert needs_restart(loads(HOOK), loads(HOOK)) == []
    assert needs_restart(loads(HOOK), loads("")) == ["webhooks"]
