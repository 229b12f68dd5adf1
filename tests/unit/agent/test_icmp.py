"""Echoes over real sockets on loopback."""

import os
from collections.abc import Iterator

import pytest

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.net import stamps
from fibrewatch_agent.net.icmp import Channel, Echo, IcmpSockets
from fibrewatch_agent.net.icmp_packets import Family, destination
from fibrewatch_agent.net.packet_channel import round_trip
from tests.support.waiting import until

LOOPBACK: dict[Family, str] = {4: "127.0.0.1", 6: "::1"}


@pytest.fixture
def sockets() -> Iterator[IcmpSockets]:
    sockets = IcmpSockets()
    yield sockets
    sockets.close()


@pytest.mark.parametrize("family", [4, 6])
async def test_echoes_come_back_once_with_kernel_stamps(sockets: IcmpSockets, family: Family) -> None:
    channel = await sockets.channel(family)
    answered: list[Echo] = []
    echoes = [channel.send(destination(LOOPBACK[family]), answered.append) for _ in range(400)]
    await until(lambda: len(answered) >= 400)
    assert answered == echoes
    assert {(echo.replies, echo.stamps, echo.error) for echo in echoes} == {(1, "kernel", None)}
    assert all(echo.rtt_s is not None and 0 < echo.rtt_s < 20 for echo in echoes)
    assert channel.drops() == 0


async def test_the_sequence_may_wrap() -> None:
    channel = Channel(4, None, os.urandom(8), first_number=65_530)
    await stamps.flowing()
    echoes = [channel.send(destination("127.0.0.1")) for _ in range(12)]
    await until(lambda: all(echo.replies for echo in echoes))
    assert [echo.number for echo in echoes] == list(range(65_530, 65_542))
    assert [echo.stamps for echo in echoes] == ["kernel"] * 12
    channel.close()


async def test_two_agents_on_one_box_never_take_each_others_replies(sockets: IcmpSockets) -> None:
    other = IcmpSockets()
    pairs = [
        (
            (await sockets.channel(4)).send(destination("127.0.0.1")),
            (await other.channel(4)).send(destination("127.0.0.1")),
        )
        for _ in range(50)
    ]
    await until(lambda: all(ours.replies and theirs.replies for ours, theirs in pairs))
    assert all((ours.replies, theirs.replies) == (1, 1) for ours, theirs in pairs)
    other.close()


async def test_a_forgotten_echo_hears_nothing(sockets: IcmpSockets) -> None:
    channel = await sockets.channel(4)
    forgotten = channel.send(destination("127.0.0.1"))
    channel.forget([forgotten])
    later = channel.send(destination("127.0.0.1"))
    await until(lambda: later.replies == 1)
    assert forgotten.replies == 0


async def test_one_socket_serves_a_family_and_an_interface(sockets: IcmpSockets) -> None:
    assert await sockets.channel(4) is await sockets.channel(4)
    assert await sockets.channel(4, "lo") is await sockets.channel(4, "lo")
    assert len({await sockets.channel(4), await sockets.channel(6), await sockets.channel(4, "lo")}) == 3


async def test_an_interface_that_is_not_there_is_named(sockets: IcmpSockets) -> None:
    with pytest.raises(ProbeError, match="no_interface: there is no interface nosuch0"):
        await sockets.channel(4, "nosuch0")


async def test_closed_sockets_open_again_when_asked_for(sockets: IcmpSockets) -> None:
    closed = await sockets.channel(4)
    sockets.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        closed.send(destination("127.0.0.1"))
    closed.poll()
    echo = (await sockets.channel(4)).send(destination("127.0.0.1"))
    await until(lambda: echo.replies == 1)


def sent(tx_ns: int | None) -> Echo:
    return Echo(1, "127.0.0.1", sent_wall_ns=1_000_000, sent_mono_ns=500, tx_ns=tx_ns)


@pytest.mark.parametrize(
    ("tx_ns", "rx_ns", "wall_ns", "mono_ns", "expected"),
    [
        (1_000_100, 1_000_400, 1_000_900, 1_400, (300e-9, "kernel")),
        (None, 1_000_400, 1_000_900, 1_400, (400e-9, "kernel_receive")),
        (1_000_100, None, 1_000_900, 1_400, (900e-9, "user")),
        (999_000, 1_000_400, 1_000_900, 1_400, (400e-9, "kernel_receive")),  # another packet's stamp
        (1_000_100, 1_000_400, 9_000_900, 1_400, (900e-9, "user")),  # the clock was set forward
        (1_000_100, 400, 900, 1_400, (900e-9, "user")),  # and back
    ],
)
def test_round_trip_takes_the_best_stamps_that_can_be_true(
    tx_ns: int | None, rx_ns: int | None, wall_ns: int, mono_ns: int, expected: tuple[float, str]
) -> None:
    rtt_s, source = round_trip(sent(tx_ns), rx_ns, wall_ns, mono_ns)
    assert rtt_s == pytest.approx(expected[0])
    assert source == expected[1]
