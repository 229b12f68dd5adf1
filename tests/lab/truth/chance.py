"""Where what is drawn at random falls, but for one time in a million: a row that is true must not fail by chance."""

import math
from collections.abc import Callable

RARE = math.log(1e6)
_Z_95 = 1.959964


def bounds(q: float, n: float) -> tuple[float, float]:
    """The probabilities p for which a share q of n draws is not rarer than one in a million (Chernoff's bound)."""
    far = RARE / n
    return (
        0.0 if q <= 0 else _border(lambda p: divergence(q, p) > far, 0.0, q),
        1.0 if q >= 1 else _border(lambda p: divergence(q, p) <= far, q, 1.0),
    )


def divergence(q: float, p: float) -> float:
    """Kullback and Leibler's, of two probabilities, nats."""
    parts = ((q, p), (1 - q, 1 - p))
    return math.inf if any(a > 0 and b <= 0 for a, b in parts) else sum(a * math.log(a / b) for a, b in parts if a > 0)


def _border(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where what holds at `low` no longer does."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def wilson(k: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a binomial proportion."""
    p, zz = k / n, _Z_95**2 / n
    middle, half = p + zz / 2, _Z_95 * math.sqrt(p * (1 - p) / n + zz / (4 * n))
    return max(0.0, (middle - half) / (1 + zz)), min(1.0, (middle + half) / (1 + zz))
