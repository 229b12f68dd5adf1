"""Each delay that stamp reports against captures at both ends of the line, on a quiet machine and on a busy one."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.netns import Link, Namespace
from tests.support.stamp_truth import BOUND_S, measure, quantile

ATTEMPTS = 3

pytestmark = pytest.mark.alone


@pytest.fixture
def line() -> Iterator[tuple[Namespace, Namespace, Link]]:
    near, far = Namespace("near"), Namespace("far")
    try:
        link = Link(near, far)
        for address in (link.b4, link.b6):  # the neighbours know each other before anything is timed
            near.run("ping", "-c", "1", "-w", "20", address)
        yield near, far, link
    finally:
        near.close()
        far.close()


def show(what: str, off: dict[str, list[float]]) -> None:
    for name, values in off.items():
        p50, p99 = quantile(values, 0.5), quantile(values, 0.99)
        print(f"{what} {name}: n={len(values)} off p50={p50 * 1e6:.2f} p99={p99 * 1e6:.2f} µs")


def true_enough(off: dict[str, list[float]]) -> bool:
    """At p99; at p50 it must be in any case.

    What lies between the capture's stamp of a packet and the kernel's own is a few instructions with interrupts off:
    only a host that takes the whole virtual machine's processor away makes that longer, and then it is measured again.
    """
    for values in off.values():
        assert quantile(values, 0.5) <= 20e-6
    return all(quantile(values, 0.99) <= 100e-6 for values in off.values())


@pytest.mark.parametrize("family", [4, 6])
def test_each_delay_is_what_the_wire_shows(
    line: tuple[Namespace, Namespace, Link], tmp_path: Path, family: int
) -> None:
    near, far, link = line
    for _ in range(ATTEMPTS):
        said, off = measure(near, far, link.b4 if family == 4 else link.b6, tmp_path)
        show(f"quiet v{family}", off)
        result = said["result"]
        assert (said["error"], result["lost"], result["stamps"], result["stateful"]) == (None, 0, "kernel", True)
        assert result["follow_ups"] >= 0.98 * result["sent"]
        assert len(off["rtt_s"]) >= 450
        assert result["owd_uncertainty"] == pytest.approx(2 * BOUND_S, rel=0.02)
        assert result["owd_forward_p50"] + result["owd_backward_p50"] == pytest.approx(result["rtt_p50"], rel=0.5)
        if true_enough(off):
            return
    pytest.fail("more than 100 µs off at p99, each time")


def test_delays_stay_true_while_the_agent_is_held_up_and_both_cores_are_busy(
    line: tuple[Namespace, Namespace, Link], tmp_path: Path
) -> None:
    near, far, link = line
    with ExitStack() as busy:
        for _ in range(2):
            spin = busy.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            busy.callback(spin.kill)
        for _ in range(ATTEMPTS):
            said, off = measure(near, far, link.b4, tmp_path, block_s=[0.02, 0.05])
            show("busy", off)
            result = said["result"]
            assert (said["error"], result["lost"], result["stamps"]) == (None, 0, "kernel")
            assert len(off["rtt_s"]) >= 200
            if true_enough(off):
                return
    pytest.fail("more than 100 µs off at p99, each time")
