"""Classes of conditions: what senders and networks do. Times in ms; counts are for one leg of a call."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Conditions:
    """Nothing happens unless it is said. Each range is drawn from evenly."""

    ppm: int = 0  # the sender's clock against ours, at most
    jitter: str = "none"  # "even" up to jitter_ms | "tail" (gamma, mostly below) | "spikes" (rare, high)
    jitter_ms: int = 0
    queues: int = 0  # that build up and drain, up to queue_ms
    queue_ms: int = 0
    routes: int = 0  # changes of the path, by at most route_ms, slower or faster
    route_ms: int = 0
    stalls: int = 0  # of the network: up to stall_ms nothing comes, then all at once
    stall_ms: int = 300
    mutes: int = 0  # silences without a packet, the timestamps run on
    comfort_noise: bool = False  # a packet of it at each mute's begin and every 200 ms
    long_mutes: int = 0  # of two to three minutes
    holds: int = 0  # silences in which the timestamps stand
    frozen: int = 0  # up to a second of packets with one timestamp
    jumps: int = 0  # of the timestamps, to anywhere
    ssrcs: int = 0  # changes of the SSRC
    codecs: int = 0  # changes of the codec
    ptimes: tuple[int, ...] = (20,)
    ptime_changes: int = 0
    digits: int = 0  # RFC 4733 events, on an SSRC of their own or the voice's
    own_digits: bool = False
    loss: float = 0.0
    duplicated: float = 0.0
    stops: bool = False  # the leg falls silent for good before the end
    silent: bool = False  # the leg never says anything
    one_way: bool = False  # the callee's leg never does
    our_stalls: int = 0  # of the loop, up to a second (of the call, not of a leg)


FIELD = Conditions(
    ppm=500, jitter="any", jitter_ms=40, routes=2, route_ms=50, stalls=1, mutes=2, holds=1, our_stalls=1,
)  # fmt: skip

CLASSES: dict[str, Conditions] = {
    "nothing wrong": Conditions(),
    "clocks to 500 ppm": Conditions(ppm=500),
    "jitter, even to 40 ms": Conditions(jitter="even", jitter_ms=40),
    "jitter with a tail": Conditions(jitter="tail", jitter_ms=40),
    "jitter in spikes": Conditions(jitter="spikes", jitter_ms=150),
    "queues to 80 ms": Conditions(queues=4, queue_ms=80),
    "queues to 300 ms": Conditions(queues=4, queue_ms=300),
    "route changes to 15 ms": Conditions(routes=4, route_ms=15),
    "route changes to 50 ms": Conditions(routes=4, route_ms=50),
    "route changes to 200 ms": Conditions(routes=4, route_ms=200),
    "network stalls to 300 ms": Conditions(stalls=4, jitter="even", jitter_ms=5),
    "network stalls to a second": Conditions(stalls=4, stall_ms=1_000, jitter="even", jitter_ms=5),
    "our own stalls": Conditions(our_stalls=4),
    "mutes": Conditions(mutes=6, ppm=100),
    "comfort noise, DTX": Conditions(mutes=8, comfort_noise=True, ppm=100),
    "mutes of minutes": Conditions(long_mutes=1, ppm=500),
    "holds, timestamps stand": Conditions(holds=4),
    "frozen timestamps": Conditions(frozen=4),
    "jumping timestamps": Conditions(jumps=6),
    "SSRC changes": Conditions(ssrcs=4),
    "codec switches": Conditions(codecs=6),
    "packet time 10 to 60 ms": Conditions(ptimes=(10, 20, 30, 40, 60), ptime_changes=6),
    "digits in the voice's stream": Conditions(digits=6),
    "digits with their own SSRC": Conditions(digits=6, own_digits=True),
    "loss of 10 %": Conditions(loss=0.1, duplicated=0.05),
    "one-way audio": Conditions(one_way=True, jitter="even", jitter_ms=10),
    "no RTP": Conditions(silent=True),
    "RTP stops": Conditions(stops=True),
    "the field": FIELD,
    "the field, queues to 300 ms": replace(FIELD, queues=3, queue_ms=300),
}
