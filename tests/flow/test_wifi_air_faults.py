"""wifi_air where there is nothing to listen with."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from fibrewatch import python_child, wire
from fibrewatch.measurement import AnyMeasurement
from fibrewatch.results import PROBES
from fibrewatch_agent.air import child
from fibrewatch_agent.air.order import Order, Outcome


def listened(interface: str, *prefix: str) -> Outcome:
    order = msgspec.json.encode(Order(interface=interface, duration_s=1.0)).decode()
    argv = [*prefix, *python_child.command("fibrewatch_agent.air.child", order)]
    return msgspec.json.decode(subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout, type=Outcome)


def once(*options: str) -> AnyMeasurement:
    argv = [sys.executable, "-m", "fibrewatch_agent", "once", "wifi_air", "--json", "--param", "frequency=2437"]
    done = subprocess.run([*argv, *options], check=False, capture_output=True, timeout=60)
    return msgspec.json.decode(done.stdout, type=wire.measurement_type(PROBES["wifi_air"]))


def test_an_interface_that_is_not_in_monitor_mode_says_so() -> None:
    assert listened("lo") == Outcome(error="no_interface", detail="lo: is no monitor interface with radiotap headers")


def test_an_interface_that_is_gone_says_so() -> None:
    assert listened("mon7").error == "no_interface"


def test_without_the_right_to_capture_the_error_is_permission() -> None:
    assert listened("lo", "setpriv", "--bounding-set=-net_raw").error == "permission"


@pytest.mark.parametrize(
    ("options", "error", "detail"),
    [
        ((), "no_interface", "no wireless interface"),
        (("--interface", "wlan9"), "no_interface", "no wireless interface"),
        (("--interface", "wlan9", "--param", "width=40", "--param", "center=2500"), "denied", "is not within 40 MHz"),
    ],
)
def test_a_box_that_cannot_listen_says_why(tmp_path: Path, options: tuple[str, ...], error: str, detail: str) -> None:
    run = once(*options, "--param", f"socket={tmp_path}/helper.sock")
    assert (run.outcome, run.error) == ("failed", error)
    assert detail in str(run.detail)


def test_what_waits_when_the_time_is_over_is_taken_if_it_came_in_time() -> None:
    hears, says = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with hears, says:
        hears.setsockopt(socket.SOL_SOCKET, 64, 1)  # SO_TIMESTAMPNS_NEW
        for text in (b"one", b"two"):
            says.send(text)
        over, between = time.monotonic() - 0.001, time.time()
        says.send(b"late")
        assert [data for _, data, _ in child._packets(hears, over, between)] == [b"one", b"two"]
        assert list(child._packets(hears, over, time.time() + 9)) == []
