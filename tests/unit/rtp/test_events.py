from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.rtp.events import TelephoneEvent, build_event, parse_event

EVENTS = st.builds(
    TelephoneEvent, st.integers(0, 255), st.booleans(), st.integers(0, 63), st.integers(0, 0xFFFF)
)


@given(EVENTS)
def test_what_is_built_is_what_is_parsed(event: TelephoneEvent) -> None:
    assert parse_event(build_event(event)) == event


def test_the_reserved_bit_and_what_follows_the_first_event_are_ignored() -> None:
    # SIPp's play_dtmf sets the reserved bit at random.
    assert parse_event(b"\x05\x4a\x01\x40\xff\xff\xff\xff") == TelephoneEvent(5, False, 10, 320)


def test_a_short_payload_is_no_event() -> None:
    assert parse_event(b"\x05\x0a\x01") is None


def test_flash_is_no_digit_and_d_is() -> None:
    assert TelephoneEvent(15, False, 10, 0).is_digit
    assert not TelephoneEvent(16, False, 10, 0).is_digit


def test_the_digit_shows_in_no_repr() -> None:
    assert "11" not in repr(TelephoneEvent(11, False, 10, 0))
