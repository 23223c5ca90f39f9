"""File and environment become one configuration; what is wrong with them is said once, and to the point."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mediaproxy.api.tokens import Caller, Role
from mediaproxy.calls.model import Target
from mediaproxy.config import BadConfiguration, Config, json_schema, load
from mediaproxy.net import Endpoint, Family

Loads = Callable[..., Config]
Refusals = Callable[..., list[str]]


def test_an_empty_file_is_safe(loads: Loads, tmp_path: Path) -> None:
    config = loads("")
    assert config.sip.listeners == (Target("udp", Endpoint("127.0.0.1", 5060)),)
    assert config.media.addresses == {Family.IPV4: "127.0.0.1"}
    assert config.api.endpoint == Endpoint("127.0.0.1", 8080)
    assert config.api.known_tokens() == []
    assert config.recording.policy == "on_demand"
    assert config.recording.codes == (("start", "*1"), ("stop", "*2"), ("toggle", "*3"))
    assert config.sip.our_domain == "127.0.0.1"


def test_relative_paths_start_at_the_files_folder(loads: Loads, tmp_path: Path) -> None:
    config = loads('[storage]\ndirectory = "a/b"\n[database]\nurl = "sqlite:///c/d.sqlite"')
    assert config.storage.directory == tmp_path / "a/b"
    assert config.database.url == f"sqlite:///{tmp_path}/c/d.sqlite"


def test_absolute_paths_stay(loads: Loads) -> None:
    config = loads('[storage]\ndirectory = "/srv/rec"\n[database]\nurl = "sqlite:////srv/log.sqlite"')
    assert str(config.storage.directory) == "/srv/rec"
    assert config.database.url == "sqlite:////srv/log.sqlite"


def test_paths_of_the_environment_start_at_the_files_folder_too(loads: Loads, tmp_path: Path) -> None:
    assert loads("", MEDIAPROXY_STORAGE__DIRECTORY="x").storage.directory == tmp_path / "x"


def test_the_environment_wins_key_by_key(loads: Loads) -> None:
    config = loads(
        '[sip]\ndomain = "file.example"\nmax_calls = 7\n[recording.dtmf]\nstart = "*8"\nstop = "*9"',
        MEDIAPROXY_SIP__DOMAIN="env.example",
        MEDIAPROXY_SIP__LISTEN='["tcp:127.0.0.1:5070"]',
        MEDIAPROXY_SIP__RING_TIMEOUT_S="2.5",
        MEDIAPROXY_MEDIA__ADDRESS="127.0.0.9",
        MEDIAPROXY_RECORDING__DTMF__START="",
        MEDIAPROXY_RECORDING__PAUSABLE="false",
        MEDIAPROXY_TRUNKS='[{"name": "t", "address": "192.0.2.1"}]',
    )
    assert (config.sip.domain, config.sip.max_calls, config.sip.ring_timeout_s) == ("env.example", 7, 2.5)
    assert config.sip.listen == ("tcp:127.0.0.1:5070",)
    assert config.media.addresses == {Family.IPV4: "127.0.0.9"}
    assert config.recording.codes == (("stop", "*9"), ("toggle", "*3"))
    assert config.recording.pausable is False
    assert config.trunks[0].target == Target("udp", Endpoint("192.0.2.1", 5060))


@pytest.mark.parametrize(("text", "rate"), [("16000", 16_000), ("best", "best")])
def test_a_sample_rate_is_a_number_or_a_word_wherever_it_stands(
    loads: Loads, text: str, rate: int | str
) -> None:
    assert loads("", MEDIAPROXY_RECORDING__SAMPLE_RATE=text).recording.sample_rate == rate
    in_the_file = text if text.isdigit() else f'"{text}"'
    assert loads(f"[recording]\nsample_rate = {in_the_file}").recording.sample_rate == rate


def test_other_variables_with_our_prefix_are_not_ours(loads: Loads) -> None:
    loads("", MEDIAPROXY_CORPORA="/somewhere")


def test_one_address_per_family(loads: Loads) -> None:
    config = loads('[media]\naddress = ["127.0.0.1", "::1"]\nadvertise = "198.51.100.7"')
    assert config.media.addresses == {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
    assert config.media.advertised == {Family.IPV4: "198.51.100.7", Family.IPV6: "::1"}
    assert config.media.port_range == range(20_000, 30_000)


def test_an_unspecified_media_address_is_fine_behind_an_advertised_one(loads: Loads) -> None:
    config = loads('[media]\naddress = "0.0.0.0"\nadvertise = "198.51.100.7"')
    assert config.media.advertised == {Family.IPV4: "198.51.100.7"}


def test_tokens_stand_for_callers(loads: Loads) -> None:
    config = loads(
        '[api]\ntokens = [{token = "a", role = "admin"}, {token = "b", role = "agent", agent = "bob"},'
        '{token = "c", role = "admin", name = "Carla"}]'
    )
    assert [token.caller for token in config.api.known_tokens()] == [
        Caller(Role.ADMIN, "admin", None),
        Caller(Role.AGENT, "bob", "bob"),
        Caller(Role.ADMIN, "Carla", None),
    ]
    assert "secret='a'" not in repr(config)
    assert "'b'" not in repr(config.api.known_tokens())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[sip]\nlistne = ["x"]', "FILE: sip.listne: unknown key; did you mean listen?"),
        ("colour = 1", "FILE: colour = 1: unknown key; remove it; known are sip, capture, media"),
        ("sip = 5", "FILE: sip = 5: not a table"),
        ("[sip]\nlisten = []", "FILE: sip.listen: empty; give at least one"),
        ('[sip]\nlisten = ["ws:127.0.0.1:1"]', "FILE: sip.listen[0] = 'ws:127.0.0.1:1': ws is not there yet"),
        ('[sip]\nlisten = ["127.0.0.1:1"]', "FILE: sip.listen[0] = '127.0.0.1:1': no transport; write"),
        ('[sip]\nlisten = ["udp:0.0.0.0:1"]', "FILE: sip.listen[0] = 'udp:0.0.0.0:1': peers cannot be told"),
        (
            '[sip]\nlisten = ["udp:127.0.0.1:99999"]',
            "FILE: sip.listen[0] = 'udp:127.0.0.1:99999': no such port",
        ),
        ('[sip]\ndomain = "a\\r\\nb"', "FILE: sip.domain = 'a\\r\\nb': not a domain"),
        ("[sip]\nring_timeout_s = 0", "FILE: sip.ring_timeout_s = 0:"),
        (
            "[sip]\nsession_expires_s = 60",
            "FILE: sip.session_expires_s = 60: not a session timer; use 0 (none)",
        ),
        ("[media]\ntimeout_s = inf", "FILE: media.timeout_s = inf:"),
        ('[media]\nports = "5-9"', "FILE: media.ports = '5-9': not a range within 1024 to 65535; write"),
        ("[media]\naddress = 5", "FILE: media.address = 5: not a text"),
        ('[media]\naddress = "localhost"', "FILE: media.address = 'localhost': not a numeric address"),
        ('[media]\naddress = ["127.0.0.1", "127.0.0.2"]', "FILE: media: two addresses of one family"),
        ('[media]\naddress = "0.0.0.0"', "FILE: media: peers cannot be told an unspecified address"),
        ('[media]\nadvertise = "::1"', "FILE: media: advertise has a family that address lacks"),
        ('[database]\nurl = "postgresql://h/d"', "FILE: database.url = 'postgresql://h/d': only SQLite"),
        (
            '[database]\nurl = "sqlite:///:memory:"',
            "FILE: database.url = 'sqlite:///:memory:': not a database",
        ),
        (
            '[recording]\npolicy = "never"',
            "FILE: recording.policy = 'never': not one of the values that are known",
        ),
        ("[recording]\nsample_rate = 44100", "FILE: recording.sample_rate = 44100: not one of"),
        ('[recording]\nsample_rate = "good"', "FILE: recording.sample_rate = 'good': not one of"),
        ('[recording.dtmf]\nstart = "12x"', "FILE: recording.dtmf.start = '12x': not a code"),
        ("[emergency]\nnumbers = []", "FILE: emergency: emergency numbers are not there yet"),
        (
            '[[agents]]\nname = "a"\ncontact = "sip:a@h"',
            "FILE: agents[0].contact = 'sip:a@h': the host is no",
        ),
        ('[[agents]]\nname = "a"\ncontact = "tel:1"', "FILE: agents[0].contact = 'tel:1': not a sip: URI"),
        (
            '[[agents]]\nname = "a"\ncontact = "sips:a@127.0.0.1;transport=ws"',
            "FILE: agents[0].contact = 'sips:a@127.0.0.1;transport=ws': wss is not there yet",
        ),
        (
            '[[agents]]\nname = "a"\ncontact = "sips:a@127.0.0.1"\ntls_name = "*.example"',
            "FILE: agents[0].tls_name = '*.example': not a name in a certificate; write one",
        ),
        ('[[agents]]\nname = "a b"\ncontact = "sip:a@127.0.0.1"', "FILE: agents[0].name = 'a b': not a name"),
        (
            '[[agents]]\nname = "a"\ncontact = "sip:a@127.0.0.1"\npausable = true',
            "FILE: agents[0]: pausable alone says nothing",
        ),
        ('[[agents]]\nname = "a"', "FILE: agents[0]: an agent is at a fixed address or registers; give"),
        ('[[trunks]]\nname = "t"\naddress = "h:1"', "FILE: trunks[0].address = 'h:1': not a numeric address"),
        (
            '[[trunks]]\nname = "t"\naddress = "192.0.2.1"\nsources = ["192.0.2.1/24"]',
            "FILE: trunks[0].sources[0] = '192.0.2.1/24': not a network",
        ),
        (
            '[[trunks]]\nname = "t"\naddress = "192.0.2.1"\nlatch = "on"',
            "FILE: trunks[0].latch = 'on': not one of the values that are known; use 'auto', 'always' or",
        ),
        ('[[routes]]\nfrom = "x"\nto = "*"\nagent = "a"', "FILE: routes[0].from = 'x': neither a trunk nor"),
        ('[[routes]]\nfrom = "*"\nto = "*"', "FILE: routes[0]: a route leads to one agent or one trunk"),
        (
            '[[routes]]\nfrom = "*"\nto = "*"\nagent = "a"\ntrunk = "t"',
            "FILE: routes[0]: a route leads to one",
        ),
        ("sip", "FILE: (file): not TOML: "),
    ],
)
def test_a_mistake_is_one_line_with_file_key_value_and_remedy(
    refusals: Refusals, text: str, line: str
) -> None:
    (said,) = refusals(text)
    assert said.startswith("error: " + line)
    assert "; " in said


def test_every_mistake_is_said_at_once(refusals: Refusals) -> None:
    said = refusals('[sip]\nmax_calls = -1\nlisten = ["x"]\n[[agents]]\nname = ""\ncontact = ""\nlatch = "x"')
    assert len(said) == 5


def test_what_comes_later_is_refused_in_its_own_words(refusals: Refusals) -> None:
    said = refusals(
        '[[agents]]\nname = "a"\ncontact = "sip:a@127.0.0.1"\n'
        '[[routes]]\nfrom = "*"\nto = "*"\nagent = "a"\nagents = ["a", "b"]'
    )
    assert said == [
        'error: FILE: routes[0].agents: a route cannot lead to several agents yet; give one: agent = "NAME"',
    ]


@pytest.mark.parametrize(
    "text",
    [
        '[api]\ntokens = "geheim"',
        '[api]\ntokens = ["geheim"]',
        '[api]\ntokens = [{token = "geheim", role = "boss"}]',
        '[api]\ntokens = [{token = "geheim geheim", role = "admin"}]',
        '[api]\ntokens = [{token = 5, tokn = "geheim", role = "admin"}]',
        '[api]\ntoken = "geheim"',
        '[api]\ntokns = "geheim"',
        '[api]\ntokens = [{token = "geheim", role = "agent"}]',
        '[sip]\nsecret_token = "geheim"',
        'api_token = "geheim"',
        '[database]\nurl = "postgresql://user:geheim@host/name"',
    ],
)
def test_no_secret_is_ever_repeated(refusals: Refusals, text: str) -> None:
    assert "geheim" not in "\n".join(refusals(text))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "MEDIAPROXY_SIP__LISTEN",
            "udp:127.0.0.1:1",
            "error: environment: MEDIAPROXY_SIP__LISTEN: not JSON; ",
        ),
        ("MEDIAPROXY_SPI__LISTEN", "[]", "error: environment: MEDIAPROXY_SPI__LISTEN: no such section; "),
        (
            "MEDIAPROXY_SIP__LISTNE",
            "[]",
            "error: MEDIAPROXY_SIP__LISTNE: sip.listne = '[]': unknown key; did you",
        ),
        (
            "MEDIAPROXY_SIP__MAX_CALLS",
            "x",
            "error: MEDIAPROXY_SIP__MAX_CALLS: sip.max_calls = 'x': not a whole",
        ),
        (
            "MEDIAPROXY_API__TOKENS",
            '[{"token":"x y","role":"admin"}]',
            "error: MEDIAPROXY_API__TOKENS: api.tokens[0]",
        ),
        ("mediaproxy_sip__domain", "a b", "error: MEDIAPROXY_SIP__DOMAIN: sip.domain = 'a b': not a domain"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    refusals: Refusals, name: str, value: str, said: str
) -> None:
    (line,) = refusals("", **{name: value})
    assert line.startswith(said)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        BadConfiguration, match=r"none\.toml: \(file\): No such file or directory; name a file"
    ):
        load(tmp_path / "none.toml")


def test_a_file_of_another_encoding_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'a = "\xe9"')
    with pytest.raises(BadConfiguration, match="not UTF-8 text"):
        load(tmp_path / "latin.toml")


def test_the_schema_describes_every_section() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == set(Config.model_fields)
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["RouteSection"]["required"] == ["from", "to"]
