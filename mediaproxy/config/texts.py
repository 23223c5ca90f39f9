"""The kinds of text in a configuration, each with the words for what is wrong with one."""

import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, SecretStr

from mediaproxy.calls.session_timer import MIN_SE_S
from mediaproxy.config.addresses import parse_endpoint, parse_host, parse_listener

SQLITE = "sqlite:///"

MAX_SESSION_S = 86_400


def parses(parse: Callable[[str], object]) -> AfterValidator:
    """The text stays as written, but must be one that `parse` takes."""

    def check(text: str) -> str:
        parse(text)
        return text

    return AfterValidator(check)


def _number_in_a_variable(value: object) -> object:
    """The environment knows no numbers."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def _must_match(pattern: str, problem: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(problem)
        return text

    return AfterValidator(check)


def visible(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[\x21-\x7e]+", secret.get_secret_value()):
        raise ValueError("empty, or with blanks or other than ASCII signs; choose another")
    return secret


def _must_be_hash(digits: int, algorithm: str) -> AfterValidator:
    def check(secret: SecretStr) -> SecretStr:
        if not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", secret.get_secret_value()):
            raise ValueError(
                f"not {digits} hexadecimal digits; write {algorithm} of NAME:REALM:PASSWORD in hexadecimal"
            )
        return secret

    return AfterValidator(check)


def _session(seconds: int) -> int:
    if seconds and not MIN_SE_S <= seconds <= MAX_SESSION_S:
        raise ValueError(f"not a session timer; use 0 (none) or {MIN_SE_S} to {MAX_SESSION_S} seconds")
    return seconds


def _sqlite(url: str) -> str:
    if url.startswith(("postgres", "mysql")):
        raise ValueError('only SQLite is there yet; write "sqlite:///FILE"')
    if not url.startswith(SQLITE) or re.search(r"[?#\0]|:memory:", url) or url == SQLITE:
        raise ValueError('not a database file; write "sqlite:///FILE"')
    return url


def _some(listed: tuple[str, ...]) -> tuple[str, ...]:
    if not listed:
        raise ValueError("empty; give at least one")
    return listed


def _hosts(hosts: str | tuple[str, ...]) -> str | tuple[str, ...]:
    for host in (hosts,) if isinstance(hosts, str) else hosts:
        parse_host(host)
    return hosts


Name = Annotated[
    str, _must_match(r"[A-Za-z0-9._@+-]{1,64}", "not a name; use letters, digits and . _ @ + - (at most 64)")
]
Domain = Annotated[
    str,
    _must_match(
        r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]+\]", 'not a domain; write a host name, e.g. "pbx.example"'
    ),
]
TlsName = Annotated[
    str,
    _must_match(
        r"[A-Za-z0-9.-]{0,253}", 'not a name in a certificate; write one, e.g. "sip.carrier.example"'
    ),
]
Code = Annotated[
    str, _must_match(r"[0-9*#A-D]{0,8}", 'not a code; use 0-9 * # A-D, at most 8 (or "" for none), e.g. "*1"')
]
SampleRate = Annotated[Literal[8000, 16000, 48000, "best"], BeforeValidator(_number_in_a_variable)]
Glob = Annotated[
    str,
    _must_match(
        r"[\x21-\x7e]{1,128}", 'not a pattern; use * and ?, e.g. "+1555*", no blanks, at most 128 signs'
    ),
]
Source = Annotated[
    Glob,
    _must_match(
        r"\*|(trunk|agent):.+",
        'neither a trunk nor an agent; write "trunk:NAME" or "agent:NAME", * and ? allowed',
    ),
]
PasswordText = Annotated[SecretStr, AfterValidator(visible)]
Realm = Annotated[
    str,
    _must_match(
        r"[A-Za-z0-9._@+ -]{1,64}", "not a realm; use letters, digits, blanks and . _ @ + - (at most 64)"
    ),
]
Ha1 = Annotated[SecretStr, _must_be_hash(32, "MD5")]
Ha256 = Annotated[SecretStr, _must_be_hash(64, "SHA-256")]
TokenText = Annotated[SecretStr, AfterValidator(visible)]
SessionSeconds = Annotated[int, AfterValidator(_session)]
Database = Annotated[str, AfterValidator(_sqlite)]
Listeners = Annotated[tuple[Annotated[str, parses(parse_listener)], ...], AfterValidator(_some)]
EndpointText = Annotated[str, parses(parse_endpoint)]
Hosts = Annotated[str | tuple[str, ...], AfterValidator(_hosts)]
PolicyName = Literal["off", "on_demand", "automatic"]
LatchName = Literal["auto", "always", "never"]
