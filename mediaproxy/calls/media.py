"""Offer and answer (RFC 3264) as they run through us, and what the media plane has to know of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from mediaproxy.calls.leg import Leg
from mediaproxy.calls.plane import Connect, Describe, PlaneOperation, Remote
from mediaproxy.errors import Malformed
from mediaproxy.ids import CallId
from mediaproxy.net import Endpoint
from mediaproxy.sdp.audio import NOT_ACCEPTABLE, Audio, read_answer, read_offer
from mediaproxy.sdp.description import Description, parse


class Offer(NamedTuple):
    description: Description
    audio: Audio


def read(body: bytes) -> Offer:
    """Raises `Malformed` with what to answer: 400, 413 or 488."""
    description = parse(body)
    return Offer(description, read_offer(description))


@dataclass(slots=True)
class Media:
    """One call's media. `local` are our RTP endpoints: each leg is told its own.

    An answer belongs to the latest offer; the plane hears of both only then.
    """

    call: CallId
    local: tuple[Endpoint, Endpoint]
    emit: Callable[[PlaneOperation], None]
    held: bool = False
    refused: bool = False  # the answerer took no audio: nothing will ever flow
    word: str = "off"  # what recording-aware peers are told: on, off, paused
    _offerer: Leg | None = None
    _offer: Audio | None = None

    def take_offer(self, leg: Leg, other: Leg, offer: Offer) -> bytes:
        """What `leg` offers, as the other leg is to read it."""
        self._offerer, self._offer = leg, offer.audio
        return self._anchor(offer.description, offer.audio, other)

    def take_answer(self, leg: Leg, other: Leg, body: bytes) -> bytes:
        """What `leg` answers, as the offerer is to read it; the plane is told how both stand."""
        return self._anchor(*self._accept(leg, other, body), other)

    def offer_again(self, leg: Leg, other: Leg) -> bytes:
        """What `leg` was told last, as an offer of ours with our word of now."""
        assert leg.offered is not None
        self._offerer, self._offer = other, leg.offered[1]
        return self._anchor(*leg.offered, leg)

    def take_confirmation(self, leg: Leg, other: Leg, body: bytes) -> None:
        """What `leg` answers to that."""
        self._accept(leg, other, body)

    def take_refreshed(self, leg: Leg, body: bytes) -> None:
        """The answer to what `leg` was told already: at most it listens elsewhere now."""
        audio = read_answer(parse(body), read(leg.told).audio.index)
        mux = leg.connected is not None and leg.connected.rtcp_mux and audio.rtcp_mux
        self._connect(leg, audio, mux=mux)

    def _accept(self, leg: Leg, other: Leg, body: bytes) -> Offer:
        if self._offer is None or self._offerer is not other:
            raise Malformed("SDP answer without an offer", status=NOT_ACCEPTABLE)
        description = parse(body)
        audio = read_answer(description, self._offer.index)
        self._couple(other, self._offer, leg, audio)
        return Offer(description, audio)

    def _anchor(self, description: Description, audio: Audio, leg: Leg) -> bytes:
        if leg.aware is not False:
            leg.offered = (description, audio)
        if leg.aware:
            leg.indicated = self.word
        leg.told = leg.origin.anchor(
            description, audio.index, self.local[leg.id], self.word if leg.aware else None
        )
        return leg.told

    def _couple(self, offerer: Leg, offer: Audio, answerer: Leg, answer: Audio) -> None:
        mux = offer.rtcp_mux and answer.rtcp_mux
        self.refused = answer.refused
        self.held = not (offer.sends and offer.receives and answer.sends and answer.receives)
        for leg, own, other in ((offerer, offer, answer), (answerer, answer, offer)):
            self._connect(leg, own, mux=mux)
            self._describe(leg, own, other)
            leg.preference = own.preference

    def _connect(self, leg: Leg, audio: Audio, *, mux: bool) -> None:
        if audio.rtp is None or audio.rtcp is None:
            return
        remote = Remote(audio.rtp, audio.rtp if mux else audio.rtcp, mux)
        if remote != leg.connected:
            leg.connected = remote
            self.emit(Connect(self.call, leg.id, remote, leg.peer.latch, leg.flow.remote.host))

    def _describe(self, leg: Leg, own: Audio, other: Audio) -> None:
        """A leg sends by the description that we sent to it: the other leg's, anchored."""
        heard = own.sends and other.receives
        said = Describe(self.call, leg.id, other.payloads.audio, other.payloads.digits, heard)
        if said != leg.described:
            leg.described = said
            self.emit(said)
