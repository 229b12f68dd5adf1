"""What the service probes, path and voice say over netem's lines."""

from collections.abc import Callable, Sequence
from functools import partial

from fibrewatch import emodel
from fibrewatch.emodel import AMR_WB_12_65, G711_PLC, Codec
from tests.lab.truth import rows, wire
from tests.lab.truth.rows import Row
from tests.lab.truth.scenario import BODY_S, DNS_PORT, HTTP_PORT, HTTPS_PORT, SERVER_NAME, SERVER_S
from tests.lab.truth.seen import Outcomes, Seen, Topic, service
from tests.lab.truth.wire import Segment

THERE_S, BACK_S = 0.030, 0.010
CA = "/run/out/ca/ca.pem"
KERNEL_S, PROCESS_S = 100e-6, 2e-3
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
    scenarios = [service("path", "path", {"probes": 5}, r1_in="delay 2ms", r2_in="delay 5ms", r3_in="delay 20ms")]
    text = "Each router holds back what goes to the box, by 2, 5 and 20 ms: true is the sum of those on the way."
    return Topic("path: hops", text, scenarios, _hops)


def _hops(seen: Outcomes) -> list[Row]:
    found = seen["path"].result
    true = (0.002, 0.007, 0.027, 0.027)
    made = [rows.count("path hops", len(true), found["hops"]), rows.count("path mtu", 1500, found["mtu"])]
    for hop, true_s in zip(found["path"], true, strict=True):
        made.append(rows.delay(f"path hop {hop['ttl']} rtt_p50", true_s, hop["rtt_p50"], within_s=KERNEL_S))
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
        "True R and MOS are those of G.107 and G.107.1 for netem's delay and what the captures lost of the packets that"
        " went there, the worse way. (That the formulas are right, tests compare with the Recommendations' own values.)"
    )
    return Topic("voice", text, scenarios, partial(_voice, lines))


def _voice(lines: Sequence[tuple[int, int]], seen: Outcomes) -> list[Row]:
    made: list[Row] = []
    for delay, loss in lines:
        name = f"voice-{delay}-{loss}"
        result, (there, _) = seen[name].result, seen[name].stamps()
        made.append(rows.near(f"{name} loss_ratio", there.lost / result["sent"], result["loss_ratio"], 1e-9))
        for codec, field in ((G711_PLC, "g711"), (AMR_WB_12_65, "amr_wb")):
            r, mos = _heard(codec, delay / 1e3, there.lost / result["sent"], _burst(seen[name], there.delay_s))
            made.append(rows.near(f"{name} {field}_r", r, result[f"{field}_r"], 0.05))
            made.append(rows.near(f"{name} {field}_mos", mos, result[f"{field}_mos"], 0.005))
    return made


def _heard(codec: Codec, delay_s: float, loss_ratio: float, burst: float) -> tuple[float, float]:
    rating = emodel.rate(codec, delay_s + 0.04 + codec.delay_s, loss_ratio, burst)
    return rating.r, rating.mos


def _burst(seen: Seen, came: dict[int, float]) -> float:
    counted = [packet["number"] for packet in seen.said["packets"]][: seen.result["sent"]]
    return emodel.burst_ratio([number not in came for number in counted])


TOPICS: Sequence[Callable[[bool], Topic]] = (services, hops, voice)
