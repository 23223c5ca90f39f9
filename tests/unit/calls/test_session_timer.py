"""Who refreshes, and when (RFC 4028), by what both ends say."""

import pytest

from mediaproxy.calls.session_timer import Session, is_too_brief, min_se, session_expires
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request, Response

SUPPORTED, REQUIRED = ("Supported", "timer"), ("Require", "timer")


def request(*headers: tuple[str, str]) -> Request:
    return Request("INVITE", "sip:x@y", Headers.of(*headers))


def response(*headers: tuple[str, str]) -> Response:
    return Response(200, "OK", Headers.of(*headers))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1800", (1800, None)),
        ("1800;refresher=uac", (1800, "uac")),
        (" 90 ; x=1 ; Refresher = UAS", (90, "uas")),
        ("90;refresher=both", (90, None)),
        ("", None),
        ("-5", None),
        ("1e9", None),
        ("²", None),
        ("9" * 400, None),
        ("9999999999", (2**31 - 1, None)),
    ],
)
def test_reading(value: str, expected: tuple[int, str | None] | None) -> None:
    assert session_expires(request(("x", value))) == expected


@pytest.mark.parametrize(("value", "seconds"), [("300", 300), ("30", 90), ("x", 90), ("200;p=1", 200)])
def test_the_least_that_all_on_the_way_take(value: str, seconds: int) -> None:
    assert min_se(request(("Min-SE", value))) == seconds


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ((SUPPORTED, ("Session-Expires", "89")), True),
        ((REQUIRED, ("Session-Expires", "89")), True),
        ((SUPPORTED, ("Session-Expires", "90")), False),
        ((("Session-Expires", "89"),), False),  # it would not understand (9)
        ((SUPPORTED,), False),
    ],
)
def test_too_brief(headers: tuple[tuple[str, str], ...], refused: bool) -> None:
    assert is_too_brief(request(*headers)) is refused


@pytest.mark.parametrize(
    ("wish_s", "headers", "said", "ours"),
    [
        (0, (), None, None),
        (0, (SUPPORTED,), None, None),
        (0, (SUPPORTED, ("Session-Expires", "1800")), "1800;refresher=uac", False),
        (0, (REQUIRED, ("Session-Expires", "1800")), "1800;refresher=uac", False),
        (0, (SUPPORTED, ("Session-Expires", "1800;refresher=uas")), "1800;refresher=uas", True),
        (0, (SUPPORTED, ("Session-Expires", "1800;refresher=uac")), "1800;refresher=uac", False),
        (0, (("Session-Expires", "1800"),), "1800;refresher=uas", True),  # put in by a proxy
        (0, (("Session-Expires", "60"),), "90;refresher=uas", True),
        (600, (), "600;refresher=uas", True),
        (600, (SUPPORTED,), "600;refresher=uac", False),
        (600, (SUPPORTED, ("Min-SE", "900")), "900;refresher=uac", False),
        (600, (SUPPORTED, ("Session-Expires", "1800")), "1800;refresher=uac", False),
    ],
)
def test_as_uas(
    wish_s: int, headers: tuple[tuple[str, str], ...], said: str | None, ours: bool | None
) -> None:
    session = Session(wish_s)
    answer = session.accept(request(*headers), 5.0)
    assert answer.first("session-expires") == said
    assert answer.first("supported") == "timer"
    assert answer.first("require") == ("timer" if ours is False else None)
    assert (session.refresh_at is None) == (ours is not True)
    assert (session.expires_at is None) == (ours is None)


@pytest.mark.parametrize(
    ("wish_s", "said", "interval_s", "ours"),
    [
        (0, None, 0, True),
        (0, "1800;refresher=uas", 1800, False),
        (0, "1800;refresher=uac", 1800, True),
        (600, None, 600, True),  # 7.2: the peer knows no timers, we refresh all the same
        (600, "300;refresher=uas", 300, False),
        (600, "1;refresher=uac", 90, True),
    ],
)
def test_as_uac(wish_s: int, said: str | None, interval_s: int, ours: bool) -> None:
    session = Session(wish_s)
    assert session.ask().first("session-expires") == (str(wish_s) if wish_s else None)
    session.take(response(*([("Session-Expires", said)] if said else [])), 7.0)
    assert (session.interval_s, session.ours, session.since) == (interval_s, ours, 7.0)


def test_a_refresh_keeps_the_roles() -> None:
    session = Session()
    session.accept(request(SUPPORTED, ("Session-Expires", "1800;refresher=uas")), 0.0)
    assert session.ask().first("session-expires") == "1800;refresher=uac"
    session.accept(request(SUPPORTED, ("Session-Expires", "1800;refresher=uac")), 0.0)
    assert session.ask().first("session-expires") == "1800;refresher=uas"


@pytest.mark.parametrize(("interval_s", "half", "end"), [(90, 45.0, 60.0), (1800, 900.0, 1768.0)])
def test_times(interval_s: int, half: float, end: float) -> None:
    session = Session()
    session.take(response(("Session-Expires", f"{interval_s};refresher=uac")), 100.0)
    assert (session.refresh_at, session.expires_at) == (100.0 + half, 100.0 + end)


def test_a_422_makes_it_longer_once() -> None:
    session = Session(120)
    assert session.lengthen(response(("Min-SE", "300")))
    assert session.ask().first("session-expires") == "300"
    assert session.ask().first("min-se") == "300"
    assert not session.lengthen(response(("Min-SE", "300")))  # it says 422 to its own wish
    assert not session.lengthen(response())
