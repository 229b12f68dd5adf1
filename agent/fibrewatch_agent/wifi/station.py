"""What the kernel knows of a link, a channel and the networks around. Pure: attributes in, figures out."""

import struct
from typing import NamedTuple

from fibrewatch.results.wifi_link import Generation, Rate
from fibrewatch_agent.net.netlink import attributes
from fibrewatch_agent.wifi import nl80211
from fibrewatch_agent.wifi.nl80211 import Attributes, signed, unsigned

# enum nl80211_sta_info
_SIGNAL, _SIGNAL_MEAN, _TX_RATE, _RX_RATE, _CONNECTED, _BEACON_LOSS, _ASSOCIATED_AT = 7, 13, 8, 14, 16, 18, 42
_RX_PACKETS, _TX_PACKETS, _TX_RETRIES, _TX_FAILED = 9, 10, 11, 12
# enum nl80211_rate_info
_BITRATE16, _HT_MCS, _SHORT_GI, _BITRATE, _VHT_MCS, _VHT_NSS = 1, 2, 4, 5, 6, 7
_HE_MCS, _HE_NSS, _HE_GI, _EHT_MCS, _EHT_NSS, _EHT_GI = 13, 14, 15, 19, 20, 21
_WIDTH_FLAGS_MHZ = {3: 40, 8: 80, 9: 160, 10: 160, 11: 10, 12: 5, 18: 320}
_LONG_GI_S, _SHORT_GI_S, _HE_GI_S = 0.8e-6, 0.4e-6, (0.8e-6, 1.6e-6, 3.2e-6)
# enum nl80211_survey_info
_S_FREQUENCY, _S_NOISE, _S_IN_USE, _S_TIME, _S_BUSY, _S_RX, _S_TX = 1, 2, 3, 4, 5, 7, 8
# enum nl80211_bss
_BSSID, _B_FREQUENCY, _ELEMENTS, _B_SIGNAL, _STATUS, _SEEN_MS, _BEACON_ELEMENTS, _SEEN_AT = 1, 2, 6, 7, 9, 10, 11, 15
_ASSOCIATED = 1


class Station(NamedTuple):
    """The access point as this station sees it; the counts are since the association.

    Attributes:
        associated_at: CLOCK_BOOTTIME, seconds.
    """

    bssid: bytes
    signal: int | None
    signal_mean: int | None
    tx: Rate | None
    rx: Rate | None
    tx_packets: int | None
    rx_packets: int | None
    tx_retries: int | None
    tx_failed: int | None
    beacon_losses: int | None
    connected_time: int | None
    associated_at: float | None


class Survey(NamedTuple):
    """A channel's counters in seconds, as far as the driver keeps them."""

    frequency: int
    in_use: bool
    noise: int | None
    time: float | None
    busy: float | None
    rx: float | None
    tx: float | None


class Bss(NamedTuple):
    """A network's access point as last heard.

    Attributes:
        seen_at: CLOCK_BOOTTIME, seconds.
        elements: Of its beacon where one was heard, else of its probe response.
        answered: Of its probe response where one was heard: only there a hidden network says its name.
    """

    bssid: bytes
    frequency: int
    signal: float | None
    associated: bool
    seen_at: float
    elements: bytes
    answered: bytes = b""


def station(told: Attributes) -> Station | None:
    """One answer to GET_STATION."""
    if len(told.get(nl80211.A_MAC, b"")) != 6:
        return None
    info = attributes(told.get(nl80211.A_STA_INFO, b""))
    at = unsigned(info.get(_ASSOCIATED_AT))
    return Station(
        bssid=told[nl80211.A_MAC],
        signal=_strength(info.get(_SIGNAL)),
        signal_mean=_strength(info.get(_SIGNAL_MEAN)),
        tx=rate(info[_TX_RATE]) if _TX_RATE in info else None,
        rx=rate(info[_RX_RATE]) if _RX_RATE in info else None,
        tx_packets=unsigned(info.get(_TX_PACKETS)),
        rx_packets=unsigned(info.get(_RX_PACKETS)),
        tx_retries=unsigned(info.get(_TX_RETRIES)),
        tx_failed=unsigned(info.get(_TX_FAILED)),
        beacon_losses=unsigned(info.get(_BEACON_LOSS)),
        connected_time=unsigned(info.get(_CONNECTED)),
        associated_at=at / 1e9 if at else None,
    )


def _strength(value: bytes | None) -> int | None:
    """Zero is told before anything was received."""
    dbm = signed(value)
    return dbm if dbm is not None and dbm < 0 else None


def rate(nested: bytes) -> Rate:
    """One struct of nl80211_rate_info; bit rates are told in 100 kbit/s."""
    info = attributes(nested)
    tenths = unsigned(info.get(_BITRATE)) or unsigned(info.get(_BITRATE16))
    generation, mcs, nss = _modulation(info)
    wide = max((mhz for flag, mhz in _WIDTH_FLAGS_MHZ.items() if flag in info), default=20)
    return Rate(
        bitrate=tenths * 1e5 / 8 if tenths else None,
        generation=generation,
        mcs=mcs,
        nss=nss,
        width=wide * 1e6,
        guard_interval=_guard_interval(info, generation),
    )


def _modulation(info: Attributes) -> tuple[Generation, int | None, int | None]:
    if _EHT_MCS in info:
        return "be", unsigned(info[_EHT_MCS]), unsigned(info.get(_EHT_NSS))
    if _HE_MCS in info:
        return "ax", unsigned(info[_HE_MCS]), unsigned(info.get(_HE_NSS))
    if _VHT_MCS in info:
        return "ac", unsigned(info[_VHT_MCS]), unsigned(info.get(_VHT_NSS))
    if (mcs := unsigned(info.get(_HT_MCS))) is not None:
        return "n", mcs, mcs // 8 + 1 if mcs < 32 else None
    return "legacy", None, None


def _guard_interval(info: Attributes, generation: Generation) -> float | None:
    if generation in ("n", "ac"):
        return _SHORT_GI_S if _SHORT_GI in info else _LONG_GI_S
    told = unsigned(info.get(_EHT_GI if generation == "be" else _HE_GI))
    return _HE_GI_S[told] if told is not None and told < len(_HE_GI_S) else None


def survey(told: Attributes) -> Survey | None:
    """One answer to GET_SURVEY."""
    info = attributes(told.get(nl80211.A_SURVEY, b""))
    frequency = unsigned(info.get(_S_FREQUENCY))
    if frequency is None:
        return None
    times = (unsigned(info.get(each)) for each in (_S_TIME, _S_BUSY, _S_RX, _S_TX))
    time, busy, rx, tx = (ms / 1e3 if ms is not None else None for ms in times)
    return Survey(frequency, _S_IN_USE in info, signed(info.get(_S_NOISE)), time, busy, rx, tx)


def bss(told: Attributes, now: float) -> Bss | None:
    """One answer to GET_SCAN; `now` is CLOCK_BOOTTIME in seconds."""
    info = attributes(told.get(nl80211.A_BSS, b""))
    frequency = unsigned(info.get(_B_FREQUENCY))
    if frequency is None or len(info.get(_BSSID, b"")) != 6:
        return None
    told_last = info.get(_ELEMENTS, b"")
    signal, at, ago = signed(info.get(_B_SIGNAL)), unsigned(info.get(_SEEN_AT)), unsigned(info.get(_SEEN_MS)) or 0
    return Bss(
        bssid=info[_BSSID],
        frequency=frequency,
        signal=signal / 100 if signal is not None else None,
        associated=unsigned(info.get(_STATUS)) == _ASSOCIATED,
        seen_at=at / 1e9 if at else now - ago / 1e3,
        elements=info.get(_BEACON_ELEMENTS) or told_last,
        answered=told_last,
    )


def frame_reason(frame: bytes) -> tuple[bytes, bool, int | None] | None:
    """Whose network, whether the access point sent it, and the reason of a deauthentication or disassociation.

    Source: IEEE 802.11-2020 §9.3.3.1: addresses are receiver, transmitter, BSSID; the body starts with the reason.
    """
    if len(frame) < 24:
        return None
    transmitter, bssid = frame[10:16], frame[16:22]
    body = 28 if frame[1] & 0x80 else 24  # +HTC
    reason = struct.unpack_from("<H", frame, body)[0] if len(frame) >= body + 2 else None
    return bssid, transmitter == bssid, reason
