"""wifi_paired where delay and loss are netem's own and time is exact."""

import math
import sys
from collections.abc import Callable

import msgspec
import pytest

from fibrewatch.results.wifi_paired import Result
from tests.lab import vm
from tests.lab.paired_guest import BACK_S, LOSS, OUT, OVER_S, WIRE_S


@pytest.mark.full_lab
def test_the_airs_own_cost_is_what_netem_holds_back_and_drops(lab: Callable[..., vm.Ran]) -> None:
    ran = lab([sys.executable, "-m", "tests.lab.paired_guest"], virtual_time=True, timeout_s=900)
    found = msgspec.json.decode((ran.files / OUT.name).read_bytes(), type=Result)
    assert found.wire.sent == found.wifi.sent == pytest.approx(400, abs=6)
    assert found.wire_rtt_p50 == pytest.approx(WIRE_S, abs=3e-4)
    assert found.air_rtt_p50 == pytest.approx(OVER_S + BACK_S - WIRE_S, abs=3e-4)
    assert found.wire_loss_ratio == 0.0
    assert found.air_loss_ratio == pytest.approx(LOSS, abs=5 * math.sqrt(LOSS * (1 - LOSS) / 400))
    assert (found.attribution, found.air, found.fibre) == ("air", ("loss",), ())
