"""Where a webhook may go: to the Internet, by whatever spelling; never to us or our neighbours."""

import pytest

from mediaproxy.webhooks.addresses import is_public
from mediaproxy.webhooks.post import parse_url


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "1.1.1.1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700::1111", "2002:808:808::1"],
)
def test_of_the_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::808:808", "2002:7f00:1::1",
        "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1", "4000::1",
    ],
)  # fmt: skip
def test_of_nobody_but_us(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("text", "host", "port", "target", "origin"),
    [
        ("https://a.example/x?k=v", "a.example", 443, "/x?k=v", "https://a.example"),
        ("http://[::1]:8080", "::1", 8080, "/", "http://[::1]:8080"),
    ],
)
def test_a_url(text: str, host: str, port: int, target: str, origin: str) -> None:
    place = parse_url(text)
    assert (place.host, place.port, place.target, place.origin) == (host, port, target, origin)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.example",
        "ftp://a",
        "https://",
        "https://u:p@a/",
        "https://a/#x",
        "https://a/ b",
        "https://a:x/",
        "https://a/\r\nX: y",
        "https://ä/",
    ],
)
def test_what_is_no_url_of_ours(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|leave"):
        parse_url(text)
