"""What the service probes, path and voice say over netem's lines."""

import statistics
from collections.abc import Callable, Sequence
from functools import partial

from fibrewatch import emodel
from fibrewatch.emodel import AMR_WB_12_65, G711_PLC, Codec
from tests.lab.truth import rows, wire
from tests.lab.truth.rows import Row
from tests.lab.truth.scenario import BODY_S, DNS_PORT, HTTP_PORT, HTTPS_PORT, SERVER_NAME, SERVER_S
from tests.lab.truth.seen import Outcomes, Seen, Topic, service
from tests.lab.truth.wire import Segment
from tests.support.pcap_path import round_trips

THERE_S, BACK_S = 0.030, 0.010
JITTER_BUFFER_S = 0.040
CA = "/run/out/ca/ca.pem"
HOPS_S = (0.002, 0.007, 0.027, 0.027)
KERNEL_S, PROCESS_S = 200e-6, 2e-3
"""Within what a time has to be: between the kernel's stamps, and as a process sees it whose processor does one
instruction a nanosecond."""


def services(short: bool) -> Topic:
    """Each phase of dns, tcp, tls and http."""
    del short
    line = {"r2_out": f"delay {THERE_S * 1e3:.0f}ms", "r2_in": f"delay {BACK_S * 1e3:.0f}ms"}
    question = {"name": "a.example", "attempts": 1}
    scenarios = [
        service("dns", "dns", question, **line),
        service("dns-tcp", "dns", question | {"transport": "tcp"}, **line),
        service("tcp", "tcp", {"port": HTTP_PORT}, **line),
        service("tls", "tls", {"ca": CA, "server_name": SERVER_NAME}, **line),
        service("http", "http", {}, **line),
        service("https", "http", {"scheme": "https", "ca": CA, "host": SERVER_NAME}, **line),
    ]
    text = (
        f"A line of {THERE_S * 1e3:.0f} ms there and {BACK_S * 1e3:.0f} ms back, and a server that takes"
        f" {SERVER_S * 1e3:.0f} ms to its first byte and {BODY_S * 1e3:.0f} ms more to its last. True is what the"
        " capture at the box shows: from SYN to SYN/ACK, from the client's hello to its Finished (TLS 1.3: one round"
        " trip, and what both ends reckon), from the request to the answer's first segment."
    )
    return Topic("Services", text, scenarios, _services)


def _services(seen: Outcomes) -> list[Row]:
    made = [
        *_phases("dns", seen, DNS_PORT, ("response_time", 0, KERNEL_S)),
        *_phases("dns-tcp", seen, DNS_PORT, ("response_time", 1, PROCESS_S)),
        *_phases("tcp", seen, HTTP_PORT, ("connect", 0, PROCESS_S), ("rtt", 0, KERNEL_S)),
        *_phases("tls", seen, HTTPS_PORT, ("connect", 0, PROCESS_S), ("handshake", None, PROCESS_S)),
        *_phases("http", seen, HTTP_PORT, ("connect", 0, PROCESS_S), ("first_byte", 1, PROCESS_S)),
        *_phases("https", seen, HTTPS_PORT, ("connect", 0, PROCESS_S), ("tls", None, PROCESS_S)),
    ]
    for name in ("http", "https"):
        made.append(rows.delay(f"{name} body", BODY_S, seen[name].result["body"], within_s=PROCESS_S))
    made.append(rows.same("tls version", "TLSv1.3", seen["tls"].result["version"]))
    made.append(rows.count("http size", 8, seen["http"].result["size"]))
    return made


def _phases(name: str, seen: Outcomes, port: int, *fields: tuple[str, int | None, float]) -> list[Row]:
    """Each field with the turn of the connection that it is the time of (None: TLS), and how far off it may be."""
    made = []
    for field, turn, within_s in fields:
        true = handshake(seen[name], port) if turn is None else turns(seen[name], port)[turn]
        made.append(rows.delay(f"{name} {field}", true, seen[name].result.get(field), within_s=within_s))
    line_s = THERE_S + BACK_S
    made.append(rows.delay(f"{name}: the wire's round trip", line_s, turns(seen[name], port)[0], within_s=KERNEL_S))
    return made


def handshake(seen: Seen, port: int) -> float:
    """From the client's hello to its Finished, in the newest connection."""
    hello, finished, *_ = [each for each in newest(seen, port) if each.out and each.data]
    return wire.seconds(hello, finished)


def turns(seen: Seen, port: int) -> list[float]:
    """How long the other end took to answer, turn by turn, of the newest connection: SYN to SYN/ACK is the first."""
    taken: list[float] = []
    asked: Segment | None = None
    for each in newest(seen, port):
        if each.out:
            asked = each
        elif asked is not None:
            taken.append(wire.seconds(asked, each))
            asked = None
    return taken


def newest(seen: Seen, port: int) -> list[Segment]:
    """What the newest connection said."""
    segments = wire.segments(seen.near, port)
    return [each for each in segments if each.port == segments[-1].port and (each.syn or each.data)]


def hops(short: bool) -> Topic:
    """The distance of every router."""
    del short
    params = {"probes": 5, "mtu": False}
    scenarios = [service("path", "path", params, r1_in="delay 2ms", r2_in="delay 5ms", r3_in="delay 20ms")]
    text = (
        'Each router holds back what goes to the box, by 2, 5 and 20 ms: "line" is the sum of those on the way, true'
        " what the capture at the box shows."
    )
    return Topic("path: hops", text, scenarios, _hops)


def _hops(seen: Outcomes) -> list[Row]:
    found, wire_s = seen["path"].result, round_trips(seen["path"].near, 4)
    made = [rows.count("path hops", len(HOPS_S), found["hops"])]
    for hop, line_s in zip(found["path"], HOPS_S, strict=True):
        last = hop["ttl"] == len(HOPS_S)  # the target's own packets may have had more hops left than it takes
        true = [each for ttl in wire_s if ttl == hop["ttl"] or (last and ttl > hop["ttl"]) for each in wire_s[ttl]]
        made.append(rows.count(f"path hop {hop['ttl']} answered", len(true), hop["answered"]))
        for field, q in (("rtt_min", 1e-9), ("rtt_p50", 0.5), ("rtt_max", 1.0)):
            bounds, what = (line_s, line_s + KERNEL_S), f"path hop {hop['ttl']} {field}"
            made.append(rows.expected(what, rows.quantile(true, q), hop[field], line_s, bounds))
    return made


def voice(short: bool) -> Topic:
    """Speech over lines of known delay and loss."""
    lines = [(20, 5)] if short else [(20, 0), (50, 1), (150, 3), (20, 5)]
    seconds = 3 if short else 20
    scenarios = []
    for delay, loss in lines:
        there, params = f"delay {delay}ms loss {loss}%", {"duration": f"{seconds} s"}
        scenarios.append(service(f"voice-{delay}-{loss}", "voice", params, r2_out=there, r2_in="delay 10ms"))
    text = (
        "True R and MOS are those of G.107 and G.107.1 for what the captures show: delay, loss, and packets too late"
        " for the jitter buffer, of the worse way. (That the formulas are right, other tests show by the"
        " Recommendations' values.) voice-150-3 is a line of 150 ms and 3 % loss on its way there, 10 ms back."
    )
    return Topic("voice", text, scenarios, partial(_voice, [scenario.name for scenario in scenarios]))


def _voice(names: Sequence[str], seen: Outcomes) -> list[Row]:
    made: list[Row] = []
    for name in names:
        result, ways = seen[name].result, seen[name].stamps()
        line_s = float(name.split("-")[1]) / 1e3
        worst = max(statistics.fmean(way.delay_s.values()) for way in ways)
        made.append(rows.expected(f"{name} delay", worst, result["delay"], line_s, (line_s, line_s + KERNEL_S)))
        made.append(rows.near(f"{name} loss_ratio", ways[0].lost / result["sent"], result["loss_ratio"], 1e-9))
        burst = _burst(seen[name], ways[0].delay_s)
        for codec, field in ((G711_PLC, "g711"), (AMR_WB_12_65, "amr_wb")):
            r, mos = min(_heard(codec, way, result["sent"], burst) for way in ways)
            made.append(rows.near(f"{name} {field}_r", r, result[f"{field}_r"], 0.05))
            made.append(rows.near(f"{name} {field}_mos", mos, result[f"{field}_mos"], 0.005))
    return made


def _heard(codec: Codec, way: wire.Way, sent: int, burst: float) -> emodel.Rating:
    """One direction of the wire, with a jitter buffer of the probe's default."""
    median_s = statistics.median(way.delay_s.values())
    late = sum(delay > median_s + JITTER_BUFFER_S for delay in way.delay_s.values())
    return emodel.rate(codec, median_s + JITTER_BUFFER_S + codec.delay_s, (way.lost + late) / sent, burst)


def _burst(seen: Seen, came: dict[int, float]) -> float:
    counted = [packet["number"] for packet in seen.said["packets"]][: seen.result["sent"]]
    return emodel.burst_ratio([number not in came for number in counted])


TOPICS: Sequence[Callable[[bool], Topic]] = (services, hops, voice)
