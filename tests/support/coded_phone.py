"""Telephones that speak any codec: the scripted telephone's signalling, and RTP made of coded packets."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mediaproxy.audio.g711 import Pcm
from tests.support.coded_calls import CODECS, Sent, coding_of, heard, speech
from tests.support.rtp_oracle import RtpPacket
from tests.support.rtp_phone import RtpPhone
from tests.support.sip_wire import Address, media_of
from tests.support.softphone import Pair, Phone

FMTP = {111: "useinbandfec=0;stereo=0"}


def sdp_of(media: Address, payload_types: Sequence[int]) -> bytes:
    host, port = media
    lines = [
        "v=0", f"o=- 1 1 IN IP4 {host}", "s=-", f"c=IN IP4 {host}", "t=0 0",
        f"m=audio {port} RTP/AVP {' '.join(map(str, payload_types))} 101",
    ]  # fmt: skip
    for number in payload_types:
        codec = CODECS[number]
        channels = f"/{codec.channels}" if codec.channels > 1 else ""
        lines.append(f"a=rtpmap:{number} {codec.name.lower()}/{codec.clock_hz}{channels}")
        if number in FMTP:
            lines.append(f"a=fmtp:{number} {FMTP[number]}")
    lines += ["a=rtpmap:101 telephone-event/8000", "a=ptime:20", "a=sendrecv"]
    return ("\r\n".join(lines) + "\r\n").encode()


@dataclass
class Speech:
    """What one telephone says: coded packets, sent in time."""

    media: RtpPhone
    packets: list[Sent]
    ssrc: int

    async def say(self) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for packet in self.packets:
            await asyncio.sleep(begun + packet.arrives_ms / 1000 - loop.time())
            raw = RtpPacket(packet.payload_type, packet.seq, packet.timestamp, self.ssrc, packet.payload)
            self.media.send(raw.encode())

    def reference(self, rate_hz: int, first: int = 0) -> Pcm:
        """All of it decoded; with `first`, by a decoder that begins with that packet."""
        before = np.zeros(first * rate_hz // 50, dtype=np.int16)
        return np.concatenate([before, heard(self.packets[first:], rate_hz)])


async def connected(
    caller: Phone, callee: Phone, number: str, offered: Sequence[int], answered: Sequence[int]
) -> Pair:
    """A call in which nobody speaks yet."""
    out = caller.invite(number, sdp=sdp_of(caller.media.local, offered))
    rang = await callee.ring()
    answering = asyncio.create_task(rang.answer(speak=False, sdp=sdp_of(callee.media.local, answered)))
    response = await out.expect(200)
    out.ack(response, speak=False)
    await answering
    for call, other in ((out, response), (rang, rang.invite)):
        assert other is not None
        call.media.remote = media_of(other.sdp)
    return Pair(out, rang)


def speech_of(phone: Phone, payload_type: int, sound: Pcm, ssrc: int) -> Speech:
    return Speech(phone.media, speech(payload_type, sound), ssrc)


def sweep(payload_type: int, seconds: float, low_hz: float, high_hz: float) -> Pcm:
    """At the codec's rate. Any two stretches differ, so a wrong place can't go unnoticed."""
    rate = coding_of(payload_type).rate_hz
    at = np.arange(round(rate * seconds)) / rate
    phase = low_hz * at + (high_hz - low_hz) / (2 * seconds) * at * at
    return (8000 * np.sin(2 * np.pi * phase)).astype(np.int16)
