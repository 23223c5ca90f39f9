"""Digest credentials against the RFCs' own examples, and against everything that is nearly right."""

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from mediaproxy.errors import Malformed
from mediaproxy.sip.digest import Algorithm, Credentials, Secret, challenges, parse_credentials
from mediaproxy.sip.nonces import NONCE_S, Judgement, Nonces
from mediaproxy.sip.uri import parse_uri
from tests.support.sip_build import ns, numbered_bytes

RFC_2617 = (
    'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",'
    ' uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b",'
    ' response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)
RFC_7616 = (
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm={0},'
    ' nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001,'
    ' cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="{1}",'
    ' opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
MD5 = "8ca523f5e9506fed4657c9700eebdbec"
SHA256 = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
SECRET = Secret.of("Mufasa", "http-auth@example.org", "Circle of Life")


def read(text: str) -> Credentials:
    credentials = parse_credentials(text)
    assert credentials is not None
    return credentials


def test_the_example_of_rfc_2617() -> None:
    secret = Secret.of("Mufasa", "testrealm@host.com", "Circle Of Life")
    assert secret.md5 == "939e7578ed9e3c518a452acee763bce9"
    assert read(RFC_2617).fits("GET", secret)


@pytest.mark.parametrize(("name", "given"), [("MD5", MD5), ("SHA-256", SHA256), ("sha-256", SHA256)])
def test_the_examples_of_rfc_7616(name: str, given: str) -> None:
    assert read(RFC_7616.format(name, given)).fits("GET", SECRET)
    assert read(RFC_7616.format(name, given.upper())).fits("GET", SECRET)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda text: text.replace("nc=00000001", "nc=00000002"),
        lambda text: text.replace("/dir/index.html", "/dir/other.html"),
        lambda text: text.replace("7ypf/", "8ypf/"),
        lambda text: text.replace('cnonce="f2', 'cnonce="f3'),
        lambda text: text.replace(SHA256, "0" + SHA256[1:]),
        lambda text: text.replace(SHA256, "0" * 64),
    ],
)
def test_what_is_nearly_right_is_wrong(wrong: Callable[[str], str]) -> None:
    text = RFC_7616.format("SHA-256", SHA256)
    assert wrong(text) != text
    assert not read(wrong(text)).fits("GET", SECRET)


def test_another_method_password_realm_or_algorithm_does_not_fit() -> None:
    credentials = read(RFC_7616.format("SHA-256", SHA256))
    assert not credentials.fits("POST", SECRET)
    assert not credentials.fits("GET", Secret.of("Mufasa", "http-auth@example.org", "Circle of life"))
    assert not credentials.fits("GET", Secret.of("Mufasa", "example.org", "Circle of Life"))
    assert not credentials.fits("GET", Secret(md5=SECRET.md5))
    assert not read(RFC_7616.format("MD5", MD5)).fits("GET", Secret(sha256=SECRET.sha256))
    assert not read(RFC_7616.format("MD5", MD5)).fits("GET", Secret())


@pytest.mark.parametrize(
    ("cut", "to"),
    [
        (f'"{SHA256}"', f'"{SHA256[:-1]}"'),
        (f'"{SHA256}"', '""'),
        (f'"{SHA256}"', '"' + "g" * 64 + '"'),
        ("nc=00000001", "nc=1"),
        ("nc=00000001", "nc=00000000"),
        ("nc=00000001", "nc=0000000g"),
        ("nc=00000001, ", ""),
        ('username="Mufasa"', 'user="Mufasa"'),
        ('username="Mufasa"', 'username="Mufasa'),
        ('username="Mufasa"', 'username="Mufasa"x'),
        ('username="Mufasa"', 'username="Mufasa", username="Scar"'),
        ('username="Mufasa"', "username="),
        ('username="Mufasa"', "=Mufasa"),
        ('username="Mufasa"', ",".join(f'x{n}="1"' for n in range(100))),
    ],
)
def test_broken_credentials_are_malformed(cut: str, to: str) -> None:
    text = RFC_7616.format("SHA-256", SHA256)
    assert cut in text
    with pytest.raises(Malformed) as caught:
        parse_credentials(text.replace(cut, to))
    assert "Mufasa" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "", "Digest", "Basic dXNlcjpwYXNz", RFC_7616.format("SHA-512-256", SHA256),
        RFC_7616.format("MD5-sess", MD5), RFC_7616.format("MD5", MD5).replace("qop=auth", "qop=auth-int"),
        RFC_7616.format("MD5", MD5).replace(" qop=auth,", ""),
        RFC_7616.format("MD5", MD5) + ", userhash=true",
    ],
)  # fmt: skip
def test_what_we_never_offered_is_no_answer(text: str) -> None:
    try:
        assert parse_credentials(text) is None
    except Malformed:
        assert text == "Digest"


def test_hostile_credentials_cost_no_more_than_their_length() -> None:
    def cost(text: str) -> float:
        began = time.perf_counter()
        with suppress(Malformed):
            parse_credentials(f"Digest {text}")
        return time.perf_counter() - began

    for unit in ('\\"', '"', ",", "=", 'a="', "a=\\", " ", '"\\'):
        assert min(cost(unit * (8_000 // len(unit))) for _ in range(3)) < 0.02, unit


def test_nothing_of_a_secret_is_shown() -> None:
    secret = Secret.of("alice", "pbx", "hunter2")
    assert "hunter2" not in repr(secret)
    assert str(secret.md5) not in repr(secret)
    assert str(secret.sha256) not in repr(secret)
    assert SHA256 not in repr(read(RFC_7616.format("SHA-256", SHA256)))


def test_both_algorithms_are_offered_the_stronger_first() -> None:
    strong, weak = challenges('a "b"', "abc")
    assert strong == 'Digest realm="a \\"b\\"", nonce="abc", algorithm=SHA-256, qop="auth"'
    assert "algorithm=MD5" in weak
    assert "stale" not in strong + weak
    (only,) = challenges("r", "abc", (Algorithm.MD5,), stale=True)
    assert "algorithm=MD5" in only
    assert only.endswith(", stale=true")


@pytest.mark.parametrize(
    ("meant", "asked", "same"),
    [
        ("sip:pbx.example", "sip:PBX.example", True),
        ("sip:pbx.example;transport=tcp", "sip:pbx.example", True),
        ("sip:pbx.example", "sip:pbx.example:5060", False),
        ("sip:pbx.example", "sip:other.example", False),
        ("sip:+1555@pbx.example", "sip:+1900@pbx.example", False),
        ("sips:pbx.example", "sip:pbx.example", False),
        ("/dir", "sip:pbx.example", False),
    ],
)
def test_credentials_are_for_one_address(meant: str, asked: str, same: bool) -> None:
    credentials = read(RFC_2617.replace("/dir/index.html", meant))
    assert credentials.is_for(parse_uri(asked)) is same


# -- nonces


def make_nonces(most: int = 100) -> Nonces:
    return Nonces(numbered_bytes(), most=most)


HOST, REALM = "192.0.2.9", "pbx.example"


def test_a_nonce_is_good_for_its_time_and_then_stale() -> None:
    nonces = make_nonces()
    nonce = nonces.new(REALM, HOST, now_ns=ns(5))
    for at, judged in ((5, "FRESH"), (5 + NONCE_S, "FRESH"), (6 + NONCE_S, "STALE")):
        assert nonces.judge(nonce, 1, REALM, HOST, now_ns=ns(at)).name == judged


def test_a_count_is_used_once_and_only_grows() -> None:
    nonces = make_nonces()
    nonce = nonces.new(REALM, HOST, now_ns=0)

    def judge(count: int) -> str:
        return nonces.judge(nonce, count, REALM, HOST, now_ns=1).name

    assert judge(1) == "FRESH"
    assert judge(1) == "FRESH"  # nobody has proven a password with it
    nonces.use(nonce, 1)
    assert [judge(count) for count in (1, 2, 9)] == ["REPLAYED", "FRESH", "FRESH"]
    nonces.use(nonce, 9)
    assert [judge(count) for count in (2, 9, 10)] == ["REPLAYED", "REPLAYED", "FRESH"]


def test_a_nonce_of_another_realm_host_or_server_is_stale() -> None:
    nonces = make_nonces()
    nonce = nonces.new(REALM, HOST, now_ns=0)
    assert nonces.judge(nonce, 1, "other", HOST, now_ns=1) is Judgement.STALE
    assert nonces.judge(nonce, 1, REALM, "192.0.2.8", now_ns=1) is Judgement.STALE
    restarted = Nonces(lambda size: b"x" * size)
    assert restarted.judge(nonce, 1, REALM, HOST, now_ns=1) is Judgement.STALE
    for at in range(0, len(nonce), 5):
        forged = nonce[:at] + ("0" if nonce[at] != "0" else "1") + nonce[at + 1 :]
        assert nonces.judge(forged, 1, REALM, HOST, now_ns=1) is Judgement.STALE


def test_memory_is_bounded_and_what_is_forgotten_cannot_be_replayed() -> None:
    nonces = make_nonces(most=3)
    made = [nonces.new(REALM, HOST, now_ns=0) for _ in range(10)]
    for nonce in made[:5]:
        nonces.use(nonce, 1)
    assert len(nonces) == 3
    judged = [nonces.judge(nonce, 1, REALM, HOST, now_ns=1).name for nonce in made]
    assert judged == ["STALE"] * 2 + ["REPLAYED"] * 3 + ["FRESH"] * 5
