"""One leg's share of a recording: what it may send, its streams, and those that wait to be decoded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mediaproxy.audio.codecs import Coding, coding
from mediaproxy.calls.plane import Codec
from mediaproxy.recording.decoding import Decoding, Sound
from mediaproxy.recording.gate import Opening
from mediaproxy.recording.manifest import StreamFacts
from mediaproxy.recording.packets import Packet
from mediaproxy.recording.streams import Stream

PCMU, PCMA = 0, 1
LAWS: dict[str, int] = {"PCMU": PCMU, "PCMA": PCMA}
OTHERS = 2  # the first law that is no table: an index into the codings of its track
G711_HZ = 8_000
COMFORT_NOISE = "CN"
STATIC_COMFORT_NOISE = frozenset({13, 19})  # sent without having been described
UNPLACED = frozenset({COMFORT_NOISE, "TELEPHONE-EVENT"})
UNKNOWN = "unknown"
MAX_MENUS = 256


@dataclass(frozen=True, slots=True)
class Menu:
    """What a description lets a leg send: the law of each payload type that we decode, the codec of each
    that we don't, and what is no sound. `digits_hz` is the clock of digits before any sound was heard."""

    laws: Mapping[int, int] = field(default_factory=dict)
    unsupported: Mapping[int, str] = field(default_factory=dict)
    quiet: frozenset[int] = STATIC_COMFORT_NOISE
    digits_hz: int = G711_HZ


NOTHING = Menu()


class Laws:
    """A number for each way to decode, and the menus made of them, for all calls of a recorder: a law
    means the same for ever, since packets of before may wait; and most calls are described alike."""

    __slots__ = ("_codings", "_menus")

    def __init__(self) -> None:
        self._codings: list[Coding] = []
        self._menus: dict[tuple[object, ...], Menu] = {}

    def menu(self, audio: Mapping[int, Codec], digits: frozenset[int], rate: int) -> Menu:
        key = (rate, digits, *audio.items())
        known = self._menus.get(key)
        if known is None:
            if len(self._menus) >= MAX_MENUS:
                self._menus.clear()
            known = self._menus[key] = self._menu(audio, digits, rate)
        return known

    def coding(self, law: int) -> Coding:
        return self._codings[law - OTHERS]

    def codec(self, law: int) -> str:
        """What the manifest calls it."""
        return _NAMES[law] if law < OTHERS else self.coding(law).name

    def ticks(self, law: int, payload: bytes | None, length: int) -> int | None:
        """How long a packet lasts on its RTP clock; None: the stream has to guess."""
        return length if law < OTHERS else self.coding(law).ticks(payload, length)

    def clock_hz(self, law: int) -> int:
        return G711_HZ if law < OTHERS else self.coding(law).clock_hz

    def _menu(self, audio: Mapping[int, Codec], digits: frozenset[int], rate: int) -> Menu:
        unplaced = {number for number, codec in audio.items() if codec.name in UNPLACED}
        quiet = STATIC_COMFORT_NOISE | digits | unplaced
        described = {number: codec for number, codec in audio.items() if number not in quiet}
        laws = {number: self._law(codec, rate) for number, codec in described.items()}
        return Menu(
            {number: law for number, law in laws.items() if law is not None},
            {number: codec.name for number, codec in described.items() if laws[number] is None},
            quiet,
            min((codec.clock_hz for codec in described.values()), default=G711_HZ),
        )

    def _law(self, codec: Codec, rate: int) -> int | None:
        if codec.name in LAWS and codec.clock_hz == rate == G711_HZ and codec.channels == 1:
            return LAWS[codec.name]
        known = coding(codec.name, codec.clock_hz, codec.channels)
        if known is None:
            return None
        if known not in self._codings:  # there are some sixty in the world
            self._codings.append(known)
        return OTHERS + self._codings.index(known)


class Track:
    """One leg of one call."""

    __slots__ = (
        "_decodings", "channel", "facts", "faults", "heard", "laws", "menu", "name", "rate", "streams",
    )  # fmt: skip

    def __init__(self, name: str, channel: int, rate: int, laws: Laws) -> None:
        self.name = name
        self.channel = channel
        self.rate = rate
        self.laws = laws
        self.heard = True
        self.menu = NOTHING
        self.streams: dict[int, Stream] = {}
        self.facts: tuple[StreamFacts, ...] = ()  # of streams that gave their place away
        self.faults = 0  # payloads that could not be decoded
        self._decodings: dict[tuple[int, int], Decoding] | None = None  # by SSRC and opening

    def describe(self, audio: Mapping[int, Codec], digits: frozenset[int], *, heard: bool) -> None:
        """What the leg may send from now on."""
        self.menu = self.laws.menu(audio, digits, self.rate)
        if heard and not self.heard:
            for stream in self.streams.values():
                stream.resume()
        self.heard = heard

    def missing(self, payload_type: int) -> str | None:
        """The codec of a payload type whose sound nobody will hear here."""
        if payload_type in self.menu.laws or payload_type in self.menu.quiet:
            return None
        return self.menu.unsupported.get(payload_type, UNKNOWN)

    # What waits to be decoded.

    def wait(self, ssrc: int, packet: Packet, opening: Opening, start: int, end: int) -> None:
        """Keep a placed packet until its turn comes; of it `[start, end)` may be kept."""
        assert packet.payload is not None
        if self._decodings is None:
            self._decodings = {}
        decoding = self._decodings.get((ssrc, opening.number))
        if decoding is None:
            decoding = self._decodings[ssrc, opening.number] = Decoding(opening, self.rate)
        decoding.receive(
            packet.seq, packet.position, packet.samples, start, end,
            self.laws.coding(packet.law), packet.payload,
        )  # fmt: skip

    def pour(self, until: int) -> Iterator[Sound]:
        """All sound before `until`, which is about to be handed out; what is over then is forgotten."""
        for key, decoding in list((self._decodings or {}).items()):
            yield from decoding.pour(until)
            self._account(key[0], decoding)
            is_over = decoding.opening.end is not None and decoding.opening.end <= until
            if self._decodings and (is_over or (key[0] not in self.streams and decoding.is_idle)):
                del self._decodings[key]

    @property
    def waits(self) -> bool:
        return bool(self._decodings)

    def silence(self) -> None:
        """Whatever waits will not be heard."""
        self._decodings = None

    @property
    def decoded(self) -> int:
        """Before this nothing can be closed any more without having rung into what stays."""
        return max((decoding.decoded for decoding in (self._decodings or {}).values()), default=0)

    def annul(self, number: int) -> None:
        """An opening was no opening."""
        for key in [key for key in self._decodings or () if key[1] == number]:
            assert self._decodings is not None
            del self._decodings[key]

    def _account(self, ssrc: int, decoding: Decoding) -> None:
        self.faults += decoding.faults
        if decoding.late and ssrc in self.streams:
            self.streams[ssrc].late += decoding.late
        decoding.faults = decoding.late = 0

    # Facts.

    def all_facts(self) -> list[StreamFacts]:
        return [*self.facts, *(facts(self.name, stream) for stream in self.streams.values())]


_NAMES = {law: name for name, law in LAWS.items()}


def facts(leg: str, stream: Stream) -> StreamFacts:
    return StreamFacts(
        leg,
        stream.ssrc,
        stream.codec,
        stream.packets,
        lost=stream.lost,
        late=stream.late,
        duplicate=stream.duplicate,
        reordered=stream.reordered,
        reanchors=stream.reanchors,
        slips=stream.slips,
        ppm=stream.ppm,
    )
