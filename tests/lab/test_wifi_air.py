"""wifi_air on virtual radios: what the installed agent publishes, beside a capture of the same interface by tshark."""

from pathlib import Path

import msgspec
import pytest

from fibrewatch.measurement import Measurement
from fibrewatch.results.wifi_air import Result
from tests.lab.radio.play import play
from tests.support.radio_pcap import caught, tshark, with_checksums, written

EDGE = 3
"""Frames: the capture's window is known to some hundred microseconds."""


@pytest.mark.full_lab
def test_air_as_tshark_tells_it_of_the_same_seconds(tmp_path: Path) -> None:
    facts = play("air", tmp_path / "lab")
    run = msgspec.convert(facts["air"], type=Measurement[Result])
    found = run.result
    assert (run.outcome, run.verdict) == ("ok", "valid"), run.detail
    assert found is not None
    assert found.listened_from is not None
    assert found.duration is not None
    begin = run.started_at.timestamp() + found.listened_from
    packets = [each for each in caught(tmp_path / "lab/air.pcap") if begin <= each.at < begin + found.duration]
    told = tshark(written(tmp_path / "window.pcap", with_checksums(packets)))
    assert len(told) > 200
    assert found.frames == pytest.approx(len(told), abs=EDGE)
    assert found.dropped == found.bad_frames == found.unrated == 0
    for mine, wanted in (
        (found.airtime, told),
        (found.airtime_own_ap, [each for each in told if each.sender == facts["own"]]),
        (found.airtime_own_stations, [each for each in told if each.bssid == facts["own"] != each.sender]),
        (found.airtime_others, [each for each in told if each.bssid == facts["other"]]),
    ):
        share = sum(each.duration_us or 0 for each in wanted) / found.duration / 1e6
        assert mine == pytest.approx(share, rel=0.02, abs=0.001)
        assert share > 0.005
    assert found.beacon_interval == pytest.approx(0.1024, rel=0.01)
    assert found.beacon_interval_announced == pytest.approx(0.1024)
    assert (found.bssid, found.access_points, found.same_ssid) == (facts["own"], 2, 1)
    assert not facts["monitor_left"]
