"""The lab itself: what a command there sees, leaves and returns."""

import sys
from collections.abc import Callable

import pytest

from tests.lab import vm

Lab = Callable[..., vm.Ran]


def test_a_command_sees_this_checkout_and_changes_nothing_of_it(lab: Lab) -> None:
    mark = vm.ROOT / "tests" / "lab" / "written-in-the-lab"
    ran = lab(
        f"touch {mark} && ls {mark} && pwd && {sys.executable} -c 'import fibrewatch_agent; print(6 * 7)'"
        " && for each in sch_netem mac80211_hwsim nft_numgen; do modprobe $each || exit 4; done"
        " && echo result > /run/out/file && echo said on standard error >&2; exit 3",
        check=False,
    )
    assert ran.output == f"{mark}\n{vm.ROOT}\n42\nsaid on standard error\n"
    assert ran.status == 3
    assert (ran.files / "file").read_text() == "result\n"
    assert not mark.exists()


@pytest.mark.full_lab
def test_idle_time_passes_at_once_in_virtual_time(lab: Lab) -> None:
    ran = lab("sleep 3600; cut -d' ' -f1 /proc/uptime", virtual_time=True, timeout_s=240)
    assert float(ran.output) > 3600


def test_a_machine_that_does_not_end_is_ended(lab: Lab) -> None:
    with pytest.raises(vm.LabError, match=r"exit status 125 .*sleep infinity"):
        lab("sleep infinity", timeout_s=3)
