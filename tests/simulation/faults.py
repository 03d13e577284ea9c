"""The kinds of faults there are, and which of them one seed has."""

from collections import Counter
from enum import StrEnum
from random import Random
from typing import final

__all__ = ["Fault", "FaultCount", "swarm"]


@final
class Fault(StrEnum):
    """What networks, servers, callers and machines do to a sender."""

    # The network.
    JITTER = "jitter"
    SEGMENTS = "random segments"
    NARROW = "narrow link, small send buffer"
    STALL = "stall"
    BLACK_HOLE = "black hole, both ways"
    BLACK_HOLE_OUT = "black hole towards the server"
    BLACK_HOLE_IN = "black hole towards the sender"
    FIN = "closed by a box in between"
    RST = "reset by a box in between"
    CUT = "cut inside a frame"
    IDLE_CUT = "idle connections forgotten by a box in between"
    DRIP = "octet by octet"
    SLOW_CONNECT = "slow connect"
    REFUSED_CONNECT = "refused connect"
    HANGING_CONNECT = "connect without an end"

    # Servers.
    OVERLOAD = "429, 500 and 503"
    FLAPPING = "GOAWAY at once, or no connects"
    GOAWAY_ABRUPT = "GOAWAY and close"
    GOAWAY_GRACEFUL = "GOAWAY in two steps"
    GOAWAY_MIDDLE = "GOAWAY in the middle of requests"
    GOAWAY_TWICE = "GOAWAY with a reason, GOAWAY without"
    GOAWAY_FATAL = "GOAWAY for bad credentials"
    MUTE = "no answers but to PING"
    DEAF = "no answers at all"
    SLOW_ANSWERS = "slow answers"
    LIMIT_DROP = "limit falls after a rejection"
    REFUSED_STREAMS = "refused streams"
    RESET_TWICE = "RST_STREAM 7, then 5"
    RESETS = "RST_STREAM with other codes"
    RST_FLOOD = "RST_STREAM for all streams"
    TOKEN_REFUSED = "provider token refused"
    STARVED = "windows not returned"
    SETTINGS = "SETTINGS at any time"
    FLOOD = "PING and SETTINGS by the hundred"
    MALFORMED = "malformed responses"
    GARBAGE = "bytes that are no frames"
    BODIES = "bodies of every shape"
    SERVER_CRASH = "server crash"

    # The machine, and those who use it.
    LATE_TIMER = "late timers"
    SLOW_SIGNING = "slow signing"
    FAILED_SIGNING = "failed signing"
    CANCELS = "cancels"
    BURSTS = "bursts"
    CLOSES = "closes and aborts"


def swarm(rng: Random) -> tuple[Fault, ...]:
    """Return a random half of the faults: where all are on, few get far enough to matter."""
    return tuple(fault for fault in Fault if rng.random() < 0.5)


FaultCount = Counter[Fault]
"""How often each was injected."""
