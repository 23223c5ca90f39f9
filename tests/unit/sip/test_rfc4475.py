"""The torture messages of RFC 4475, byte for byte, and what each of them demands of a parser."""

import csv

import pytest

from mediaproxy.errors import Malformed
from mediaproxy.net import Endpoint
from mediaproxy.sip.messages import Request, Response
from mediaproxy.sip.parser import parse_message
from mediaproxy.sip.responses import answer_malformed
from tests.support.corpora import CORPORA, MISSING

FOLDER = CORPORA / "rfc4475"
SOURCE = Endpoint("192.0.2.99", 5060)
# What the call logic above judges (status by its own rules); the parser lets these pass.
JUDGED_ABOVE = {"unkscm", "novelsc", "bext01", "invut", "zeromf", "cparam02", "regescrt", "sdp01", "bcast"}
# 400 or ignore: a Date is nobody's business here; a bare cookie is matched as RFC 2543 has it.
IGNORED = {"baddate", "badbranch"}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=MISSING)


def verdicts() -> dict[str, dict[str, str]]:
    if not FOLDER.is_dir():
        return {}
    with (FOLDER / "VERDICTS.tsv").open() as lines:
        return {row["file"]: row for row in csv.DictReader(lines, delimiter="\t")}


VERDICTS = verdicts()


def read(name: str) -> bytes:
    return (FOLDER / f"{name}.dat").read_bytes()


def accepted() -> list[str]:
    valid = [name for name, row in VERDICTS.items() if row["class"].startswith("valid")]
    return sorted({*valid, *JUDGED_ABOVE, *IGNORED})


def test_all_of_them_are_judged() -> None:
    assert len(VERDICTS) == 29
    assert set(VERDICTS) == {path.stem for path in FOLDER.glob("*.dat")}


@pytest.mark.parametrize("name", accepted())
def test_valid_messages_pass_unchanged(name: str) -> None:
    data = read(name)
    message = parse_message(data)
    again = message.encode()
    if "content-length" in message.headers:
        assert again == data[: len(again)]
    assert parse_message(again).encode() == again
    kind = Request if VERDICTS[name]["kind"] == "request" else Response
    assert isinstance(message, kind)


@pytest.mark.parametrize("name", sorted(set(VERDICTS) - set(accepted())))
def test_invalid_messages_are_refused(name: str) -> None:
    data, row = read(name), VERDICTS[name]
    with pytest.raises(Malformed) as caught:
        parse_message(data)
    answer = answer_malformed(data, caught.value, SOURCE)
    if row["expected_status"] == "discard":
        assert answer is None
    else:
        assert answer is not None
        assert answer[0][8:11].decode() in row["expected_status"].split("/")
        assert b";tag=" in answer[0]


def test_odd_spellings_mean_what_the_rfc_says() -> None:
    request = parse_message(read("wsinv"))
    assert isinstance(request, Request)
    assert request.max_forwards == 68
    assert request.via.sent_by == ("192.0.2.2", 5060)
    assert request.cseq == (9, "INVITE")
    assert request.from_.display == 'J Rosenberg \\"'
    assert len(request.headers.elements("Via")) == 3
    assert request.headers.elements("Route") == [
        "<sip:services.example.com;lr;unknownwith=value;unknown-no-value>"
    ]


def test_escapes_equal_the_plain_characters() -> None:
    request = parse_message(read("esc01"))
    assert isinstance(request, Request)
    assert request.target.user == "sips:user@example.com"
    assert request.to.uri.user == "user"


def test_unknown_schemes_are_left_to_routing() -> None:
    for name in ("unkscm", "novelsc"):
        request = parse_message(read(name))
        assert isinstance(request, Request)
        assert not request.target.is_sip
