"""What of the messages is kept, how much of it, and what is not."""

import os
import time

from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.net import Endpoint
from mediaproxy.sip.flow import Flow
from mediaproxy.sip.trace import Trace, presentable

FLOW = Flow("udp", Endpoint("192.0.2.1", 5060), Endpoint("192.0.2.2", 5060))


def message(call_id: str = "one", *headers: str, body: str = "") -> bytes:
    lines = ["INFO sip:alice@example.com SIP/2.0", f"Call-ID: {call_id}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def test_messages_are_found_by_their_call_id_in_their_order() -> None:
    trace = Trace(os.urandom)
    for at, call_id in enumerate(("one", "two", "one")):
        trace.note(message(call_id), FLOW, sent=bool(at), at_ns=at)
    assert [(said.at_ns, said.sent) for said in trace.of("one")] == [(0, False), (2, True)]
    assert trace.of("three") == []


def test_a_call_id_may_be_spelt_as_the_rfc_lets_it() -> None:
    trace = Trace(os.urandom)
    for name in (b"Call-ID:", b"i:", b"CALL-ID \t:  "):
        trace.note(b"BYE sip:a@b SIP/2.0\r\n" + name + b"x@y  \r\n\r\n", FLOW, sent=True, at_ns=0)
    assert len(trace.of("x@y")) == 3
    assert trace.note(b"BYE sip:a@b SIP/2.0\r\nFrom: <sip:i:x@y>\r\n\r\n", FLOW, sent=True, at_ns=0) is None


def test_digits_are_not_kept() -> None:
    for kind in ("application/dtmf-relay", "application/dtmf", "text/plain", "multipart/mixed"):
        kept = presentable(message("one", f"Content-Type: {kind}", body="Signal=7\r\nDuration=160\r\n"))
        assert b"Signal" not in kept
        assert kept.endswith(b"\r\n\r\n(24 bytes left out)")
    assert b"Signal" not in presentable(message("one", body="Signal=7\r\nDuration=160\r\n"))


def test_credentials_and_keys_are_not_kept() -> None:
    kept = presentable(
        message(
            "one",
            'Authorization: Digest username="alice", response="5ec2e7"',
            'proxy-authorization : Digest\r\n username="alice",\r\n\tresponse="5ec2e7"',
            "Contact: <sip:alice:5ec2e7@192.0.2.3>",
            "c: application/sdp",
            body="k=clear:5ec2e7\r\na=crypto:1 AES inline:5ec2e7\r\na=ice-pwd:5ec2e7\r\na=ptime:20\r\n",
        )
    )
    assert b"5ec2e7" not in kept
    assert (
        b"\r\nAuthorization: (left out)\r\nproxy-authorization : (left out)\r\nContact: <sip:alice@" in kept
    )
    assert b"a=crypto:(left out)\r\na=ice-pwd:(left out)\r\na=ptime:20\r\n" in kept


def test_an_sdp_is_kept_to_the_byte() -> None:
    whole = message("one", "Content-Type: application/sdp;charset=utf-8", body="v=0\r\no=- 1 1 IN IP4 h\r\n")
    assert presentable(whole) == whole


def test_the_oldest_goes_first_and_whatever_is_found_is_whole() -> None:
    kept = Trace(bytes, 4_000)
    texts: dict[str, list[bytes]] = {}
    counts = []
    for number in range(200):
        call_id = f"call-{number % 7}"
        data = message(call_id, f"X: {'x' * (number * 37 % 300)}")
        kept.note(data, FLOW, sent=True, at_ns=number)
        texts.setdefault(call_id, []).append(data)
        found = {name: [said.text for said in kept.of(name)] for name in texts}
        for name, there in found.items():
            assert there == texts[name][len(texts[name]) - len(there) :]
        assert found[call_id][-1] == data
        counts.append(sum(map(len, found.values())))
    assert 8 <= min(counts[50:]) <= max(counts[50:]) <= 40


def test_a_message_that_is_larger_than_all_memory_is_not_kept() -> None:
    kept = Trace(bytes, 500)
    kept.note(message("one"), FLOW, sent=True, at_ns=0)
    kept.note(message("two", "X: " + "x" * 500), FLOW, sent=True, at_ns=1)
    assert [len(kept.of(call_id)) for call_id in ("one", "two")] == [1, 0]


def test_no_peer_can_write_a_record_into_a_message() -> None:
    """Without the salt that would be easy: with a known one it works."""
    forged = Trace(bytes)
    forged.note(message("victim"), FLOW, sent=True, at_ns=5)
    record = bytes(forged._memory[: forged._at])
    for random, seen in ((bytes, 1), (os.urandom, 0)):
        trace = Trace(random)
        trace.note(message("mine", "Content-Type: application/sdp") + record, FLOW, sent=False, at_ns=0)
        assert len(trace.of("victim")) == seen


def test_a_look_up_holds_nobody_up() -> None:
    trace = Trace(os.urandom)
    for number in range(25_000):
        trace.note(message(f"{number}", "X: " + "x" * 700), FLOW, sent=True, at_ns=number)
    began = time.process_time()
    assert len(trace.of("24999")) == 1
    assert trace.of("0") == []
    assert time.process_time() - began < 0.1


@given(st.binary(max_size=400))
def test_no_message_breaks_it(rest: bytes) -> None:
    trace = Trace(bytes, 2_000)
    trace.note(b"INFO sip:a@b SIP/2.0\r\nCall-ID: x\r\n" + rest, FLOW, sent=False, at_ns=0)
    assert len(trace.of("x")) == 1


def test_hostile_messages_take_no_time() -> None:
    for unit in ("sip:a:", "sip:a:b", "a=crypto:", "Authorization:\r\n ", "\r\ni:", " ", "c:\t"):
        data = message("one", unit * (60_000 // len(unit)), body=unit * 500)
        began = time.process_time()
        presentable(data)
        assert time.process_time() - began < 0.1, unit
