"""Findings on configurations that are valid, and would still not do what was meant."""

from collections.abc import Callable

import pytest

from mediaproxy.calls.glob import compile_glob
from mediaproxy.config import Config, Severity, check
from mediaproxy.config.check import covers

Loads = Callable[..., Config]

PEERS = """
[api]
tokens = [{token = "x", role = "admin"}]
[[trunks]]
name = "carrier"
address = "192.0.2.1"
[[trunks]]
name = "second"
address = "192.0.2.2"
[[agents]]
name = "alice"
contact = "sip:alice@198.51.100.1"
[[agents]]
name = "bob"
contact = "sip:bob@198.51.100.2"
"""


def _route(source: str, to: str, target: str = 'agent = "alice"') -> str:
    return f"[[routes]]\nfrom = '{source}'\nto = '{to}'\n{target}\n"


def _lines(config: Config) -> list[str]:
    return [str(finding) for finding in check(config, "FILE")]


def test_emergency_trunks_are_known(loads: Loads) -> None:
    text = PEERS + '[emergency]\nnumbers = ["112"]\ntrunks = ["second", "third"]\n'
    assert _lines(loads(text)) == [
        "error: FILE: emergency.trunks[1] = third: no such trunk; use one of carrier, second"
    ]


def test_a_good_configuration_has_no_findings(loads: Loads) -> None:
    assert check(loads(PEERS + _route("trunk:*", "+1*") + _route("agent:*", "+*", 'trunk = "carrier"'))) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            _route("trunk:carrier", "1", 'agent = "eve"'),
            "error: FILE: routes[0].agent = eve: no such agent; use one",
        ),
        (
            _route("trunk:carrier", "1", 'trunk = "t"'),
            "error: FILE: routes[0].trunk = t: no such trunk; use one of",
        ),
        (
            _route("trunk:carier", "1"),
            "error: FILE: routes[0].from = trunk:carier: no trunk or agent is called so",
        ),
        (_route("trunk:c?", "1"), "warning: FILE: routes[0].from = trunk:c?: no trunk or agent is called so"),
        (
            _route("trunk:*", "*") + _route("trunk:carrier", "1"),
            "error: FILE: routes[1] = trunk:carrier to 1: never",
        ),
        (
            _route("trunk:carrier", "+1*") + _route("trunk:second", "+*") + _route("trunk:*", "+15*"),
            "error: FILE: routes[2] = trunk:* to +15*: never reached: routes[0] takes its calls; move it up",
        ),
        (
            '[recording.dtmf]\nstart = "*1"\nstop = "*12"',
            "warning: FILE: recording.dtmf.stop = *12: begins with the code for start, so that one waits 2 s",
        ),
        (
            '[recording.dtmf]\nstart = "*2"',
            "error: FILE: recording.dtmf.stop = *2: is the code for start too; give stop",
        ),
        (
            '[[routes]]\nfrom = "*"\nto = "9"\nagent = "alice"\ndtmf = {pause = "*1"}',
            "error: FILE: routes[0].dtmf.pause = *1: is the code for start too",
        ),
        ('[media]\nports = "20000-20002"', "error: FILE: media.ports = 20000-20002: too few for one call"),
        ('[media]\nports = "20001-20004"', "error: FILE: media.ports = 20001-20004: too few for one call"),
        ('[media]\nports = "20001-20006"', "warning: FILE: media.ports = 20001-20006: RTP takes even ports"),
        (
            '[media]\nports = "5000-5999"',
            "error: FILE: media.ports = 5000-5999: 127.0.0.1:5060 is listened on",
        ),
        (
            '[sip]\nmax_calls = 3\n[media]\nports = "20000-20007"',
            "warning: FILE: media.ports = 20000-20007: enough for 2 calls, fewer than sip.max_calls",
        ),
        (
            '[[agents]]\nname = "loop"\ncontact = "sip:127.0.0.1"',
            "error: FILE: agents.loop.contact = sip:127.0.0.1: this is where we listen ourselves",
        ),
        (
            '[[agents]]\nname = "carol"\ncontact = "sip:c@198.51.100.1:5062"',
            "warning: FILE: agents[].contact = 198.51.100.1: alice, carol share an address",
        ),
        (
            '[[agents]]\nname = "carol"\ncontact = "sip:c@192.0.2.1:5062"',
            "warning: FILE: agents.carol.contact = sip:c@192.0.2.1:5062: within the sources of trunk carrier",
        ),
        (
            '[[agents]]\nname = "bob"\ncontact = "sip:b@198.51.100.9"',
            "error: FILE: agents[].name = bob: given twice",
        ),
        (
            '[[trunks]]\nname = "second"\naddress = "192.0.2.9"',
            "error: FILE: trunks[].name = second: given twice",
        ),
        (
            '[[trunks]]\nname = "third"\naddress = "192.0.2.2:5070"',
            "error: FILE: trunks.third.sources = 192.0.2.2/32: trunk second has the same",
        ),
        (
            '[sip]\nlisten = ["udp:127.0.0.1:1", "udp:127.0.0.1:1"]',
            "error: FILE: sip.listen = udp:127.0.0.1:1: given",
        ),
    ],
)
def test_a_finding_names_file_key_value_and_remedy(loads: Loads, text: str, line: str) -> None:
    said = [one for one in _lines(loads(PEERS + text)) if one.startswith(line)]
    assert len(said) == 1
    assert "; " in said[0]


def test_a_time_to_keep_that_the_storage_does_not_allow_is_worth_a_word(loads: Loads) -> None:
    limits = "[storage]\nmin_keep_days = 7\nmax_keep_days = 90\n"
    route = _route("trunk:*", "+1*")
    assert _lines(loads(limits + PEERS + route + "keep_days = 30")) == []
    (short,) = _lines(loads(limits + PEERS + route + "keep_days = 1"))
    assert short.startswith("warning: FILE: routes[0].keep_days = 1: the storage's limits make it 7; name")
    (ever,) = _lines(loads(limits + "[recording]\nkeep_days = 0\n" + PEERS + route))
    assert "recording.keep_days = 0: the storage's limits make it 90" in ever


def test_routes_that_can_be_reached_are_not_complained_about(loads: Loads) -> None:
    reachable = (
        _route("trunk:carrier", "+1555?") + _route("trunk:carrier", "+1555*") + _route("trunk:*", "+1555*")
        + _route("agent:bob", "*") + _route("agent:*", "*")
    )  # fmt: skip
    assert _lines(loads(PEERS + reachable)) == []


def test_everyone_as_a_source_is_worth_a_word(loads: Loads) -> None:
    text = '[[trunks]]\nname = "t"\naddress = "192.0.2.1"\nsources = ["0.0.0.0/0"]'
    assert any("everyone is taken for this trunk" in line for line in _lines(loads(text)))


def test_an_open_api_is_worth_a_word(loads: Loads) -> None:
    lines = _lines(loads('[api]\nlisten = "192.0.2.1:80"\ntokens = [{token = "short", role = "admin"}]'))
    assert [line.split(": ")[2] for line in lines] == ["api.listen = 192.0.2.1:80", "api.tokens[0].token"]
    assert "short" not in lines[1].replace("shorter", "")
    assert _lines(loads("")) == ["warning: FILE: api.tokens: nobody can use the API; add a token"]


def test_tokens_are_told_apart_and_belong_to_agents(loads: Loads) -> None:
    text = '[api]\ntokens = [{token = "x", role = "admin"}, {token = "x", role = "agent", agent = "eve"}]'
    lines = _lines(loads(text))
    assert lines == [
        "error: FILE: api.tokens: two tokens are the same; give everyone a token of their own",
        "error: FILE: api.tokens[1].agent = eve: no such agent; there are none yet: add it",
    ]


def test_errors_come_first(loads: Loads) -> None:
    findings = check(loads('[media]\nports = "20001-20003"'))
    assert [finding.severity for finding in findings] == [Severity.ERROR, Severity.WARNING, Severity.WARNING]


@pytest.mark.parametrize(
    ("wide", "narrow", "certain"),
    [
        ("*", "+1", True),
        ("*", "?*", True),
        ("?*", "*", False),
        ("+1*", "+15*", True),
        ("+15*", "+1*", False),
        ("+1?", "+1*", False),
        ("+1?", "+1?", True),
        ("+1?", "+15", True),
        ("+1", "+1?", False),
        ("*1*", "*21", True),
        (r"\*1", "*1", False),
        ("?1", r"\*1", True),
        ("", "*", False),
        ("*" * 60 + "a", "b" * 60, False),
    ],
)
def test_one_pattern_covers_another(wide: str, narrow: str, certain: bool) -> None:
    assert covers(compile_glob(wide), compile_glob(narrow)) is certain
