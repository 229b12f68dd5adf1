"""When a test runs: pure arithmetic on UTC seconds, so that fifty boxes never start together."""

import math
from hashlib import blake2b

MINUTE_S = 60


def phase(agent: str, test: str, every_s: float) -> float:
    """Where in its period this agent starts this test: 0 ≤ phase < every_s, the same at every start.

    Args:
        agent: `territory/site/agent`: the spread is over the whole fleet.
    """
    digest = blake2b(f"{agent}\0{test}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64 * every_s


def next_run(now: float, every_s: float, phase_s: float) -> float:
    """The first moment after `now` on the grid `k × every_s + phase_s`, in UTC seconds since 1970.

    A run that takes long moves nothing: the grid is fixed.
    """
    run = (math.floor((now - phase_s) / every_s) + 1) * every_s + phase_s
    return run if run > now else run + every_s  # rounding can land on now itself


def divides_minute(window_s: float) -> bool:
    """Whether windows of this length cut the UTC minute without a rest; at most a minute long."""
    if not 0 < window_s <= MINUTE_S:
        return False
    count = MINUTE_S / window_s
    return abs(count - round(count)) < 1e-9


def window_start(now: float, window_s: float) -> float:
    """The beginning of the window that holds `now`, in UTC seconds since 1970."""
    return math.floor(now / window_s) * window_s
