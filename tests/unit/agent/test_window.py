"""Which batch is sent again when, in virtual time."""

import random

import pytest

from fibrewatch_agent.window import LONE_GAPS, LONE_SENDINGS, Flight, Pace, Window

S = "0" * 16


def window(*ranges: tuple[int, int], now: float = 0.0) -> Window:
    made = Window(random.Random(1), Pace())
    for first, last in ranges:
        made.sent(made.add(S, first, last), now)
    return made


def spans(flights: list[Flight]) -> list[tuple[int, int]]:
    return [(flight.first, flight.last) for flight in flights]


def send_overdue(under_way: Window) -> float:
    """Lets time pass until something is overdue and sends it; returns that time."""
    now = under_way.next_due()
    assert now is not None
    for flight in under_way.overdue(now):
        under_way.sent(flight, now)
    return now


def test_no_more_than_four_are_under_way() -> None:
    under_way = window((1, 10), (11, 20), (21, 30))
    assert under_way.open
    under_way.add(S, 31, 40)
    assert not under_way.open
    under_way.acknowledge(S, 10, 1.0)
    assert under_way.open


@pytest.mark.parametrize("sendings", range(1, 40))
def test_the_wait_is_at_least_the_first_and_at_most_the_cap(sendings: int) -> None:
    rng = random.Random(sendings)
    waits = [Pace().delay(sendings, rng) for _ in range(200)]
    assert 5.0 <= min(waits) <= max(waits) <= min(60.0, 5.0 * 2 ** (sendings - 1))


def test_waits_are_spread_over_the_whole_range() -> None:
    rng = random.Random(3)
    waits = [Pace().delay(9, rng) for _ in range(500)]
    assert min(waits) < 7 and max(waits) > 58


def test_only_the_head_of_a_stream_is_sent_again() -> None:
    under_way = window((1, 10), (11, 20))
    assert under_way.overdue(4.9) == []
    assert spans(under_way.overdue(5.0)) == [(1, 10)]


def test_each_stream_has_a_head() -> None:
    under_way = window((1, 10))
    under_way.sent(under_way.add("1" * 16, 1, 4), 0.0)
    assert spans(under_way.overdue(5.0)) == [(1, 10), (1, 4)]


def test_an_ack_of_a_later_one_settles_those_before_it() -> None:
    under_way = window((1, 10), (11, 20), (21, 30))
    under_way.acknowledge(S, 20, 1.0)
    assert spans(under_way.flights) == [(21, 30)]


def test_acks_twice_and_out_of_order_change_nothing() -> None:
    under_way = window((1, 10), (11, 20))
    for through in (10, 10, 5, 0):
        under_way.acknowledge(S, through, 1.0)
    under_way.acknowledge("f" * 16, 20, 1.0)
    assert spans(under_way.flights) == [(11, 20)]
    assert under_way.next_due() == 5.0


def test_a_part_that_was_taken_leaves_the_rest_to_be_sent_at_once() -> None:
    under_way = window((1, 10))
    under_way.acknowledge(S, 4, 1.0)
    assert spans(under_way.overdue(1.0)) == [(5, 10)]


def test_the_first_resend_is_whole_and_then_it_is_halved() -> None:
    under_way = window((1, 100))
    send_overdue(under_way)
    assert spans(under_way.flights) == [(1, 100)]
    send_overdue(under_way)
    assert spans(under_way.flights) == [(1, 50)]
    assert spans(under_way.parked) == [(51, 100)]


def test_a_parked_half_goes_before_anything_new_once_there_is_a_place() -> None:
    under_way = window((1, 100), (101, 110), (111, 120), (121, 130))
    send_overdue(under_way)
    send_overdue(under_way)
    assert under_way.unpark() is None
    under_way.acknowledge(S, 50, 30.0)
    assert not under_way.open, "a new batch would take the place"
    parked = under_way.unpark()
    assert parked is not None and (parked.first, parked.last) == (51, 100)


def test_the_lowest_missing_one_takes_the_place_of_the_last_of_its_stream() -> None:
    under_way = window((101, 110), (111, 120), (121, 130), (131, 140))
    under_way.parked.append(Flight(S, 51, 100))
    parked = under_way.unpark()
    assert parked is not None and (parked.first, parked.last) == (51, 100)
    assert spans(under_way.heads()) == [(51, 100)]
    assert spans(under_way.parked) == [(131, 140)]
    assert len(under_way.flights) == 4
    assert under_way.unpark() is None


@pytest.mark.parametrize("poison", [1, 37, 50, 51, 100])
def test_a_poisoned_measurement_is_cornered(poison: int) -> None:
    under_way = window((1, 100), (101, 110))
    for _ in range(40):
        while (parked := under_way.unpark()) is not None:
            under_way.sent(parked, 0.0)
        now = send_overdue(under_way)
        head = under_way.heads()[0]
        if not head.first <= poison <= head.last:
            under_way.acknowledge(S, head.last, now)
    head = under_way.heads()[0]
    assert (head.first, head.last) == (poison, poison)


def test_one_that_alone_is_silent_is_given_up_only_when_others_get_through() -> None:
    under_way = window((57, 57), (58, 60))
    for _ in range(3 * LONE_SENDINGS):
        send_overdue(under_way)
    assert under_way.hopeless() is None, "the collector said nothing: it may be away"
    for _ in range(LONE_GAPS):
        assert under_way.hopeless() is None
        under_way.acknowledge(S, 56, 0.0)
    hopeless = under_way.hopeless()
    assert hopeless is not None and hopeless.first == 57


def test_one_that_was_sent_but_few_times_is_not_given_up() -> None:
    under_way = window((57, 57), (58, 60))
    for _ in range(LONE_SENDINGS - 2):
        send_overdue(under_way)
        under_way.acknowledge(S, 56, 0.0)
    assert under_way.hopeless() is None


def test_the_one_behind_a_suspect_goes_with_it_to_get_an_answer() -> None:
    under_way = window((57, 57), (58, 60), (61, 70))
    due = under_way.next_due()
    assert due is not None
    assert spans(under_way.overdue(due)) == [(57, 57)]
    send_overdue(under_way)
    send_overdue(under_way)
    due = under_way.next_due()
    assert due is not None
    assert spans(under_way.overdue(due)) == [(57, 57), (58, 60)]


def test_behind_a_dropped_gap_it_is_sent_at_once_but_only_once() -> None:
    under_way = window((1, 10), (21, 30))
    under_way.acknowledge(S, 10, 1.0)
    (head,) = under_way.overdue(1.0)
    assert (head.first, head.last) == (21, 30)
    under_way.sent(head, 1.0)
    under_way.acknowledge(S, 10, 1.1)
    assert under_way.overdue(1.1) == []


def test_after_a_reconnect_everything_is_due() -> None:
    under_way = window((1, 10))
    under_way.hurry(0.5)
    assert spans(under_way.overdue(0.5)) == [(1, 10)]
    assert under_way.ends() == {S: 10}


class Line:
    """A courier, a line that loses, and a collector that acknowledges what it has without a gap; in virtual time."""

    def __init__(self, seed: int, loss: float, streams: int, total: int) -> None:
        self.rng = random.Random(seed)
        self.loss, self.total = loss, total
        self.window = Window(random.Random(seed), Pace())
        self.names = [f"{i:016x}" for i in range(streams)]
        self.handed = dict.fromkeys(self.names, 0)
        self.stored: dict[str, set[int]] = {name: set() for name in self.names}
        self.acks: list[tuple[str, int]] = []
        self.now = 0.0

    def send(self, flight: Flight) -> None:
        self.window.sent(flight, self.now)
        if self.rng.random() >= self.loss:
            self.stored[flight.stream] |= set(range(flight.first, flight.last + 1))
            through = 0
            while through + 1 in self.stored[flight.stream]:
                through += 1
            if self.rng.random() >= self.loss:
                self.acks.append((flight.stream, through))
        assert len(self.window.flights) <= 4
        self.maybe_hear()

    def maybe_hear(self) -> None:
        """Acks come whenever they like: between any two steps of the courier."""
        while self.acks and self.rng.random() < 0.5:
            stream, through = self.acks.pop(self.rng.randrange(len(self.acks)))
            self.window.acknowledge(stream, through, self.now)

    def turn(self) -> None:
        while (parked := self.window.unpark()) is not None:
            self.send(parked)
        self.maybe_hear()
        for flight in self.window.overdue(self.now):
            if flight in self.window.flights:
                self.send(flight)
        self.maybe_hear()
        for name in self.names:
            while self.window.open and self.handed[name] < self.total:
                first = self.handed[name] + 1
                self.handed[name] = min(self.total, first + self.rng.randrange(100))
                self.send(self.window.add(name, first, self.handed[name]))
        self.maybe_hear()
        self.now = max(self.now, self.window.next_due() or self.now)

    @property
    def done(self) -> bool:
        return not self.window and all(handed == self.total for handed in self.handed.values())


@pytest.mark.parametrize("streams", [1, 2, 5])
@pytest.mark.parametrize("loss", [0.0, 0.3, 0.7])
def test_everything_gets_through_a_line_that_loses(loss: float, streams: int) -> None:
    for seed in range(40):
        line = Line(seed, loss, streams, total=900)
        for _ in range(20_000):
            if line.done:
                break
            line.turn()
        assert line.done, f"{seed=}: stuck with {spans(line.window.flights)} and {spans(line.window.parked)}"
        assert all(numbers == set(range(1, 901)) for numbers in line.stored.values())
