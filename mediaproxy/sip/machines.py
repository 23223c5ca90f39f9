"""The four transaction machines as tables (RFC 3261 17, amended by RFC 6026).

A pair (state, input) that is absent is absorbed: strays are to be ignored, not to fail on. Every
state but TERMINATED has a timer running or waits for us to answer. Zero-length timers (D, I, J, K
on reliable transports) fire at once; A, E and G do not run there at all.
"""

from enum import IntEnum, auto
from typing import NamedTuple

T1 = 0.5  # s, estimate of the round trip (17.1.1.1)
T2 = 4.0  # s, the longest interval of repetition of non-INVITE requests and of INVITE responses
T4 = 5.0  # s, the longest that a message stays in the network
TRYING_AFTER = 0.2  # s (17.2.1)
LONGEST = 64 * T1


class State(IntEnum):
    INITIAL = auto()
    CALLING = auto()
    TRYING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()  # a 2xx passed; what is in the network still may arrive (RFC 6026)
    ACKNOWLEDGED = auto()  # ACCEPTED on the server, and the ACK of the 2xx came
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


class Input(IntEnum):
    START = auto()
    R1XX = auto()
    R2XX = auto()
    R300_PLUS = auto()
    REQUEST = auto()  # the same one again
    ACK = auto()
    SEND_1XX = auto()
    SEND_2XX = auto()
    SEND_300_PLUS = auto()
    CANCEL = auto()  # we send one
    TRANSPORT_ERROR = auto()
    TIMER_A = auto()
    TIMER_B = auto()
    TIMER_D = auto()
    TIMER_E = auto()
    TIMER_F = auto()
    TIMER_G = auto()
    TIMER_H = auto()
    TIMER_I = auto()
    TIMER_J = auto()
    TIMER_K = auto()
    TIMER_L = auto()
    TIMER_M = auto()
    TIMER_TRYING = auto()
    TIMER_CANCELLED = auto()  # no final response after our CANCEL (9.1)
    TIMER_2XX = auto()  # repetition of a 2xx until its ACK (13.3.1.4)
    TIMER_UNANSWERED = auto()  # we never answered; the client has given up


class Action(IntEnum):
    TRANSMIT = auto()  # send for the first time what came with the input
    REPEAT = auto()  # send the same again
    PASS_UP = auto()
    SEND_ACK = auto()
    REPEAT_ACK = auto()  # of a 2xx
    SEND_CANCEL = auto()
    SEND_TRYING = auto()
    TIME_OUT = auto()
    FAIL = auto()
    MISS_ACK = auto()
    COUNT_UNACKNOWLEDGED = auto()
    COUNT_UNANSWERED = auto()
    STOP_TIMERS = auto()
    START_A = auto()
    START_B = auto()
    START_D = auto()
    START_E = auto()
    START_F = auto()
    START_G = auto()
    START_H = auto()
    START_I = auto()
    START_J = auto()
    START_K = auto()
    START_L = auto()
    START_M = auto()
    START_TRYING = auto()
    START_CANCELLED = auto()
    START_2XX = auto()
    START_UNANSWERED = auto()
    AGAIN_A = auto()
    AGAIN_E = auto()
    AGAIN_E_SLOWLY = auto()
    AGAIN_G = auto()
    AGAIN_2XX = auto()


class Delay(NamedTuple):
    """How long a timer runs; `reliable` None: it does not run on a reliable transport."""

    timer: Input
    unreliable: float
    reliable: float | None


class Interval(NamedTuple):
    """A repetition: the last interval doubled, never above `most`."""

    timer: Input
    most: float
    least: float = 0.0


Table = dict[tuple[State, Input], tuple[State, tuple[Action, ...]]]

DELAYS = {
    Action.START_A: Delay(Input.TIMER_A, T1, None),
    Action.START_B: Delay(Input.TIMER_B, LONGEST, LONGEST),
    Action.START_D: Delay(Input.TIMER_D, 32.0, 0.0),
    Action.START_E: Delay(Input.TIMER_E, T1, None),
    Action.START_F: Delay(Input.TIMER_F, LONGEST, LONGEST),
    Action.START_G: Delay(Input.TIMER_G, T1, None),
    Action.START_H: Delay(Input.TIMER_H, LONGEST, LONGEST),
    Action.START_I: Delay(Input.TIMER_I, T4, 0.0),
    Action.START_J: Delay(Input.TIMER_J, LONGEST, 0.0),
    Action.START_K: Delay(Input.TIMER_K, T4, 0.0),
    Action.START_L: Delay(Input.TIMER_L, LONGEST, LONGEST),
    Action.START_M: Delay(Input.TIMER_M, LONGEST, LONGEST),
    Action.START_TRYING: Delay(Input.TIMER_TRYING, TRYING_AFTER, TRYING_AFTER),
    Action.START_CANCELLED: Delay(Input.TIMER_CANCELLED, LONGEST, LONGEST),
    # Also on reliable transports: only our hop is reliable, not all of the way (13.3.1.4).
    Action.START_2XX: Delay(Input.TIMER_2XX, T1, T1),
    Action.START_UNANSWERED: Delay(Input.TIMER_UNANSWERED, LONGEST, LONGEST),
}

INTERVALS = {
    Action.AGAIN_A: Interval(Input.TIMER_A, LONGEST),  # without a cap (17.1.1.2)
    Action.AGAIN_E: Interval(Input.TIMER_E, T2),
    Action.AGAIN_E_SLOWLY: Interval(Input.TIMER_E, T2, least=T2),  # after a provisional (17.1.2.2)
    Action.AGAIN_G: Interval(Input.TIMER_G, T2),
    Action.AGAIN_2XX: Interval(Input.TIMER_2XX, T2),
}

_S, _I, _A = State, Input, Action

# 17.1.1.2, RFC 6026 8.4; CANCEL by 9.1.
INVITE_CLIENT: Table = {
    (_S.INITIAL, _I.START): (_S.CALLING, (_A.TRANSMIT, _A.START_A, _A.START_B)),
    (_S.CALLING, _I.TIMER_A): (_S.CALLING, (_A.REPEAT, _A.AGAIN_A)),
    (_S.CALLING, _I.TIMER_B): (_S.TERMINATED, (_A.TIME_OUT,)),
    (_S.CALLING, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.FAIL,)),
    (_S.CALLING, _I.R1XX): (_S.PROCEEDING, (_A.STOP_TIMERS, _A.PASS_UP)),
    (_S.CALLING, _I.R2XX): (_S.ACCEPTED, (_A.STOP_TIMERS, _A.PASS_UP, _A.START_M)),
    (_S.CALLING, _I.R300_PLUS): (_S.COMPLETED, (_A.STOP_TIMERS, _A.SEND_ACK, _A.PASS_UP, _A.START_D)),
    (_S.PROCEEDING, _I.CANCEL): (_S.PROCEEDING, (_A.SEND_CANCEL, _A.START_CANCELLED)),
    (_S.PROCEEDING, _I.TIMER_CANCELLED): (_S.TERMINATED, (_A.TIME_OUT,)),
    (_S.PROCEEDING, _I.R1XX): (_S.PROCEEDING, (_A.PASS_UP,)),
    (_S.PROCEEDING, _I.R2XX): (_S.ACCEPTED, (_A.STOP_TIMERS, _A.PASS_UP, _A.START_M)),
    (_S.PROCEEDING, _I.R300_PLUS): (_S.COMPLETED, (_A.STOP_TIMERS, _A.SEND_ACK, _A.PASS_UP, _A.START_D)),
    (_S.ACCEPTED, _I.R2XX): (_S.ACCEPTED, (_A.REPEAT_ACK,)),
    (_S.ACCEPTED, _I.TIMER_M): (_S.TERMINATED, ()),
    (_S.COMPLETED, _I.R300_PLUS): (_S.COMPLETED, (_A.SEND_ACK,)),
    (_S.COMPLETED, _I.TRANSPORT_ERROR): (_S.TERMINATED, ()),  # of our ACK: the outcome is known
    (_S.COMPLETED, _I.TIMER_D): (_S.TERMINATED, ()),
}

# 17.1.2.2
CLIENT: Table = {
    (_S.INITIAL, _I.START): (_S.TRYING, (_A.TRANSMIT, _A.START_E, _A.START_F)),
    (_S.TRYING, _I.TIMER_E): (_S.TRYING, (_A.REPEAT, _A.AGAIN_E)),
    (_S.TRYING, _I.TIMER_F): (_S.TERMINATED, (_A.TIME_OUT,)),
    (_S.TRYING, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.FAIL,)),
    (_S.TRYING, _I.R1XX): (_S.PROCEEDING, (_A.PASS_UP,)),
    (_S.TRYING, _I.R2XX): (_S.COMPLETED, (_A.STOP_TIMERS, _A.PASS_UP, _A.START_K)),
    (_S.TRYING, _I.R300_PLUS): (_S.COMPLETED, (_A.STOP_TIMERS, _A.PASS_UP, _A.START_K)),
    (_S.PROCEEDING, _I.TIMER_E): (_S.PROCEEDING, (_A.REPEAT, _A.AGAIN_E_SLOWLY)),
    (_S.PROCEEDING, _I.TIMER_F): (_S.TERMINATED, (_A.TIME_OUT,)),
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): (_S.TERMINATED, (_A.FAIL,)),
    (_S.PROCEEDING, _I.R1XX): (_S.PROCEEDING, (_A.PASS_UP,)),
    (_S.PROCEEDING, _I.R2XX): (_S.COMPLETED, (_A.STOP_TIMERS, _A.PASS_UP, _A.START_K)),
    (_S.PROCEEDING, _I.R300_PLUS): (_S.COMPLETED, (_A.STOP_TIMERS, _A.PASS_UP, _A.START_K)),
    (_S.COMPLETED, _I.TIMER_K): (_S.TERMINATED, ()),
}

# 17.2.1, RFC 6026 8.5; the repetition of a 2xx by 13.3.1.4, which ends when timer L does.
# A transport error is told and changes no state (RFC 6026 8.8): the client will ask again.
INVITE_SERVER: Table = {
    (_S.INITIAL, _I.START): (_S.PROCEEDING, (_A.PASS_UP, _A.START_TRYING)),
    (_S.PROCEEDING, _I.REQUEST): (_S.PROCEEDING, (_A.REPEAT,)),
    (_S.PROCEEDING, _I.TIMER_TRYING): (_S.PROCEEDING, (_A.SEND_TRYING,)),
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): (_S.PROCEEDING, (_A.FAIL,)),
    (_S.PROCEEDING, _I.SEND_1XX): (_S.PROCEEDING, (_A.STOP_TIMERS, _A.TRANSMIT)),
    (_S.PROCEEDING, _I.SEND_2XX): (
        _S.ACCEPTED,
        (_A.STOP_TIMERS, _A.TRANSMIT, _A.START_2XX, _A.START_L),
    ),
    (_S.PROCEEDING, _I.SEND_300_PLUS): (
        _S.COMPLETED,
        (_A.STOP_TIMERS, _A.TRANSMIT, _A.START_G, _A.START_H),
    ),
    (_S.ACCEPTED, _I.TIMER_2XX): (_S.ACCEPTED, (_A.REPEAT, _A.AGAIN_2XX)),
    (_S.ACCEPTED, _I.TRANSPORT_ERROR): (_S.ACCEPTED, (_A.FAIL,)),
    (_S.ACCEPTED, _I.ACK): (_S.ACKNOWLEDGED, (_A.PASS_UP,)),  # the next TIMER_2XX is absorbed
    (_S.ACCEPTED, _I.TIMER_L): (_S.TERMINATED, (_A.MISS_ACK,)),
    (_S.ACKNOWLEDGED, _I.TIMER_L): (_S.TERMINATED, ()),
    (_S.COMPLETED, _I.REQUEST): (_S.COMPLETED, (_A.REPEAT,)),
    (_S.COMPLETED, _I.TIMER_G): (_S.COMPLETED, (_A.REPEAT, _A.AGAIN_G)),
    (_S.COMPLETED, _I.TIMER_H): (_S.TERMINATED, (_A.COUNT_UNACKNOWLEDGED,)),
    (_S.COMPLETED, _I.ACK): (_S.CONFIRMED, (_A.STOP_TIMERS, _A.START_I)),
    (_S.CONFIRMED, _I.TIMER_I): (_S.TERMINATED, ()),
}

# 17.2.2
SERVER: Table = {
    (_S.INITIAL, _I.START): (_S.TRYING, (_A.PASS_UP, _A.START_UNANSWERED)),
    (_S.TRYING, _I.TIMER_UNANSWERED): (_S.TERMINATED, (_A.COUNT_UNANSWERED,)),
    (_S.TRYING, _I.SEND_1XX): (_S.PROCEEDING, (_A.TRANSMIT,)),
    (_S.TRYING, _I.SEND_2XX): (_S.COMPLETED, (_A.STOP_TIMERS, _A.TRANSMIT, _A.START_J)),
    (_S.TRYING, _I.SEND_300_PLUS): (_S.COMPLETED, (_A.STOP_TIMERS, _A.TRANSMIT, _A.START_J)),
    (_S.PROCEEDING, _I.REQUEST): (_S.PROCEEDING, (_A.REPEAT,)),
    (_S.PROCEEDING, _I.TIMER_UNANSWERED): (_S.TERMINATED, (_A.COUNT_UNANSWERED,)),
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): (_S.PROCEEDING, (_A.FAIL,)),
    (_S.PROCEEDING, _I.SEND_1XX): (_S.PROCEEDING, (_A.TRANSMIT,)),
    (_S.PROCEEDING, _I.SEND_2XX): (_S.COMPLETED, (_A.STOP_TIMERS, _A.TRANSMIT, _A.START_J)),
    (_S.PROCEEDING, _I.SEND_300_PLUS): (_S.COMPLETED, (_A.STOP_TIMERS, _A.TRANSMIT, _A.START_J)),
    (_S.COMPLETED, _I.REQUEST): (_S.COMPLETED, (_A.REPEAT,)),
    (_S.COMPLETED, _I.TRANSPORT_ERROR): (_S.COMPLETED, (_A.FAIL,)),
    (_S.COMPLETED, _I.TIMER_J): (_S.TERMINATED, ()),
}
