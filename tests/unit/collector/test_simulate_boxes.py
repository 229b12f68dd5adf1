"""Made-up measurements and the simulated boxes that send them: nothing here knows a network or a clock."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fibrewatch import sketch, wire
from fibrewatch.metric import fields_of
from fibrewatch.results import ping
from fibrewatch_collector.operator.boxes import MAX_IN_FLIGHT, RESEND_AFTER_S, SimulatedBox
from fibrewatch_collector.operator.generate import MIX_EVERY, TARGETS, Plan, Source, fleet, inventory, line_of
from fibrewatch_collector.operator.simulate import Load

BEGIN = 1_700_000_040.0
AGENT = fleet(1, 1)[0]


def source(seed: str = "7", **plan: object) -> Source:
    return Source(Plan(seed=seed, begin=BEGIN, **plan), AGENT)  # type: ignore[arg-type]


def box(pending: int) -> SimulatedBox:
    made = SimulatedBox(source())
    made.pending = pending
    return made


def through(box: SimulatedBox, number: int) -> wire.Ack:
    return wire.Ack(stream=box.source.stream, through=number)


def encoded(made: Source, count: int = 240) -> list[bytes]:
    return [wire.encode(made.measurement(number)) for number in range(count)]


def test_the_same_seed_makes_the_same_bytes() -> None:
    assert encoded(source(probe="mix")) == encoded(source(probe="mix"))


def test_another_seed_makes_others() -> None:
    ours, others = encoded(source("7")), encoded(source("8"))
    assert not set(ours) & set(others)


def test_the_order_of_asking_changes_nothing() -> None:
    made = source(probe="mix", variants=None)
    backwards = [wire.encode(made.measurement(number)) for number in reversed(range(100))]
    assert backwards[::-1] == encoded(source(probe="mix", variants=None), 100)


def test_every_measurement_is_of_the_contract() -> None:
    for raw in encoded(source(probe="mix")):
        decoded = wire.decode_measurement(raw)
        assert wire.encode(decoded) == raw
        assert decoded.result is not None


def test_a_ping_has_twelve_described_fields_and_more() -> None:
    result = source().measurement(0).result
    filled = [field.name for field in fields_of(ping.Result) if getattr(result, field.name) is not None]
    assert len(filled) >= 12


def test_windows_follow_one_another_and_divide_the_minute() -> None:
    made = source()
    starts = [made.measurement(number).started_at.timestamp() for number in range(0, 5 * len(TARGETS), len(TARGETS))]
    assert starts == [BEGIN + 60 * window for window in range(5)]


def test_a_ping_result_agrees_with_its_own_histogram() -> None:
    for number in range(24):
        result = source(variants=None).measurement(number).result
        assert result.sent - result.lost == sum(result.rtt.values())
        assert abs(sketch.quantile(result.rtt, 0.5) / result.rtt_p50 - 1) < 0.0101
        assert result.rtt_min <= result.rtt_p50 <= result.rtt_p95 <= result.rtt_p99 <= result.rtt_max


def test_a_mix_has_one_throughput_in_twenty() -> None:
    probes = [source(probe="mix").measurement(number).probe for number in range(5 * MIX_EVERY)]
    assert probes.count("throughput") == 5
    assert probes.count("ping") == 95


def test_boxes_of_one_site_share_their_line() -> None:
    here, there, elsewhere = fleet(1, 2)[0], fleet(1, 2)[1], fleet(2, 2)[3]
    assert line_of("1", here) == line_of("1", there) != line_of("1", elsewhere)


def test_the_inventory_names_every_test_that_is_sent() -> None:
    plan = Plan(seed="1", begin=BEGIN, probe="mix")
    made = Source(plan, AGENT)
    sent = {(run.test, run.target.name) for run in map(made.measurement, range(400)) if run.target}
    assert sent == {(test.test, test.target) for test in inventory(plan).schedule}


def test_a_box_numbers_its_measurements_from_one_without_a_gap() -> None:
    batches = [wire.decode_batch(payload) for payload in box(10).next_batches(0.0, 4)]
    assert [(batch.first, len(batch.measurements), batch.oldest) for batch in batches] == [
        (1, 4, 1),
        (5, 4, 1),
        (9, 2, 1),
    ]


def test_at_most_four_batches_are_in_flight() -> None:
    made = box(100)
    assert len(made.next_batches(0.0, 5)) == MAX_IN_FLIGHT
    assert made.next_batches(0.0, 5) == []
    made.acknowledge(through(made, 5))
    assert len(made.next_batches(0.0, 5)) == 1


def test_what_is_not_acknowledged_is_sent_again_with_the_same_content() -> None:
    made = box(2)
    sent = made.next_batches(0.0, 2)
    assert made.resends(RESEND_AFTER_S - 0.01) == []
    assert made.resends(RESEND_AFTER_S) == sent
    assert made.resent == 2
    assert made.resends(RESEND_AFTER_S) == []


def test_delays_between_resends_grow_and_end_at_a_minute() -> None:
    made, now, delays = box(1), 0.0, []
    made.next_batches(now, 1)
    for _ in range(8):
        before = now
        while not made.resends(now):
            now += 0.1
        delays.append(now - before)
    assert delays[0] < delays[1] < delays[2]
    assert max(delays) < 61


def test_an_acknowledgement_covers_whole_batches_only() -> None:
    made = box(6)
    made.next_batches(0.0, 3)
    made.acknowledge(through(made, 4))
    again = [wire.decode_batch(payload) for payload in made.resends(RESEND_AFTER_S)]
    assert [(batch.first, batch.oldest) for batch in again] == [(4, 5)]


def test_an_acknowledgement_of_another_stream_says_nothing() -> None:
    made = box(1)
    made.next_batches(0.0, 1)
    made.acknowledge(wire.Ack(stream="0" * 16, through=1))
    assert made.acknowledged == 0


@given(acks=st.lists(st.integers(0, 60), max_size=20))
@settings(deadline=None, max_examples=50)
def test_no_acknowledgement_makes_a_box_forget_what_was_not_settled(acks: list[int]) -> None:
    made = box(40)
    for ack in acks:
        made.next_batches(0.0, 7)
        before = made.sent
        made.acknowledge(through(made, ack))
        assert made.acknowledged <= before
    while made.acknowledged < 40:
        made.next_batches(0.0, 7)
        made.acknowledge(through(made, made.sent))
    assert (made.pending, made.sent) == (0, 40)


def test_a_batch_of_big_measurements_stays_below_the_limit_of_a_payload() -> None:
    made = box(500)
    payloads = made.next_batches(0.0, 500)
    assert all(len(payload) <= wire.MAX_PAYLOAD_BYTES for payload in payloads)
    assert sum(len(wire.decode_batch(payload).measurements) for payload in payloads) == 500


def test_at_the_rate_of_real_boxes_windows_are_the_minutes() -> None:
    load = Load(sites=10, agents=1, rate=1.0, duration_s=600)
    plan = load.plan(BEGIN + 1234.5)
    assert plan.step_s == plan.window_s == 60
    assert plan.begin % 60 == 0


def test_nothing_of_a_dense_load_lies_in_the_future() -> None:
    load = Load(sites=50, agents=4, rate=4000, duration_s=10, batch=20)
    now = BEGIN + 0.5
    plan = load.plan(now)
    each = load.total // 200
    last = Source(plan, AGENT).measurement(each - 1)
    assert last.started_at.timestamp() + last.duration_s <= now + load.duration_s
