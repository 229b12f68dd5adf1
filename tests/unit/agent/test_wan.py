"""What others move, from the router's counters less our own."""

from typing import Any

import pytest
from msgspec.structs import replace

from fibrewatch_agent.line.wan import Own, Sample, during, edges, latest, others, speed_of

FRAME, PAYLOAD = 1514, 1448


def sample(at: float, received: int, ours: int = 0, **more: Any) -> Sample:
    """Nothing sent; our own frames are full ones."""
    plain: dict[str, Any] = {
        "uptime": int(at * 100),
        "sent": 0,
        "own": Own(ours, ours // FRAME, 0, 0),
        "mtu": 1500,
    }
    return Sample(at=at, received=received, **(plain | more))


def test_others_are_what_the_router_counted_less_our_own_frames() -> None:
    found = edges([sample(0, 0), sample(1, 10 * FRAME, 4 * FRAME), sample(3, 30 * FRAME, 14 * FRAME)])
    seen = others(found[0], found[1], "down")
    assert seen is not None
    assert (seen.rate, seen.own) == (5 * FRAME, 5 * FRAME)
    assert (seen.begin, seen.end) == (1, 3)


def test_a_router_that_refreshes_seldom_is_believed_between_its_refreshes_only() -> None:
    stale = [0, 0, 0, 3000, 3000, 3000, 6000, 6000]
    found = edges([sample(i / 2, count) for i, count in enumerate(stale)])
    assert [edge.now.at for edge in found] == [1.5, 3.0]
    seen = latest(found, "down")
    assert seen is not None
    assert seen.rate == 2000


def test_the_sure_part_holds_wherever_between_two_polls_the_refresh_was() -> None:
    """Ours goes on between the poll before a refresh and the one that shows it."""
    own = [0, 100, 200, 300, 400, 500]  # small packets at an even pace
    counted = [0, 0, 600, 600, 600, 1600]
    found = edges([sample(float(i), counted[i], own[i]) for i in range(6)])
    seen = others(found[0], found[1], "down")
    assert seen is not None
    assert seen.least < seen.rate < seen.most
    assert not seen.exceed(seen.rate)
    assert seen.exceed(seen.least / 2)


def test_counters_that_wrap_go_on() -> None:
    low = [2**32 - 1000, 500, 1500]
    found = edges([sample(float(i), count, bits=32) for i, count in enumerate([low[0] - 500, *low])])
    seen = others(found[0], found[-1], "down")
    assert seen is not None
    assert seen.rate == (1500 + 1000) / 2


@pytest.mark.parametrize(("before", "reset"), [(2**31, True), (2**32 - 10**9, True), (2**32 - 7 * 10**7, False)])
def test_narrow_counters_that_were_set_to_zero_have_not_wrapped(before: int, reset: bool) -> None:
    """At 100 Mbit/s an interface carries 75 MB in the six seconds that the count before may be old, and no more."""
    counts = [before - 1000, before, 12_000, 13_000]
    found = edges([sample(float(i), count, bits=32, speed=12.5e6) for i, count in enumerate(counts)])
    assert (others(found[0], found[-1], "down") is None) is reset


@pytest.mark.parametrize(
    "after",
    [
        {"uptime": 50},  # the router started anew
        {"discontinuity": 250},  # its interface did
        {"received": 10},  # 64 bits don't wrap in a lifetime
        {"bits": 32, "received": 900},
    ],
)
def test_counts_from_before_and_after_a_new_beginning_are_not_compared(after: dict[str, Any]) -> None:
    late = {"at": 3.0, "received": 3000} | after
    found = edges([sample(1, 1000), sample(2, 2000), sample(**late), sample(4, 5000, **_same(after))])
    assert others(found[0], found[-1], "down") is None


def _same(after: dict[str, Any]) -> dict[str, Any]:
    return {key: value + 100 if key == "uptime" else value for key, value in after.items() if key != "received"}


def test_bundles_of_segments_are_counted_as_the_frames_that_they_become() -> None:
    segments, bundles = 430, 10
    bundled = segments * PAYLOAD + bundles * 66  # what a virtual interface counts
    found = edges(
        [
            sample(0, 1),
            sample(1, 2),
            sample(2, 2 + segments * FRAME, own=Own(bundled, bundles, 0, 0)),
        ]
    )
    seen = others(found[0], found[1], "down")
    assert seen is not None
    assert seen.rate == pytest.approx(0, abs=FRAME)
    assert seen.own == pytest.approx(segments * FRAME)


def test_upstream_is_what_the_router_sent() -> None:
    found = edges(
        [sample(float(i), 0, sent=i * 3000, own=Own(0, 0, i * 1000, i)) for i in range(3)],
    )
    seen = others(found[0], found[1], "up")
    assert seen is not None
    assert seen.rate == 2000


def test_a_transfer_is_judged_by_the_longest_stretch_within_it() -> None:
    found = edges([sample(float(i), i * 1000) for i in range(12)])
    seen = during(found, "down", 1.5, 9.5)
    assert seen is not None
    assert (seen.begin, seen.end) == (3, 9)  # at first it fills the queues


def test_a_short_transfer_is_judged_by_the_stretch_around_it() -> None:
    found = edges([sample(i / 2, (i // 6) * 1000) for i in range(24)])
    seen = during(found, "down", 4.0, 5.0)
    assert seen is not None
    assert (seen.begin, seen.end) == (3, 6)


def test_what_still_lay_in_a_queue_at_the_end_is_not_taken_for_others() -> None:
    """A refresh within the transfer and one after it: between them the router sent what we had sent before."""
    found = edges([sample(i / 2, (i // 6) * 1000) for i in range(24)])
    assert during(found, "down", 2.5, 5.0) is None


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_refreshes_tell_nothing(count: int) -> None:
    found = edges([sample(float(i), i * 1000) for i in range(count)])
    assert during(found, "down", 0, 1) is None
    assert latest(found, "down") is None


def test_a_line_without_traffic_has_no_edges_and_a_speed() -> None:
    idle = [sample(float(i), 5, speed=125e6 if i < 2 else None) for i in range(4)]
    assert edges(idle) == []
    assert speed_of(idle) == 125e6


def steady(share: float, direction: str = "down") -> Any:
    """Ours at 10 MB/s for three seconds, of which the router counted a share."""
    size = 10_000_000

    def at(second: int) -> Sample:
        ours, counted = size * second, int(share * size * second)
        packets = ours // FRAME
        own = Own(ours, packets, 0, 0) if direction == "down" else Own(0, 0, ours, packets)
        both = (counted, 0) if direction == "down" else (0, counted)
        return Sample(at=float(second), uptime=second * 100, received=both[0], sent=both[1], own=own, mtu=1500)

    samples = [
        at(i // 10) if i % 10 == 0 else replace(at(i // 10), at=i / 10, own=_ours(i, direction)) for i in range(41)
    ]
    return others(edges(samples)[0], edges(samples)[-1], direction)  # type: ignore[arg-type]


def _ours(tenths: int, direction: str) -> Own:
    ours = 1_000_000 * tenths
    return Own(ours, ours // FRAME, 0, 0) if direction == "down" else Own(0, 0, ours, ours // FRAME)


@pytest.mark.parametrize(
    ("share", "direction", "credible"),
    [
        (1.0, "down", True),
        (1.3, "down", True),
        (0.85, "down", False),
        (0.001, "down", False),
        (0.95, "up", True),  # what a queue dropped on its way out
        (0.5, "up", False),
    ],
)
def test_a_router_that_counts_less_than_ours_is_not_believed(share: float, direction: str, credible: bool) -> None:
    assert steady(share, direction).credible is credible


def test_the_questions_to_the_router_itself_discredit_it_not() -> None:
    found = edges([sample(i / 5, 60 * (i // 15), 400 * i) for i in range(60)])
    seen = latest(found, "down")
    assert seen is not None
    assert seen.credible


@pytest.mark.parametrize("extra", [4, 12, 22])
def test_headers_that_only_the_router_counts_prove_nothing(extra: int) -> None:
    seen = steady(1 + extra / FRAME)
    assert seen.rate > 0
    assert seen.beyond_headers == 0
    assert steady(1.3).beyond_headers == pytest.approx(2.8e6)
