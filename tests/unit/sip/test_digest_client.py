"""Digest as a client: the RFC's own examples, and challenges that are not for us."""

import pytest

from mediaproxy.errors import Malformed
from mediaproxy.sip.digest import Algorithm
from mediaproxy.sip.digest_client import Account, credentials, first_challenge, next_nonce, parse_challenge

NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
RFC_7616 = (
    f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={{}}, nonce="{NONCE}",'
    f' opaque="{OPAQUE}"'
)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616(algorithm: str, response: str) -> None:
    challenge = parse_challenge(RFC_7616.format(algorithm))
    assert challenge is not None
    account = Account("Mufasa", "Circle of Life")
    made = credentials(challenge, account, "GET", "/dir/index.html", cnonce=CNONCE, count=1)
    assert f'response="{response}"' in made
    assert f'opaque="{OPAQUE}"' in made
    assert f'qop=auth, nc=00000001, cnonce="{CNONCE}"' in made
    assert "Circle" not in made + repr(account)


def test_without_qop_it_is_as_in_rfc_2069() -> None:
    challenge = parse_challenge(
        'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    )
    assert challenge is not None
    made = credentials(
        challenge, Account("Mufasa", "CircleOfLife"), "GET", "/dir/index.html", cnonce="x", count=1
    )
    assert 'response="1949323746fe6a43ef61f9606e7febea"' in made  # RFC 2069 2.4, erratum 749
    assert "nc=" not in made
    assert "qop" not in made


@pytest.mark.parametrize(
    "text",
    [
        'Basic realm="x"',
        'Digest realm="x", nonce="n", qop="auth-int"',
        'Digest realm="x", nonce="n", algorithm=MD5-sess',
        'Digest realm="x", nonce="n", algorithm=SHA-512-256, qop="auth"',
    ],
)
def test_what_is_not_ours_is_passed_over(text: str) -> None:
    assert parse_challenge(text) is None


@pytest.mark.parametrize(
    "text", ['Digest realm="x"', 'Digest nonce="n"', 'Digest realm="x", nonce=""', "Digest"]
)
def test_what_lacks_a_field_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse_challenge(text)


def test_the_topmost_that_we_can_answer_is_taken() -> None:
    values = [
        "Digest nonsense",
        'Digest realm="other", nonce="1"',
        'Digest realm="ours", nonce="2", algorithm=SHA-512-256',
        'Digest realm="ours", nonce="3", algorithm=sha-256, qop="auth", stale=True',
        'Digest realm="ours", nonce="4", algorithm=MD5',
    ]
    found = first_challenge(values, lambda realm: realm == "ours")
    assert found is not None
    assert (found.nonce, found.algorithm, found.has_qop, found.stale) == ("3", Algorithm.SHA256, True, True)
    assert first_challenge(values, lambda realm: False) is None


def test_the_next_nonce() -> None:
    assert next_nonce('nextnonce="a b", qop=auth') == "a b"
    for text in ("", "qop=auth", 'nextnonce=""', "nextnonce"):
        assert next_nonce(text) is None
