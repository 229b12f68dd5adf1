"""Counts what is heard, frame by frame, and what it comes to. Pure; it holds addresses only while it counts."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal, NamedTuple

from fibrewatch import stats
from fibrewatch.results.wifi_air import Result
from fibrewatch_agent.air import airtime, beacons, frames, radiotap
from fibrewatch_agent.air.frames import Beacon, Frame
from fibrewatch_agent.air.radiotap import Radio

Whose = Literal["own_ap", "own_stations", "same_ssid", "others", "unknown"]
MOST_STATIONS, MOST_POINTS = 4096, 512
"""Addresses that are kept in mind: more are somebody's game with forged ones."""
_FCS = 4


class _Point:
    """An access point.

    Attributes:
        ssid: None: hidden, or not heard of yet.
        beacons: When they came, by the best clock there is.
    """

    __slots__ = ("beacons", "interval_s", "signals", "ssid")

    def __init__(self) -> None:
        self.ssid: bytes | None = None
        self.interval_s: float | None = None
        self.beacons: list[float] = []
        self.signals: list[int] = []


class _Sent(NamedTuple):
    """What is to be known of a sender once all access points are known."""

    bssid: bytes | None
    from_ap: bool


class Tally:
    """One stretch of listening on one channel.

    Args:
        ssid, bssid: As Params.
    """

    def __init__(self, ssid: bytes | None = None, bssid: bytes | None = None) -> None:
        self._ssid, self._own = ssid, bssid
        self._points: dict[bytes, _Point] = {}
        self._stations: dict[bytes, bytes] = {}
        self._airtime: dict[_Sent, float] = {}
        self._retries: Counter[_Sent] = Counter()
        self._could: Counter[_Sent] = Counter()
        self._by_second: dict[int, list[float]] = {}
        self._ampdu: tuple[int, bytes | None, int] | None = None
        self.frames = self.bad = self.unrated = 0

    def add(self, at: float, data: bytes, length: int) -> None:
        """A packet as the monitor interface gave it; never raises on what it holds.

        Args:
            at: Seconds since listening began.
            data: From the radiotap header on, perhaps not all of it.
            length: How long it was as a whole.
        """
        radio = radiotap.parse(data)
        if radio is None:
            self.bad += 1
            return
        octets = length - radio.length + (0 if radio.fcs else _FCS)
        if radio.empty or length <= radio.length:
            return
        frame = None if radio.bad else frames.parse(data[radio.length :])
        if frame is None:
            self.bad += 1
            self._take(at, None, _Sent(None, from_ap=False), self._airtime_of(radio, None, octets))
            return
        self.frames += 1
        sent = self._sent(frame)
        if frame.kind == "management":
            self._hear(at, radio, frames.beacon(data[radio.length :]))
        self._take(at, frame, sent, self._airtime_of(radio, frame, octets))

    def _airtime_of(self, radio: Radio, frame: Frame | None, octets: int) -> float:
        """Frames of one A-MPDU share one preamble: each adds what it makes the whole longer."""
        if radio.whole_s is not None:
            return self._part_of(radio, frame, radio.whole_s)
        if radio.phy is None or not airtime.known(radio.phy):
            self.unrated += 1
            return 0.0
        if radio.ampdu is None:
            self._ampdu = None
            return airtime.airtime_s(radio.phy, octets)
        so_far = self._so_far(radio.ampdu, frame, octets)
        whole = so_far + airtime.subframe(octets)
        return airtime.airtime_s(radio.phy, whole) - (airtime.airtime_s(radio.phy, so_far) if so_far else 0.0)

    def _part_of(self, radio: Radio, frame: Frame | None, whole_s: float) -> float:
        """The first frame of an A-MPDU stands for all of it."""
        if radio.ampdu is None:
            self._ampdu = None
            return whole_s
        return 0.0 if self._so_far(radio.ampdu, frame, 1) else whole_s

    def _so_far(self, number: int, frame: Frame | None, octets: int) -> int:
        """What came of this A-MPDU before these octets; another one of the same number has another sender."""
        sender, before = frame.sender if frame is not None else None, self._ampdu
        if before is None or before[0] != number or (sender is not None and before[1] not in (None, sender)):
            before = (number, None, 0)
        self._ampdu = (number, sender or before[1], before[2] + airtime.subframe(octets))
        return before[2]

    def _sent(self, frame: Frame) -> _Sent:
        """The sender's network: as the frame says, else where the sender, or who is answered, is known from."""
        if frame.bssid is not None and not frame.bssid[0] & 1:
            station = frame.receiver if frame.from_ap else frame.sender
            if station is not None and not station[0] & 1 and len(self._stations) < MOST_STATIONS:
                self._stations[station] = frame.bssid
            return _Sent(frame.bssid, frame.from_ap or frame.sender == frame.bssid)
        if frame.sender is not None:
            if frame.sender in self._points:
                return _Sent(frame.sender, from_ap=True)
            return _Sent(self._stations.get(frame.sender), from_ap=False)
        if frame.receiver in self._points:
            return _Sent(frame.receiver, from_ap=False)
        return _Sent(self._stations.get(frame.receiver), from_ap=True)

    def _hear(self, at: float, radio: Radio, beacon: Beacon | None) -> None:
        if beacon is None or (beacon.bssid not in self._points and len(self._points) >= MOST_POINTS):
            return
        point = self._points.setdefault(beacon.bssid, _Point())
        if beacon.ssid is not None and any(beacon.ssid):  # a hidden one's beacons say nothing, or zeroes
            point.ssid = beacon.ssid
        if radio.signal is not None:
            point.signals.append(radio.signal)
        if not beacon.answer:
            point.interval_s = beacon.interval_s or None
            point.beacons.append(at if radio.tsft_us is None else radio.tsft_us / 1e6)

    def _take(self, at: float, frame: Frame | None, sent: _Sent, took_s: float) -> None:
        if sent not in self._airtime and len(self._airtime) >= MOST_STATIONS:
            sent = _Sent(None, from_ap=False)
        self._airtime[sent] = self._airtime.get(sent, 0.0) + took_s
        second = self._by_second.setdefault(int(at), [0, 0, 0.0])
        second[2] += took_s
        if frame is None:
            return
        second[0] += 1
        second[1] += frame.kind == "management"
        if frame.answers:
            self._could[sent] += 1
            self._retries[sent] += frame.retry

    # ---- what it comes to

    def result(self, duration_s: float, *, dropped: int | None = None, interface: str | None = None) -> Result:
        """All of a stretch that lasted so long."""
        own = self._own or self._strongest()
        shares = self._shares(own, duration_s)
        mine = [each for each in self._could if own is not None and each.bssid == own]
        whole = [each for second, each in self._by_second.items() if second + 1 <= duration_s] or [[0, 0, 0.0]]
        point = self._points.get(own) if own is not None else None
        row = beacons.row(point.beacons, point.interval_s) if point is not None else beacons.Row()
        return Result(
            duration=duration_s,
            frames=self.frames,
            bad_frames=self.bad,
            dropped=dropped,
            airtime=sum(shares.values()),
            airtime_own_ap=shares["own_ap"] if own is not None else None,
            airtime_own_stations=shares["own_stations"] if own is not None else None,
            airtime_same_ssid=shares["same_ssid"] if self._ssid is not None else None,
            airtime_others=shares["others"],
            airtime_unknown=shares["unknown"],
            airtime_peak=max(each[2] for each in whole),
            retry_ratio=_ratio(self._retries.total(), self._could.total()),
            own_retry_ratio=_ratio(sum(self._retries[each] for each in mine), sum(self._could[each] for each in mine)),
            management_rate=sum(each[1] for each in self._by_second.values()) / duration_s,
            management_peak=max(each[1] for each in whole),
            frame_rate=self.frames / duration_s,
            frame_peak=max(each[0] for each in whole),
            beacon_interval=row.interval_s,
            beacon_jitter=row.jitter_s,
            beacons_missed=row.missed,
            access_points=len(self._points),
            same_ssid=sum(self._is_ours(each) for each in self._points) if self._ssid is not None else None,
            unrated=self.unrated,
            beacon_interval_announced=point.interval_s if point is not None else None,
            bssid=own.hex(":") if own is not None else None,
            interface=interface,
        )

    def _is_ours(self, bssid: bytes) -> bool:
        return self._ssid is not None and bssid in self._points and self._points[bssid].ssid == self._ssid

    def _strongest(self) -> bytes | None:
        """The access point with the SSID that is heard best."""
        heard = {each: point.signals for each, point in self._points.items() if self._is_ours(each)}
        return max(heard, key=lambda each: (stats.percentile(heard[each], 0.5) or -200.0, each), default=None)

    def _shares(self, own: bytes | None, duration_s: float) -> dict[Whose, float]:
        found: dict[Whose, float] = dict.fromkeys(("own_ap", "own_stations", "same_ssid", "others", "unknown"), 0.0)
        for sent, seconds in self._airtime.items():
            found[self._whose(sent, own)] += seconds / duration_s
        return found

    def _whose(self, sent: _Sent, own: bytes | None) -> Whose:
        if sent.bssid is None:
            return "unknown"
        if sent.bssid == own:
            return "own_ap" if sent.from_ap else "own_stations"
        return "same_ssid" if self._is_ours(sent.bssid) else "others"


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def tallied(packets: Iterable[tuple[float, bytes, int]], tally: Tally) -> Tally:
    """All of some packets; see `Tally.add`."""
    for at, data, length in packets:
        tally.add(at, data, length)
    return tally
