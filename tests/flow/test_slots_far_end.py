"""What the responder saw of a slot: its server's CPU, and what of its uplink was the slot's, limit what is proved."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fibrewatch.results.throughput import Params, Result
from fibrewatch_agent.box import Box
from fibrewatch_agent.probes.throughput import throughput
from fibrewatch_agent.slots.far_end import far_limits
from fibrewatch_agent.slots.reservation import reserve
from tests.support.iperf3 import box
from tests.support.slots import Responder, transfer, wish

PLENTY = "100000 Gbit/s"


async def measure(responder: Responder) -> tuple[Result, Box]:
    """A transfer over loopback that soon has enough."""
    here = box()
    here.control = responder.control()
    params = Params(
        direction="up", duration_s=20.0, omit_s=0.0, streams=1, error=0.9, max_bytes=None, latency="off", patience_s=20
    )
    return await throughput(params, here), here


@contextmanager
def burned(core: int) -> Iterator[None]:
    """A core that others want, too."""
    loops = [subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-c", "while True: pass"]) for _ in "ab"]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


async def test_cpu_of_the_far_end_is_known_after_an_early_end(tmp_path: Path) -> None:
    with Responder(tmp_path, capacity=PLENTY) as responder:
        result, here = await measure(responder)
    assert result.stopped == "converged"
    assert result.cpu_remote is not None
    assert 0.05 < result.cpu_remote < 2
    assert "responder_ceiling" not in here.reasons


async def test_transfer_as_fast_as_the_responders_uplink_is_a_bound(tmp_path: Path) -> None:
    with Responder(tmp_path, capacity="100 Mbit/s") as responder:
        _, here = await measure(responder)
    assert here.verdict == "censored"
    assert "responder_ceiling" in here.reasons


@pytest.mark.alone
async def test_far_end_whose_core_others_burn_is_saturated(tmp_path: Path) -> None:
    """Its server gets a third of the core: by its own CPU time alone it would look idle."""
    with burned(0), Responder(tmp_path, capacity=PLENTY, prefix=["taskset", "-c", "0"]) as responder:
        async with reserve(responder.control(), wish(duration=3.0), box(), 30) as slot:
            run = await transfer(slot, "-l", "128K", rate=1e10, seconds=2)
    assert run.failure is None
    told = slot.after.told
    print(told)
    assert told is not None
    assert told.cpu is not None
    assert told.waited is not None
    assert told.cpu < 0.8
    assert told.waited > 0, "how much depends on when it had something to send"
    assert ("censored", "cpu_saturated") in list(far_limits(slot, 1.0))


async def test_share_is_what_other_slots_have_left(tmp_path: Path) -> None:
    boxes = ("paris/cargo/box-01", "paris/other/box-01")
    with Responder(tmp_path, boxes, capacity="100 Mbit/s") as responder:
        async with (
            reserve(responder.control(boxes[0]), wish(rate=7.5e6), box(), 5) as first,
            reserve(responder.control(boxes[1]), wish(rate=2.5e6), box(), 5) as second,
        ):
            pass
        assert first.after.told is not None
        assert second.after.told is not None
        assert (first.after.told.share, second.after.told.share) == (10e6, 5e6)
    assert [list(far_limits(second, rate)) for rate in (4.56e6, 4.57e6)] == [[], [("censored", "responder_ceiling")]]


@pytest.mark.parametrize(("used", "waited"), [(0, 0), (90, 0), (30, 70), (100, 100)])
def test_load_is_that_of_the_stretch_between_the_first_and_the_last_note(
    tmp_path: Path, used: int, waited: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fibrewatch_agent.responder import far_load

    def tells(ticks: int, wait: int) -> None:
        task = tmp_path / "7/task/7"
        task.mkdir(parents=True, exist_ok=True)
        (tmp_path / "7/stat").write_text(f"7 (a) b) S {'0 ' * 10}{ticks} 0 0")
        (task / "schedstat").write_text(f"1 {wait * 10_000_000} 3\n")

    clock = iter([10.0, 10.5, 11.0])
    monkeypatch.setattr(far_load.hardware.time, "monotonic", lambda: next(clock))
    watch = far_load.LoadWatch(tmp_path)
    tells(5, 5)
    watch.note(7)
    assert watch.load() == far_load.Load()
    for _ in range(2):
        tells(5 + used, 5 + waited)
        watch.note(7)
    load = watch.load()
    assert (load.cpu, load.waited) == pytest.approx((used / 100, waited / 100))
