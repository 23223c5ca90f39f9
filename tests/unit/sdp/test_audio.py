import pytest

from mediaproxy.errors import Malformed
from mediaproxy.net import Endpoint
from mediaproxy.sdp.audio import Audio, Direction, read_answer, read_offer
from mediaproxy.sdp.description import parse
from mediaproxy.sdp.payloads import Codec

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"


def offer(*lines: str, head: str = HEAD) -> Audio:
    return read_offer(parse((head + "".join(f"{line}\r\n" for line in lines)).encode()))


def answer(*lines: str, index: int = 0) -> Audio:
    return read_answer(parse((HEAD + "".join(f"{line}\r\n" for line in lines)).encode()), index)


def test_a_plain_section() -> None:
    audio = offer("m=audio 6000 RTP/AVP 0 96", "a=rtpmap:96 opus/48000/2", "a=ptime:30")
    assert audio.rtp == Endpoint("192.0.2.1", 6000)
    assert audio.rtcp == Endpoint("192.0.2.1", 6001)
    assert audio.direction is Direction.SENDRECV
    assert audio.payloads.audio == {0: Codec("PCMU", 8000), 96: Codec("OPUS", 48000, 2)}
    assert audio.ptime_ms == 30
    assert not audio.rtcp_mux


def test_speech_digits_and_comfort_noise_are_told_apart() -> None:
    audio = offer("m=audio 6000 RTP/AVP 8 13 101 99", "a=rtpmap:101 telephone-event/8000", "a=rtpmap:98 x/1")
    assert list(audio.payloads.audio) == [8]  # 98 is not listed, 99 not mapped
    assert audio.payloads.digits == {101}


def test_a_map_overrides_a_static_type() -> None:
    audio = offer("m=audio 6000 RTP/AVP 0", "a=rtpmap:0 PCMU/16000")
    assert audio.payloads.audio == {0: Codec("PCMU", 16000)}


@pytest.mark.parametrize("broken", ["96 opus", "96 opus/0", "96", "", "x opus/48000", "96 opus/x"])
def test_a_map_that_can_not_be_read_maps_nothing(broken: str) -> None:
    assert offer("m=audio 6000 RTP/AVP 0 96", f"a=rtpmap:{broken}").payloads.audio == {0: Codec("PCMU", 8000)}


def test_text_after_a_clock_rate_is_passed_over() -> None:
    audio = offer("m=audio 6000 RTP/AVP 96", "a=rtpmap:96 PCMA/8000` 101")
    assert audio.payloads.audio == {96: Codec("PCMA", 8000)}


@pytest.mark.parametrize(
    ("line", "rtcp"),
    [
        ("a=rtcp:7001", Endpoint("192.0.2.1", 7001)),
        ("a=rtcp:7001 IN IP4 192.0.2.9", Endpoint("192.0.2.9", 7001)),
        ("a=rtcp:9 IN IP4 0.0.0.0", Endpoint("192.0.2.1", 6001)),
        ("a=rtcp:0", Endpoint("192.0.2.1", 6001)),
        ("a=rtcp:", Endpoint("192.0.2.1", 6001)),
        ("a=rtcp-fb:0 nack", Endpoint("192.0.2.1", 6001)),
    ],
)
def test_where_rtcp_goes(line: str, rtcp: Endpoint) -> None:
    assert offer("m=audio 6000 RTP/AVP 0", line).rtcp == rtcp


@pytest.mark.parametrize(
    ("line", "sends", "receives"),
    [
        ("a=sendrecv", True, True),
        ("a=sendonly", True, False),
        ("a=recvonly", False, True),
        ("a=inactive", False, False),
        ("c=IN IP4 0.0.0.0", True, False),  # the hold of RFC 2543
        ("c=IN IP6 ::", True, False),
        ("a=unknown", True, True),
    ],
)
def test_who_may_be_heard(line: str, sends: bool, receives: bool) -> None:
    audio = offer("m=audio 6000 RTP/AVP 0", line)
    assert (audio.sends, audio.receives) == (sends, receives)


def test_a_sections_direction_beats_the_descriptions() -> None:
    head = HEAD + "a=inactive\r\n"
    assert offer("m=audio 6000 RTP/AVP 0", head=head).direction is Direction.INACTIVE
    assert offer("m=audio 6000 RTP/AVP 0", "a=recvonly", head=head).direction is Direction.RECVONLY


def test_a_sections_address_beats_the_descriptions() -> None:
    audio = offer("m=audio 6000/2 RTP/AVP 0", "c=IN IP6 2001:db8::7", "b=AS:64", "a=rtcp-mux")
    assert audio.rtp == Endpoint("2001:db8::7", 6000)
    assert audio.rtcp_mux


def test_an_address_only_in_the_section() -> None:
    head = HEAD.replace("c=IN IP4 192.0.2.1\r\n", "")
    assert offer("m=audio 6000 RTP/AVP 0", "c=IN IP4 192.0.2.7", head=head).rtp == Endpoint("192.0.2.7", 6000)


@pytest.mark.parametrize(
    ("lines", "index"),
    [
        (["m=video 1 RTP/AVP 31", "m=audio 6000 RTP/AVP 0", "m=audio 6002 RTP/AVP 8"], 1),
        (["m=audio 0 RTP/AVP 0", "m=audio 6000 RTP/AVPF 0"], 1),
        (["m=audio 6000 RTP/SAVP 0", "m=audio 6002 RTP/AVP 0"], 1),  # the same speech, offered twice
    ],
)
def test_which_section_is_anchored(lines: list[str], index: int) -> None:
    assert offer(*lines).index == index


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["m=audio 6000 RTP/SAVP 0"], 488),
        (["m=audio 6000 RTP/SAVPF 0"], 488),
        (["m=audio 6000 UDP/TLS/RTP/SAVPF 0"], 488),
        (["m=image 6000 udptl t38"], 488),
        (["m=audio 0 RTP/AVP 0"], 488),
        ([], 488),
        (["m=audio 6000 RTP/AVP 0", "c=IN IP4 pc33.atlanta.example"], 488),
        (["m=audio 6000 RTP/AVP 0", "c=IN IP4 224.2.1.1/127"], 488),
        (["m=audio 6000 RTP/AVP 0", "c=IN IP4 ::1"], 400),
        (["m=audio 6000 RTP/AVP 0", "c=IN"], 400),
        (["m=audio 6000 RTP/AVP 0", "c=AF IP4 127.0.0.1"], 400),
        (["m=audio 6000 RTP/AVP 128"], 400),
        (["m=audio 6000 RTP/AVP x"], 400),
        (["m=audio 6000 RTP/AVP 0", "a=rtcp:70000"], 400),
    ],
)
def test_what_can_not_be_anchored(lines: list[str], status: int) -> None:
    with pytest.raises(Malformed) as caught:
        offer(*lines)
    assert caught.value.status == status


def test_without_any_address_an_offer_is_malformed() -> None:
    with pytest.raises(Malformed):
        offer("m=audio 6000 RTP/AVP 0", head=HEAD.replace("c=IN IP4 192.0.2.1\r\n", ""))


def test_an_answer_may_refuse_the_section() -> None:
    audio = answer("m=audio 0 RTP/AVP 0")
    assert (audio.rtp, audio.sends, audio.receives) == (None, False, False)


@pytest.mark.parametrize(
    ("lines", "index"),
    [(["m=audio 6000 RTP/AVP 0"], 1), (["m=audio 6000 RTP/SAVP 0"], 0), (["m=video 6000 RTP/AVP 31"], 0)],
)
def test_an_answer_must_fit_its_offer(lines: list[str], index: int) -> None:
    with pytest.raises(Malformed):
        answer(*lines, index=index)
