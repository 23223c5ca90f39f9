import pytest

from mediaproxy.calls.infos import read_digit
from mediaproxy.sip.headers import Headers
from mediaproxy.sip.messages import Request


@pytest.mark.parametrize(
    ("kind", "body", "digit"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160", "5"),
        ("application/dtmf-relay", b"Signal= 5\nDuration= 160\n", "5"),
        ("application/dtmf-relay", b"Duration=160\r\nsignal=*\r\n", "*"),
        ("application/dtmf-relay", b"Signal=10", "*"),
        ("application/dtmf-relay", b"Signal=11", "#"),
        ("application/dtmf-relay", b"Signal=a", "A"),
        ("application/dtmf-relay", b"Signal=16", None),
        ("application/dtmf-relay", b"Signal=", None),
        ("application/dtmf-relay", b"Duration=160", None),
        ("application/dtmf-relay", b"", None),
        ("application/dtmf-relay", b"\xff\xfe=5", None),
        ("application/dtmf", b"#", "#"),
        ("application/dtmf", b" 7 \r\n", "7"),
        ("application/dtmf", b"77", None),
        ("Application/DTMF;x=y", b"7", "7"),
        ("text/plain", b"7", None),
    ],
)
def test_digits_of_info(kind: str, body: bytes, digit: str | None) -> None:
    request = Request("INFO", "sip:x@y", Headers.of(("Content-Type", kind)), body)
    assert read_digit(request) == digit
