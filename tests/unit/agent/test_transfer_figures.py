"""What is made of a transfer that was ended before its time, and of the round trips beside it."""

import pytest

from fibrewatch.results.throughput import Params, Stopped
from fibrewatch_agent.net.packet_channel import Packet
from fibrewatch_agent.transfer.figures import Transfer, result_of
from fibrewatch_agent.transfer.iperf3 import Report, Run, parse
from fibrewatch_agent.transfer.rtt_beside import TIMEOUT_S, Rtts, RttStream, Sender, rtts
from fibrewatch_agent.transfer.steady import Rule, Sample
from fibrewatch_agent.transfer.watch import Flow, Limits, TransferWatch
from tests.unit.agent.test_iperf3 import recorded

RATE = 24e6
SEGMENT = 1448


def transfer(name: str | None, *, stopped: Stopped, up: bool, samples: int = 40) -> Transfer:
    """A recorded report and a watch that saw a constant rate after one second of half of it."""
    watch = TransferWatch(Flow("127.0.0.1", 5201, 4, up), Limits(Rule(), None), lambda: False)
    watch.close()
    watch.stopped = stopped
    for n in range(samples):
        moved = RATE * (n / 10 - min(n, 10) / 20)
        watch.samples.append(Sample(n / 10, int(moved), int(moved / SEGMENT)))
    report = parse(recorded(name)) if name else Report()
    return Transfer(Run(report, stopped=stopped != "duration"), watch, "cubic")


@pytest.mark.parametrize("up", [False, True])
def test_transfer_that_was_ended_early_is_told_by_the_kernel(up: bool) -> None:
    done = transfer("up-interrupted" if up else "down-interrupted", stopped="converged", up=up)
    found = result_of(Params(direction="up" if up else "down"), done, 5201)
    assert found.goodput == pytest.approx(RATE, rel=1e-3)
    assert (found.stopped, found.source, found.complete) == ("converged", "tcp_info", True)
    assert found.warm_up == pytest.approx(1.0)
    assert found.transfer_duration == pytest.approx(2.9)
    assert found.goodput_error is not None
    assert found.goodput_error < 0.03
    assert found.intervals == pytest.approx([RATE, RATE], rel=1e-3)
    assert found.cpu_local is not None
    assert found.transferred


def test_upload_counts_what_was_acknowledged_and_not_what_was_written() -> None:
    done = transfer("up-interrupted", stopped="bytes", up=True)
    found = result_of(Params(direction="up"), done, 5201)
    assert found.transferred == done.watch.samples[-1].bytes
    assert found.congestion == "bbr", "as iperf3 said: the watch saw no connection"


def test_download_ended_early_has_the_congestion_control_that_the_server_accepted() -> None:
    found = result_of(Params(direction="down"), transfer("down-interrupted", stopped="converged", up=False), 1)
    assert found.congestion == "cubic"


def test_tool_that_said_nothing_after_its_end_leaves_the_kernels_figures() -> None:
    found = result_of(Params(direction="up"), transfer(None, stopped="tenants", up=True), 5201)
    assert found.goodput == pytest.approx(RATE, rel=1e-3)
    assert (found.stopped, found.cpu_local, found.retransmits) == ("tenants", None, None)


def test_transfer_ended_before_anything_could_be_told_has_no_goodput() -> None:
    found = result_of(Params(direction="up"), transfer(None, stopped="tenants", up=True, samples=2), 5201)
    assert found.goodput is None
    assert found.transferred == 1_200_000


def test_transfer_that_took_its_time_is_told_by_the_kernel_from_the_warm_up_on() -> None:
    found = result_of(Params(direction="down", omit_s=2.0), transfer("down", stopped="duration", up=False), 5201)
    assert found.goodput == pytest.approx(RATE, rel=1e-3)
    assert (found.stopped, found.source, found.warm_up) == ("duration", "tcp_info", pytest.approx(2.0))
    assert found.cpu_remote is not None


def test_without_the_kernels_figures_iperf3s_stand() -> None:
    found = result_of(Params(direction="down"), transfer("down", stopped="duration", up=False, samples=0), 5201)
    assert found.goodput == pytest.approx(71587672 / 3.000065)
    assert (found.source, found.goodput_error) == ("iperf3", None)


def packet(at_s: float, rtt_s: float | None) -> Packet:
    """Sent at a moment of the monotonic clock."""
    return Packet(0, "192.0.2.1", 0, round(at_s * 1e9), rtt_s=rtt_s)


async def stream(packets: list[Packet]) -> RttStream:
    """A stream that has sent these."""
    made = RttStream(None, 0.05)
    made.packets = packets
    return made


async def test_round_trips_are_those_right_before_and_those_while_goodput_was_counted() -> None:
    done = transfer("down-interrupted", stopped="converged", up=False)
    done.watch.began_s = -0.1
    idle, ramp, loaded, after = (0.010, -1.0), (0.5, 0.5), (0.050, 2.0), (0.9, 5.0)
    packets = [packet(at + n / 100, rtt) for rtt, at in (idle, ramp, loaded, after) for n in range(10)]
    packets += [packet(-9.0, 0.7), packet(3.0, None)]
    trips = await stream(packets)
    found = result_of(Params(direction="down"), done, 5201, trips)
    assert (found.rtt_idle_p50, found.rtt_loaded_p50, found.rtt_loaded_max) == (0.010, 0.050, 0.050)
    assert found.rtt_inflation == pytest.approx(0.040)
    assert (found.latency_sent, found.loss_ratio_loaded) == (11, pytest.approx(1 / 11))


async def test_round_trips_that_never_came_back_are_a_timeout() -> None:
    done = transfer("down-interrupted", stopped="converged", up=False)
    done.watch.began_s = 0.0
    trips = await stream([packet(-0.5, None), packet(2.0, None)])
    found = result_of(Params(direction="down"), done, 5201, trips)
    assert (found.latency_error, found.rtt_loaded_p50, found.loss_ratio_loaded) == ("timeout", None, 1.0)


async def test_stream_that_could_not_be_opened_says_why() -> None:
    done = transfer("down-interrupted", stopped="converged", up=False)
    found = result_of(Params(direction="down"), done, 5201, RttStream(None, 0.05, "permission"))
    assert (found.latency_error, found.latency_sent) == ("permission", None)


def test_percentiles_of_round_trips() -> None:
    found = rtts([packet(0, n / 1000) for n in range(1, 101)] + [packet(0, TIMEOUT_S + 1)])
    assert found == Rtts(0.050, 0.095, 0.099, 0.1, 101, pytest.approx(1 / 101))
    assert rtts([]) == Rtts()


async def test_stream_goes_on_when_a_packet_can_not_leave() -> None:
    tries = 0

    def send(_: object) -> Packet:
        nonlocal tries
        tries += 1
        raise OSError(101, "Network is unreachable")

    with RttStream(Sender(send, list), 0.01) as made:
        await made.idle(0.2)
        await made.settle()
    assert tries > 2
    assert made.packets == []
