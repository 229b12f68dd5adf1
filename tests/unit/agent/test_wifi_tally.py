"""What counts as a roam, a loss, an interruption; the events are those that mac80211 told in the lab."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibrewatch.results.wifi_link import Rate
from fibrewatch_agent.net.netlink import attribute, attributes
from fibrewatch_agent.wifi import station
from fibrewatch_agent.wifi.shares import shares
from fibrewatch_agent.wifi.station import Survey
from fibrewatch_agent.wifi.tally import Event, Taken, Tally
from fibrewatch_agent.wifi.watch import events

A, B = "02:00:00:00:01:00", "02:00:00:00:02:00"
NAME = b"fibre"


def linked(at: float = 0.0) -> Tally:
    tally = Tally(at)
    tally.sees(at, A, NAME, up=True)
    return tally


def leave(tally: Tally, at: float, by: str = "box", reason: int = 1) -> None:
    tally.hear(Event("deauthenticated", at, A, by, reason))  # type: ignore[arg-type]
    tally.hear(Event("disconnected", at, None, by, reason))  # type: ignore[arg-type]
    tally.operate(at, up=False)


def join(tally: Tally, at: float, bssid: str, name: bytes = NAME, keys_s: float = 0.05) -> None:
    tally.hear(Event("connected", at, bssid), name)
    tally.operate(at + keys_s, up=True)


def counts(taken: Taken) -> tuple[int, int, int]:
    return taken.roams, taken.disconnects, taken.deauthentications


def test_own_move_to_another_access_point_is_one_roam() -> None:
    tally = linked()
    leave(tally, 10.0)
    join(tally, 10.1, B)
    taken = tally.take(60.0)
    assert counts(taken) == (1, 0, 0)
    assert taken.interruption_max == pytest.approx(0.15), "until the keys are agreed"
    assert taken.interruption_time == pytest.approx(0.15)
    assert [reason.by for reason in taken.reasons] == ["box"]
    assert counts(tally.take(120.0)) == (0, 0, 0)


def test_roam_across_two_results_is_counted_in_one() -> None:
    tally = linked()
    leave(tally, 59.9)
    first = tally.take(60.0)
    join(tally, 60.1, B)
    second = tally.take(120.0)
    assert [counts(first), counts(second)] == [(0, 0, 0), (1, 0, 0)]
    assert first.interruption_time + second.interruption_time == pytest.approx(0.25)
    assert (first.interruption_max, second.interruption_max) == (None, pytest.approx(0.25))


def test_move_without_a_word_of_leaving_is_a_roam() -> None:
    for kind in ("roamed", "connected"):
        tally = linked()
        tally.hear(Event(kind, 5.0, B), NAME)  # type: ignore[arg-type]
        assert counts(tally.take(60.0)) == (1, 0, 0)


def test_sent_away_is_a_loss_wherever_it_goes() -> None:
    for other in (A, B):
        tally = linked()
        leave(tally, 10.0, "ap", 5)
        join(tally, 10.2, other)
        assert counts(tally.take(60.0)) == (0, 1, 1)


@pytest.mark.parametrize(
    ("reason", "bssid", "name", "after_s"),
    [(4, B, NAME, 0.2), (3, A, NAME, 0.2), (3, B, b"guests", 0.2), (1, B, NAME, 6.0)],
    ids=["beacons stayed away", "same access point", "another network", "too late"],
)
def test_losses_that_are_no_roams(reason: int, bssid: str, name: bytes, after_s: float) -> None:
    tally = linked()
    leave(tally, 10.0, "box", reason)
    join(tally, 10.0 + after_s, bssid, name)
    assert counts(tally.take(60.0)) == (0, 1, 0)


def test_loss_that_lasts_is_counted_once_and_all_of_its_time() -> None:
    tally = linked()
    leave(tally, 50.0, "box", 3)
    first, second = tally.take(60.0), tally.take(120.0)
    assert [each.disconnects for each in (first, second)] == [1, 0]
    assert [each.interruption_time for each in (first, second)] == [10.0, 60.0]
    join(tally, 130.0, A)
    third = tally.take(180.0)
    assert third.interruption_time == pytest.approx(10.05)
    assert third.interruption_max == pytest.approx(80.05)


def test_time_before_the_first_link_is_no_interruption() -> None:
    tally = Tally(0.0)
    tally.sees(0.0, None, None, up=False)
    join(tally, 30.0, A)
    taken = tally.take(60.0)
    assert (taken.interruption_time, taken.interruption_max, taken.roams, taken.disconnects) == (0.0, None, 0, 0)


def test_lost_events_are_told() -> None:
    tally = linked()
    tally.missed()
    assert not tally.take(60.0).complete
    assert tally.take(120.0).complete


def test_events_kept_are_bounded() -> None:
    tally = linked()
    for i in range(200):
        tally.hear(Event("deauthenticated", float(i), A, "ap", i))
    taken = tally.take(300.0)
    assert taken.deauthentications == 200
    assert (len(taken.events), len(taken.reasons)) == (32, 32)
    assert taken.events[-1].reason == 199


def test_connection_that_failed_is_none() -> None:
    told = {6: bytes(6), 72: struct.pack("=H", 17)}
    assert events(46, told, 1.0) == []
    assert [each.kind for each in events(46, {6: bytes(6), 72: bytes(2)}, 1.0)] == ["connected"]


def rate(**told: bytes) -> Rate:
    numbers = {"bitrate": 5, "ht": 2, "short": 4, "vht": 6, "vht_nss": 7, "w40": 3, "w80": 8, "w160": 10, "w320": 18}
    numbers |= {"he": 13, "he_nss": 14, "he_gi": 15, "eht": 19, "eht_nss": 20, "eht_gi": 21, "bitrate16": 1}
    return station.rate(b"".join(attribute(numbers[name], value) for name, value in told.items()))


def test_rates_of_each_generation() -> None:
    legacy = rate(bitrate=struct.pack("=I", 540))
    assert (legacy.bitrate, legacy.generation, legacy.mcs, legacy.nss) == (6.75e6, "legacy", None, None)
    n = rate(bitrate16=struct.pack("=H", 3000), ht=b"\x0f", short=b"", w40=b"")
    assert (n.bitrate, n.generation, n.mcs, n.nss, n.width) == (37.5e6, "n", 15, 2, 40e6)
    assert n.guard_interval == pytest.approx(0.4e-6)
    ac = rate(bitrate=struct.pack("=I", 8667), vht=b"\x09", vht_nss=b"\2", w80=b"")
    assert (ac.generation, ac.mcs, ac.nss, ac.width, ac.guard_interval) == ("ac", 9, 2, 80e6, 0.8e-6)
    ax = rate(bitrate=struct.pack("=I", 24020), he=b"\x0b", he_nss=b"\2", he_gi=b"\0", w160=b"")
    assert (ax.generation, ax.mcs, ax.nss, ax.width, ax.guard_interval) == ("ax", 11, 2, 160e6, 0.8e-6)
    be = rate(bitrate=struct.pack("=I", 57640), eht=b"\x0d", eht_nss=b"\2", eht_gi=b"\2", w320=b"")
    assert (be.generation, be.mcs, be.nss, be.width, be.guard_interval) == ("be", 13, 2, 320e6, 3.2e-6)


def survey(time: float | None, busy: float | None, rx: float | None = None, tx: float | None = None) -> Survey:
    return Survey(2437, True, -92, time, busy, rx, tx)


def test_shares_of_counters_that_go_on() -> None:
    found = shares(survey(100, 20, 10, 5), survey(160, 50, 16, 8), 60.0)
    assert found == ("difference", 60, 0.5, 0.1, 0.05)


def test_shares_of_counters_that_began_anew_or_are_of_one_visit() -> None:
    assert shares(survey(100, 20), survey(40, 10), 60.0) == ("reading", 40, 0.25, None, None)
    assert shares(survey(0.064, 0.008), survey(0.068, 0.017), 60.0) == ("reading", 0.068, 0.25, None, None)
    assert shares(None, survey(40, 10), 60.0) == ("reading", 40, 0.25, None, None)


def test_shares_that_nothing_can_be_said_of() -> None:
    assert shares(survey(100, 20), survey(100, 20), 60.0) is None
    assert shares(None, survey(None, 20), 60.0) is None
    assert shares(None, survey(0, 0), 60.0) is None
    assert shares(None, survey(10, 20), 60.0) is None
    assert shares(survey(100, None), survey(160, None), 60.0) is None, "a time without its parts"


NESTED = st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=12)), max_size=12).map(
    lambda parts: b"".join(attribute(kind, value) for kind, value in parts)
)
TOLD = st.dictionaries(st.sampled_from([3, 6, 21, 47, 51, 54, 71, 72, 84, 94]), NESTED | st.binary(max_size=9))


@given(TOLD, st.integers(0, 130))
@settings(deadline=None)
def test_attributes_of_any_length_break_nothing(told: dict[int, bytes], command: int) -> None:
    for found in (station.station(told), station.survey(told), station.bss(told, 1.0)):
        assert found is None or isinstance(found, tuple)
    for event in events(command, told, 1.0):
        assert event.bssid is None or len(event.bssid) == 17
    rate_of = station.rate(told.get(21, b""))
    assert rate_of.bitrate is None or rate_of.bitrate > 0


def test_no_answer_of_the_kernel_is_needed_in_full() -> None:
    assert station.station({}) is station.station({6: bytes(8)}) is None
    bare = station.station({6: bytes(6)})
    assert bare is not None
    assert (bare.signal, bare.tx, bare.associated_at) == (None, None, None)
    assert station.survey({}) is None
    assert station.bss({}, 0.0) is None
    assert attributes(b"\4") == {}
