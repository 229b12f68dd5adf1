"""Log-bucket histograms of stated relative error, mergeable in any order.

The mapping is DDSketch's (Masson, Rim, Lee, "DDSketch", VLDB 2019, §2.1): bucket i holds (γ^(i-1), γ^i] with
γ = (1+α)/(1-α), and its middle 2γ^i/(γ+1) is within α of every value in it. Values at or below `SMALLEST`
share one bucket, so that the number of buckets is bounded.
"""

import math
from collections.abc import Iterable, Mapping

Buckets = dict[int, int]
"""Bucket index → number of samples. Indices may be negative; only filled buckets are there."""

RELATIVE_ERROR = 0.01
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)
SMALLEST = 1e-9
LARGEST = 1e12
MIN_INDEX = math.ceil(math.log(SMALLEST) / _LOG_GAMMA)
MAX_INDEX = math.ceil(math.log(LARGEST) / _LOG_GAMMA)


def index(value: float) -> int:
    """The bucket of a value; what is at or below 1e-9 shares the lowest, above 1e12 the highest."""
    if value <= SMALLEST:
        return MIN_INDEX
    return min(math.ceil(math.log(value) / _LOG_GAMMA), MAX_INDEX)


def value(bucket: int) -> float:
    """The value that stands for a bucket: within 1 % of each sample in it."""
    return 2 * math.exp(bucket * _LOG_GAMMA) / (_GAMMA + 1)


def upper_bound(bucket: int) -> float:
    """The greatest value that a bucket can hold."""
    return math.exp(bucket * _LOG_GAMMA)


def of(values: Iterable[float]) -> Buckets:
    """The histogram of some values."""
    buckets: Buckets = {}
    for each in values:
        i = index(each)
        buckets[i] = buckets.get(i, 0) + 1
    return buckets


def merge(into: Buckets, other: Mapping[int, int]) -> Buckets:
    """Adds `other` to `into` and returns it; commutative and associative."""
    for i, count in other.items():
        into[i] = into.get(i, 0) + count
    return into


def quantile(buckets: Mapping[int, int], q: float) -> float | None:
    """The q-quantile (nearest rank, RFC 2330 §11.3) within 1 % of the sample's; None if there are none."""
    total = sum(buckets.values())
    if total == 0:
        return None
    rank = max(1, math.ceil(round(q * total, 9)))
    seen = 0
    for i in sorted(buckets):
        seen += buckets[i]
        if seen >= rank:
            return value(i)
    raise AssertionError("unreachable: the ranks add up to the total")
