"""A sound mixed into what a party says, by the plane's own parts, so that memory can be searched for it."""

from time import monotonic_ns

from mediaproxy.calls.plane import Codec, Connect, Describe, Latch, LegId, PlaneEvent, Remote, Tone
from mediaproxy.ids import CallId
from mediaproxy.media.ports import PortPool
from mediaproxy.media.userspace.detour import Detour
from mediaproxy.media.userspace.leg import Leg
from mediaproxy.net import Endpoint, Family
from mediaproxy.prove.needles import PACKET_SAMPLES
from mediaproxy.recording.ring import PacketRing
from mediaproxy.rtp.packet import HEADER, HEADER_BYTES, PLAIN

PACKETS = 40
VEIL = 0x5A  # the signal's own bytes must be nowhere but where it is said


def mix_into_speech(veiled: bytes) -> int:
    """Lets one leg say what `veiled` hides while the other one is warned; how many packets had a sound in
    them. The buffer is blanked after each packet, as the relay does."""
    events: list[PlaneEvent] = []
    detour = Detour(PacketRing(16), events.append, lambda: None)
    pool = PortPool("127.0.0.20", Family.IPV4, range(31_300, 31_310), quarantine_s=0.0)
    call, nobody = CallId("one"), Endpoint("127.0.0.21", 9)
    a, b = (Leg(call, leg, 1, Family.IPV4, pool.take(0)) for leg in LegId)
    a.couple(b)
    b.couple(a)
    for leg in (a, b):
        leg.describe(Describe(call, leg.id, {0: Codec("PCMU", 8_000)}))
        leg.connect(Connect(call, leg.id, Remote(nobody, nobody, True), Latch.NEVER, nobody.host), 0)
    b.packets = 1  # it spoke: it listens
    detour.player.play_tone(b, Tone.WARNING, monotonic_ns())
    said = bytearray(code ^ VEIL for code in veiled)
    buffer = bytearray(1_473)
    for n in range(PACKETS):
        HEADER.pack_into(buffer, 0, PLAIN, 0, n, n * PACKET_SAMPLES, 7)
        memoryview(buffer)[HEADER_BYTES : HEADER_BYTES + len(said)] = said
        size = HEADER_BYTES + len(said)
        detour.relay(a, buffer, size, HEADER_BYTES, size, monotonic_ns())
        buffer[:] = bytes(len(buffer))
    said[:] = bytes(len(said))
    for leg in (a, b):
        leg.pair.close()
    return a.injected
