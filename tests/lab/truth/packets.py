"""Delay, jitter, loss, order, duplicates and rate: what ping and stamp say over netem's lines."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from tests.lab.truth import rows
from tests.lab.truth.netem import Distribution
from tests.lab.truth.rows import Row
from tests.lab.truth.seen import PAYLOAD, Outcomes, Seen, Topic, ping, stamp

MEAN_S, SPREAD_S = 0.020, 0.002
Trips = Mapping[int, float]
_ONE_DEPENDENT = 3
"""Neighbouring differences share a packet: their mean varies as that of a third as many independent ones, at most."""


def delays(short: bool) -> Topic:
    """A line of known length, the same both ways and not."""
    count, lengths = (100, (10,)) if short else (1000, (1, 10, 80))
    scenarios = [ping("ping-0ms", 50), stamp("stamp-0ms", 50)]
    for length in lengths:
        scenarios.append(ping(f"ping-{length}ms", count, r2_out=f"delay {length}ms"))
        both = {"r2_out": f"delay {length}ms", "r2_in": f"delay {3 * length}ms"}
        scenarios.append(stamp(f"stamp-{length}ms", count, **both))
    text = (
        "True is netem's delay and the line's own, which the captures show without netem. stamp's line is three times"
        " as long on its way back. Then each packet's delay against what the captures at both ends show of this packet."
    )
    return Topic("Delay", text, scenarios, partial(_delays, lengths))


def _delays(lengths: Sequence[int], seen: Outcomes) -> list[Row]:
    own = rows.quantile(list(seen["ping-0ms"].pings().rtt_s.values()), 0.5)
    own_ways = [rows.quantile(list(way.delay_s.values()), 0.5) for way in seen["stamp-0ms"].stamps()]
    made: list[Row] = []
    for length in lengths:
        echo, line, true = seen[f"ping-{length}ms"], seen[f"stamp-{length}ms"], length / 1e3
        made.append(rows.delay(f"ping rtt_p50, {length} ms", true + own, echo.result["rtt_p50"]))
        made.append(rows.errors(f"ping, {length} ms", true + own, off_pings(echo)))
        for name, factor, self_s in (("owd_forward", 1, own_ways[0]), ("owd_backward", 3, own_ways[1])):
            what = f"stamp {name}_p50, {factor * length} ms"
            made.append(rows.delay(what, factor * true + self_s, line.result.get(f"{name}_p50")))
        what = f"stamp rtt_p50, {length} + {3 * length} ms"
        made.append(rows.delay(what, 4 * true + sum(own_ways), line.result["rtt_p50"]))
        for name, off in off_stamps(line).items():
            made.append(rows.errors(f"stamp {name}, {length} + {3 * length} ms", 4 * true + sum(own_ways), off))
    return made


def off_pings(seen: Seen) -> list[float]:
    """Of each round trip, from the capture's."""
    truth = seen.pings().rtt_s
    return [abs(each["rtt_s"] - truth[each["number"]]) for each in seen.said["samples"] if each["rtt_s"] is not None]


def off_stamps(seen: Seen) -> dict[str, list[float]]:
    """Of each packet whose true send time the reflector has told, each way."""
    forward, backward = (way.delay_s for way in seen.stamps())
    off: dict[str, list[float]] = {"forward": [], "backward": [], "rtt": []}
    for packet in seen.said["packets"]:
        number = packet["number"]
        if packet["followed"] and number in backward:
            off["forward"].append(abs(packet["forward_s"] - forward[number]))
            off["backward"].append(abs(packet["backward_s"] - backward[number]))
            off["rtt"].append(abs(packet["rtt_s"] - forward[number] - backward[number]))
    return off


def jitter(short: bool) -> Topic:
    """Delays drawn from a distribution."""
    count, names = (300, ("normal",)) if short else (3000, ("uniform", "normal", "pareto"))
    scenarios = []
    for name in names:
        kind = "" if name == "uniform" else f" distribution {name}"
        line = f"delay {MEAN_S * 1e3:.0f}ms {SPREAD_S * 1e3:.0f}ms{kind}"
        scenarios += [ping(f"ping-{name}", count, r2_out=line), stamp(f"stamp-{name}", count, r2_out=line)]
    text = (
        f"netem draws each packet's delay on its way there: {MEAN_S * 1e3:.0f} ms and {SPREAD_S * 1e3:.0f} ms times a"
        ' draw. True is the figure of the delays that the captures show; "drawn from" is the distribution\'s own (by'
        " iproute2's table), and the interval where the figure of so many draws lies, but for one time in a million."
    )
    return Topic("Jitter", text, scenarios, partial(_jitter, names))


def _jitter(names: Sequence[str], seen: Outcomes) -> list[Row]:
    made: list[Row] = []
    for name in names:
        law = Distribution.of(name, MEAN_S, SPREAD_S)
        echo, line = seen[f"ping-{name}"], seen[f"stamp-{name}"]
        trips, there = echo.pings().rtt_s, line.stamps()[0].delay_s
        made += _quantiles(f"ping, {name}:", "rtt", echo, list(trips.values()), law)
        made += _variations(f"ping, {name}:", (("ipdv_p50", 0.50), ("ipdv_p95", 0.95)), echo, trips, law)
        made += _quantiles(f"stamp, {name}:", "owd_forward", line, list(there.values()), law)
        made += _variations(f"stamp, {name}:", (("ipdv_forward_p95", 0.95),), line, there, law)
        made.append(_above_least(f"stamp, {name}:", "pdv_forward_p99", line, list(there.values()), law))
    return made


SLACK_S = 100e-6
"""What the line adds by itself, and how long a packet waits in it while the machine is busy."""


def _quantiles(what: str, field: str, seen: Seen, wire: Sequence[float], law: Distribution) -> list[Row]:
    made = []
    for q in (0.50, 0.95, 0.99):
        name = f"{field}_p{q * 100:.0f}"
        if name in seen.result:
            low, high = law.interval(q, len(wire))
            true = rows.quantile(wire, q)
            made.append(
                rows.expected(f"{what} {name}", true, seen.result[name], law.quantile(q), (low, high + SLACK_S))
            )
    return made


def _variations(
    what: str, fields: Sequence[tuple[str, float]], seen: Seen, wire: Trips, law: Distribution
) -> list[Row]:
    """Differences of neighbours (|ipdv|), packets numbered in a row."""
    pairs = [abs(wire[number + 1] - delay) for number, delay in wire.items() if number + 1 in wire]
    differences, made = law.differences(), []
    for field, q in fields:
        low, high = differences.interval(q, len(pairs) / _ONE_DEPENDENT)
        bounds = (low - SLACK_S, high + SLACK_S)
        true = rows.quantile(pairs, q)
        made.append(rows.expected(f"{what} {field}", true, seen.result[field], differences.quantile(q), bounds))
    return made


def _above_least(what: str, field: str, seen: Seen, wire: Sequence[float], law: Distribution) -> Row:
    """The 99th percentile above the least (pdv)."""
    (low, high), least = law.interval(0.99, len(wire)), law.least(len(wire))
    true, expected = rows.quantile(wire, 0.99) - min(wire), law.quantile(0.99) - law.quantile(1 / len(wire))
    bounds = (low - least[1] - SLACK_S, high - least[0] + SLACK_S)
    return rows.expected(f"{what} {field}", true, seen.result[field], expected, bounds)


def losses(short: bool) -> Topic:
    """Packets dropped at random, either way."""
    if short:
        scenarios = [stamp("stamp-loss-5-1", 300, r2_out="loss 5%", r2_in="loss 1%")]
    else:
        scenarios = [ping(f"ping-loss-{p}", n, r2_out=f"loss {p}%") for p, n in (("0", 3000), ("0.1", 20000))]
        scenarios += [ping(f"ping-loss-{p}", n, r2_out=f"loss {p}%") for p, n in (("1", 5000), ("5", 3000))]
        scenarios += [
            stamp("stamp-loss-0.1-1", 20100, r2_out="loss 0.1%", r2_in="loss 1%"),
            stamp("stamp-loss-5-0", 3000, r2_out="loss 5%"),
        ]
    text = (
        "True is what the captures lack: it has to be met to the packet. The measured ratio bears Wilson's 95 %"
        " interval; the line's ratio has to be one by which the captures' losses are not rarer than one in a million."
        " For stamp each way apart."
    )
    return Topic("Loss", text, scenarios, partial(_losses, [scenario.name for scenario in scenarios]))


def _losses(names: Sequence[str], seen: Outcomes) -> list[Row]:
    made: list[Row] = []
    for name in names:
        probe, _, *ratios = name.split("-")
        outcome, wanted = seen[name], [float(each) / 100 for each in ratios]
        sent = outcome.result["sent"]
        if probe == "ping":
            trips = outcome.pings()
            made.append(
                rows.loss(
                    f"ping lost, {ratios[0]} %", wanted[0], sent, trips.sent - len(trips.rtt_s), outcome.result["lost"]
                )
            )
            continue
        there, back = outcome.stamps()
        of_back = sent - there.lost
        for field, ratio, n, way in (("forward", wanted[0], sent, there), ("backward", wanted[1], of_back, back)):
            what = f"stamp lost_{field}, {ratio:.1%}"
            made.append(rows.loss(what, ratio, n, way.lost, outcome.result.get(f"lost_{field}")))
    return made


def order(short: bool) -> Topic:
    """Packets that overtake others, and packets that come twice."""
    count = 100 if short else 2000
    # every fifth packet is not held back and overtakes one; a twentieth comes twice
    there, back = "delay 15ms reorder 100% gap 5", "delay 5ms duplicate 5%"
    scenarios = [
        ping("ping-order", count, r2_out=there, r2_in=back),
        stamp("stamp-order", count, r2_out=there, r2_in=back),
    ]
    if not short:
        scenarios.append(stamp("stamp-order-back", count, r2_out=back, r2_in=there))
    text = (
        f"Of packets 10 ms apart netem lets every fifth overtake (`{there}`) one way and doubles one in twenty"
        f" (`{back}`) the other. True is counted in the captures by the definition of RFC 4737 §3.3. The reply to"
        " a copy of the last packet may come when the window is over."
    )
    return Topic("Reordering and duplicates", text, scenarios, partial(_order, [each.name for each in scenarios]))


def _order(names: Sequence[str], seen: Outcomes) -> list[Row]:
    made: list[Row] = []
    for name in names:
        outcome = seen[name]
        if name.startswith("ping"):
            trips = outcome.pings()
            truth = {"reordered": trips.reordered, "duplicates": trips.duplicates}
        else:
            there, back = outcome.stamps()
            truth = {
                "reordered_forward": there.reordered,
                "reordered_backward": back.reordered,
                "duplicates_forward": there.duplicates,
                "duplicates_backward": back.duplicates,
            }
        for field, true in truth.items():
            within = 1 if field.startswith("duplicates") or field == "reordered_backward" else 0
            told = outcome.result.get(field, 0 if name.startswith("ping") else None)  # ping leaves a 0 out
            made.append(rows.count(f"{name}: {field}", true, told, within=within))
    return made


SIZE, RATE = 1000, 1e6
"""Bytes of an echo request's data, and bits a second of the line."""
_ECHO_HEADERS = 8 + 20 + 14  # ICMP, IPv4, Ethernet


def serialisation(short: bool) -> Topic:
    """How long a packet takes to be put on a slow line."""
    small = ping("ping-rate", 50 if short else 300, r2_out=f"rate {RATE:.0f}bit")
    large = replace(small, name="ping-rate-large", order=small.order | {"payload_bytes": SIZE})
    text = f"netem puts {RATE / 1e6:.0f} Mbit/s on the line; true is how much longer {SIZE} bytes take than {PAYLOAD}."
    return Topic("Serialisation", text, [small, large], _serialisation)


def _serialisation(seen: Outcomes) -> list[Row]:
    small, large = (seen[name].result["rtt_p50"] for name in ("ping-rate", "ping-rate-large"))
    what = f"ping rtt_p50, {SIZE + _ECHO_HEADERS} less {PAYLOAD + _ECHO_HEADERS} bytes"
    return [rows.delay(what, (SIZE - PAYLOAD) * 8 / RATE, large - small)]


TOPICS: Sequence[Callable[[bool], Topic]] = (delays, jitter, losses, order, serialisation)
