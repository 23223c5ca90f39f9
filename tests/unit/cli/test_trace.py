"""The ladder as it is drawn."""

from typing import Any

from mediaproxy.cli.trace import ladder, summary

OK = "SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\nc: application/sdp\r\n\r\nv=0"
INVITE = "INVITE sip:+1555@h SIP/2.0\r\nCSeq: 1 INVITE\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n"


def said(leg: str, elapsed_us: int, text: str, *, sent: bool, remote: str) -> dict[str, Any]:
    return {
        "leg": leg, "at": "2026-01-05T10:00:00.000Z", "elapsed_us": elapsed_us, "sent": sent,
        "transport": "udp", "local": "192.0.2.1:5060", "remote": remote, "text": text,
    }  # fmt: skip


CARRIER, AGENT = "198.51.100.2:5060", "10.0.0.7:5060"
MESSAGES = [
    said("A", 0, INVITE, sent=False, remote=CARRIER),
    said("A", 400, "SIP/2.0 100 Trying\r\nCSeq: 1 INVITE\r\n\r\n", sent=True, remote=CARRIER),
    said("B", 1_600, INVITE, sent=True, remote=AGENT),
    said("B", 2_000_000, OK, sent=False, remote=AGENT),
    said("B", 2_003_000, "ACK sip:a@b SIP/2.0\r\nCSeq: 1 ACK\r\n\r\n", sent=True, remote="10.0.0.8:5060"),
]  # fmt: skip


def test_caller_at_the_left_callee_at_the_right() -> None:
    assert ladder(MESSAGES) == [
        "2026-01-05T10:00:00.000Z",
        "          udp 198.51.100.2:5060         mediaproxy            udp 10.0.0.7:5060",
        "   +0.000 ────────── INVITE (sdp) ─────────▶│",
        "   +0.000 ◀───── 100 Trying (INVITE) ───────│",
        "   +0.002                                   │────────── INVITE (sdp) ─────────▶",
        "   +2.000                                   │◀───── 200 OK (INVITE, sdp) ──────",
        "   +2.003                                   │────────────── ACK ──────────────▶"
        "  (to udp 10.0.0.8:5060)",
    ]


def test_all_lines_of_a_message_are_shown_when_asked_for() -> None:
    lines = ladder(MESSAGES[:1], whole=True)
    assert "          CSeq: 1 INVITE" in lines
    assert lines[-2:] == ["          v=0", ""]


def test_a_peers_words_move_no_cursor() -> None:
    text = "SIP/2.0 486 \x1b[2JBusy\x07\r\nCSeq: 1 INVITE\r\nX: \x1b]0;own\x07\r\n\r\n"
    shown = "\n".join(ladder([said("A", 0, text, sent=True, remote=CARRIER)], whole=True))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "486 �[2JBusy�" in shown


def test_a_long_reason_is_cut() -> None:
    line = ladder([said("A", 0, f"SIP/2.0 486 {'x' * 90}\r\n\r\n", sent=True, remote=CARRIER)])[-1]
    assert "…" in line
    assert len(line) == len(ladder(MESSAGES[:1])[-1])


def test_summaries() -> None:
    assert summary("") == ""
    assert summary("SIP/2.0 200 OK\r\n\r\n") == "200 OK"
    assert summary("BYE sip:a@b SIP/2.0\r\n\r\n") == "BYE"
