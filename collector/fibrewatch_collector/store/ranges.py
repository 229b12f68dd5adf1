"""Sets of sequence numbers as sorted, disjoint, non-adjacent ranges (first, last), both included."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

Range = tuple[int, int]


def contains(ranges: Sequence[Range], number: int) -> bool:
    """Whether a number is in the set."""
    at = bisect_right(ranges, (number, _BEYOND)) - 1
    return at >= 0 and number <= ranges[at][1]


def add(ranges: list[Range], first: int, last: int) -> None:
    """Adds first..last in place."""
    low = bisect_right(ranges, (first, _BEYOND))
    if low and ranges[low - 1][1] >= first - 1:
        low -= 1
        first = ranges[low][0]
    high = low
    while high < len(ranges) and ranges[high][0] <= last + 1:
        last = max(last, ranges[high][1])
        high += 1
    ranges[low:high] = [(first, last)]


def of(numbers: Iterable[int]) -> list[Range]:
    """The set of some numbers, given in ascending order."""
    ranges: list[Range] = []
    for number in numbers:
        if ranges and ranges[-1][1] >= number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def without(ranges: Iterable[Range], holes: Sequence[Range]) -> list[Range]:
    """The set less `holes`."""
    left: list[Range] = []
    for first, last in ranges:
        start = first
        for hole_first, hole_last in holes:
            if hole_last < start or hole_first > last:
                continue
            if hole_first > start:
                left.append((start, hole_first - 1))
            start = hole_last + 1
        if start <= last:
            left.append((start, last))
    return left


def size(ranges: Iterable[Range]) -> int:
    """How many numbers the set holds."""
    return sum(last - first + 1 for first, last in ranges)


_BEYOND = 2**63
