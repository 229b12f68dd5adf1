"""What a radio says of a frame: the radiotap header (radiotap.org), the fields that airtime needs. Pure."""

import struct
from typing import NamedTuple

from fibrewatch_agent.air import radiotap_wide
from fibrewatch_agent.air.airtime import Dsss, Ht, Ofdm, Phy, Vht

_HEAD = struct.Struct("<BBHI")
_FIELDS: tuple[tuple[int, int], ...] = (
    *((8, 8), (1, 1), (1, 1), (2, 4), (1, 2), (1, 1), (1, 1), (2, 2)),
    *((2, 2), (2, 2), (1, 1), (1, 1), (1, 1), (1, 1), (2, 2), (2, 2)),
    *((1, 1), (1, 1), (4, 8), (1, 3), (4, 8), (2, 12), (8, 12), (2, 12)),
    *((2, 12), (2, 6), (1, 1), (2, 4)),
)
"""Alignment and size of each field by its bit, up to 27."""
_TSFT, _FLAGS, _RATE, _SIGNAL, _MCS, _AMPDU, _VHT, _HE, _PSDU, _L_SIG, _TLV = 0, 1, 2, 5, 19, 20, 21, 23, 26, 27, 28
_RADIOTAP_AGAIN, _MORE = 1 << 29, 1 << 31
_SHORT_PREAMBLE, _FCS, _BAD_FCS = 0x02, 0x10, 0x40
_DSSS_RATES = frozenset({2, 4, 11, 22})
_OFDM_RATES = frozenset({12, 18, 24, 36, 48, 72, 96, 108})
_HT_WIDTHS = {0: 20, 1: 40, 2: 20, 3: 20}
_VHT_WIDTHS = (20, 40, 20, 20, 80, 40, 40, 20, 20, 20, 20, 160, 80, 80, 40, 40, 40, 40, *([20] * 8))


class Radio(NamedTuple):
    """What was said.

    Attributes:
        length: Of the header itself.
        phy: None where no rate was told that is understood.
        fcs: The frame ends in its checksum.
        bad: That is wrong.
        tsft_us: The radio's own clock, microseconds.
        signal: dBm.
        ampdu: Frames of one number are of one transmission.
        empty: A preamble without a frame.
        whole_s: How long the transmission is, all its frames together, by its own legacy header.
    """

    length: int
    phy: Phy | None = None
    fcs: bool = False
    bad: bool = False
    tsft_us: int | None = None
    signal: int | None = None
    ampdu: int | None = None
    empty: bool = False
    whole_s: float | None = None


def parse(data: bytes) -> Radio | None:
    """The header at the beginning of a packet; None where there is none, or a broken one."""
    if len(data) < _HEAD.size:
        return None
    version, _, length, present = _HEAD.unpack_from(data)
    if version != 0 or not _HEAD.size <= length <= len(data):
        return None
    places = _places(data, length, present)
    return None if places is None else _radio(data, length, places)


def _places(data: bytes, length: int, present: int) -> dict[int, int] | None:
    """Where each field of radiotap's own namespace first stands."""
    at, words = _HEAD.size, [present]
    while words[-1] & _MORE:
        if at + 4 > length:
            return None
        words.append(*struct.unpack_from("<I", data, at))
        at += 4
    found: dict[int, int] = {}
    for word in words:
        for bit, (align, size) in enumerate(_FIELDS):
            if word & 1 << bit:
                at += -at % align
                if at + size > length:
                    return None
                found.setdefault(bit, at)
                at += size
        if word & 1 << _TLV:
            found[_TLV] = at + -at % 4
        if not word & _RADIOTAP_AGAIN:  # what follows is somebody else's
            break
    return found


def _radio(data: bytes, length: int, places: dict[int, int]) -> Radio:
    flags = data[places[_FLAGS]] if _FLAGS in places else 0
    told = radiotap_wide.tlvs(data, places[_TLV], length) if _TLV in places else {}
    new = _HE in places or radiotap_wide.EHT in told or radiotap_wide.U_SIG in told
    return Radio(
        length=length,
        phy=_phy(data, places, told, short=bool(flags & _SHORT_PREAMBLE)),
        fcs=bool(flags & _FCS),
        bad=bool(flags & _BAD_FCS),
        tsft_us=struct.unpack_from("<Q", data, places[_TSFT])[0] if _TSFT in places else None,
        signal=struct.unpack_from("<b", data, places[_SIGNAL])[0] if _SIGNAL in places else None,
        ampdu=struct.unpack_from("<I", data, places[_AMPDU])[0] if _AMPDU in places else None,
        empty=_PSDU in places,
        whole_s=radiotap_wide.legacy_s(data, places[_L_SIG]) if new and _L_SIG in places else None,
    )


def _phy(data: bytes, places: dict[int, int], told: dict[int, bytes], *, short: bool) -> Phy | None:
    if radiotap_wide.EHT in told or radiotap_wide.U_SIG in told or _HE in places:
        return radiotap_wide.he(data, places[_HE]) if _HE in places else radiotap_wide.eht(told)
    if _VHT in places:
        return _vht(data, places[_VHT])
    if _MCS in places:
        return _ht(data, places[_MCS])
    if _RATE not in places:
        return None
    rate = data[places[_RATE]]
    if rate in _DSSS_RATES:
        return Dsss(rate * 500_000, short)
    return Ofdm(rate * 500_000) if rate in _OFDM_RATES else None


def _ht(data: bytes, at: int) -> Phy | None:
    """The MCS field: known, flags, index."""
    known, flags, index = data[at : at + 3]
    if not known & 0x02:
        return None
    return Ht(
        mcs=index,
        width=_HT_WIDTHS[flags & 0x03] if known & 0x01 else 20,
        short_gi=bool(known & 0x04 and flags & 0x04),
        greenfield=bool(known & 0x08 and flags & 0x08),
        stbc=flags >> 5 & 0x03 if known & 0x20 else 0,
        extension=(flags >> 7 & 1 | known >> 6 & 2) if known & 0x40 else 0,
    )


def _vht(data: bytes, at: int) -> Phy | None:
    """The VHT field of one user; a transmission to several has no one rate."""
    known, flags, width = struct.unpack_from("<HBB", data, at)
    users = data[at + 4 : at + 8]
    streams = [user & 0x0F for user in users]
    if not streams[0] or any(streams[1:]) or width >= len(_VHT_WIDTHS):
        return None
    return Vht(
        mcs=users[0] >> 4,
        streams=streams[0],
        width=_VHT_WIDTHS[width] if known & 0x40 else 20,
        short_gi=bool(known & 0x04 and flags & 0x04),
        stbc=bool(known & 0x01 and flags & 0x01),
    )
