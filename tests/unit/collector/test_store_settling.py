"""Sets of numbers and a stream's watermark, held to plain sets."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from fibrewatch_collector.store import ranges
from fibrewatch_collector.store.settling import MAX_AHEAD, REACH, StreamState

NUMBERS = st.integers(1, 60)
SPANS = st.tuples(NUMBERS, st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def numbers_of(spans: list[tuple[int, int]]) -> set[int]:
    return {number for first, last in spans for number in range(first, last + 1)}


@settings(max_examples=400, deadline=None)
@given(st.lists(SPANS, max_size=15))
def test_ranges_hold_what_was_added_and_stay_sorted_and_apart(spans: list[tuple[int, int]]) -> None:
    found: list[tuple[int, int]] = []
    for first, last in spans:
        ranges.add(found, first, last)
    assert numbers_of(found) == numbers_of(spans)
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(found))
    assert ranges.size(found) == len(numbers_of(spans))
    assert [n for n in range(80) if ranges.contains(found, n)] == sorted(numbers_of(spans))


@settings(max_examples=400, deadline=None)
@given(st.sets(NUMBERS), st.sets(NUMBERS))
def test_ranges_without_is_the_difference(numbers: set[int], holes: set[int]) -> None:
    left = ranges.without(ranges.of(sorted(numbers)), ranges.of(sorted(holes)))
    assert numbers_of(left) == numbers - holes


@settings(max_examples=600, deadline=None)
@given(st.lists(st.one_of(NUMBERS, NUMBERS.map(lambda n: -n)), max_size=60))
def test_stream_settles_as_a_plain_set_would(steps: list[int]) -> None:
    """A negative step says that the box holds nothing below that number."""
    state, settled = StreamState(1, 1), set[int]()
    for step in steps:
        if step > 0:
            assert state.settled(step) == (step in settled)
            state.settle(step)
            settled.add(step)
        else:
            missing = numbers_of(state.missing_below(-step))
            assert missing == set(range(1, -step)) - settled
            state.close_below(-step)
            settled |= set(range(1, -step))
    through = next(n for n in range(200) if n + 1 not in settled)
    assert state.through == through
    assert numbers_of(state.ahead) == {n for n in settled if n > through}


def test_stream_takes_nothing_far_beyond_its_watermark() -> None:
    state = StreamState(1, 1, through=10)
    assert state.takeable(10 + REACH)
    assert not state.takeable(11 + REACH)
    state.close_below(500_000)
    assert state.takeable(500_000 + REACH - 1)


def test_stream_ahead_of_itself_is_bounded_but_never_stuck() -> None:
    state = StreamState(1, 1)
    for number in range(3, 3 + 2 * MAX_AHEAD, 2):
        assert state.takeable(number)
        state.settle(number)
    beyond = 3 + 2 * MAX_AHEAD + 1
    assert not state.takeable(beyond)
    assert state.takeable(4)  # fills a hole
    assert state.takeable(1)  # what it waits for is always taken
    for number in range(1, beyond):
        if state.takeable(number):
            state.settle(number)
    assert state.through == beyond - 1
    assert state.ahead == []
    assert state.takeable(beyond)
