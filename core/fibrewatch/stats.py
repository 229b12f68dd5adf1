"""Statistics of packets and delays: pure functions, each citing its source."""

import itertools
import math
from collections.abc import Sequence


def percentile(values: Sequence[float], q: float) -> float | None:
    """The q-quantile as the empirical distribution has it: the smallest value v with F(v) ≥ q (RFC 2330 §11.3).

    Args:
        values: Any order; seconds or whatever unit.
        q: 0 < q ≤ 1.

    Returns:
        One of the values, never an interpolation; None if there are none.
    """
    if not values:
        return None
    rank = max(1, math.ceil(round(q * len(values), 9)))  # 0.95 * 20 is 19.000000000000004 in floats
    return sorted(values)[rank - 1]


def ipdv(delays: Sequence[float | None]) -> list[float]:
    """Differences between consecutive delays (RFC 3393 §2.4).

    Args:
        delays: Seconds, in send order; None marks a lost packet.

    Returns:
        Signed seconds, one per adjacent pair received; empty if none.
    """
    pairs = itertools.pairwise(delays)
    return [after - before for before, after in pairs if before is not None and after is not None]


def reordered(arrivals: Sequence[int]) -> int:
    """How many packets arrived after one that was sent later (RFC 4737 §3.3, Type-P-Reordered).

    Args:
        arrivals: Sequence numbers in the order of arrival, duplicates left out.
    """
    count, next_expected = 0, -math.inf
    for number in arrivals:
        if number < next_expected:
            count += 1
        else:
            next_expected = number + 1
    return count


def loss_ratio(sent: int, lost: int) -> float | None:
    """Lost out of sent (RFC 6673, Type-P-Round-trip-Loss-<Sample>-Ratio); None when nothing was sent."""
    return lost / sent if sent else None
