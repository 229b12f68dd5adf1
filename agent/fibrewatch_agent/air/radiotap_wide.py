"""What radiotap's newer fields say of a frame: HE (bit 23), L-SIG (27), and in TLVs U-SIG (33) and EHT (34). Pure.

Source: radiotap.org, fields HE, L-SIG, TLV, U-SIG and EHT.
"""

import struct

from fibrewatch_agent.air.wide import Wide, announced_s, sig_s

_HE = struct.Struct("<6H")
_SU, _EXTENDED = 0, 1
_MCS_KNOWN, _WIDTH_KNOWN, _CODING_KNOWN, _STBC_KNOWN, _DCM_KNOWN = 0x0020, 0x4000, 0x0080, 0x0200, 0x0040
_DCM, _LDPC, _STBC = 0x1000, 0x2000, 0x8000
_GI_KNOWN = 0x0002
_HE_SUBCARRIERS = (234, 468, 980, 1960, 24, 48, 102, 234, 468, 980, 1960)
_GUARDS_S = (0.8e-6, 1.6e-6, 3.2e-6)
_TRAININGS_S = {1: 3.2e-6, 2: 6.4e-6, 3: 12.8e-6}
_LENGTH_KNOWN = 0x0002
_TLV = struct.Struct("<HH")
U_SIG, EHT = 33, 34
_BW_KNOWN, _BAD = 0x2, 0x20
_EHT_SUBCARRIERS = (234, 468, 980, 1960, 3920, 3920)  # 320 MHz has two plans of channels
_EHT_GI_KNOWN, _USERS_AT = 0x4, 40
_USER_MCS_KNOWN, _USER_CODING_KNOWN, _USER_NSS_KNOWN = 0x2, 0x4, 0x10
_COMPRESSION, _ONE_USER, _SYMBOLS = 0xC0, 0x40, 0x1F
_LEAST_SYMBOLS = 2  # what one user's EHT-SIG takes at its lowest rate


def he(data: bytes, at: int) -> Wide | None:
    """Of one receiver; others' length is not told here."""
    known, known2, flags, _, shape, streams = _HE.unpack_from(data, at)
    form, width, mcs = known & 3, shape & 0x0F, flags >> 8 & 0x0F
    if form not in (_SU, _EXTENDED) or known & (_MCS_KNOWN | _WIDTH_KNOWN) != _MCS_KNOWN | _WIDTH_KNOWN:
        return None
    if width >= len(_HE_SUBCARRIERS) or not streams & 0x0F:
        return None
    guard = _guard(shape >> 4 & 3 if known2 & _GI_KNOWN else 0)
    return _fit(
        Wide(
            mcs=mcs,
            streams=streams & 0x0F,
            subcarriers=_HE_SUBCARRIERS[width],
            guard_s=guard,
            training_s=_TRAININGS_S.get(shape >> 6 & 3, _usual_training(guard)),
            ldpc=bool(flags & _LDPC) if known & _CODING_KNOWN else True,
            stbc=bool(known & _STBC_KNOWN and flags & _STBC),
            dcm=bool(known & _DCM_KNOWN and flags & _DCM),
            sig_s=sig_s(extended=form == _EXTENDED),
        )
    )


def legacy_s(data: bytes, at: int) -> float | None:
    """How long the whole transmission is, where the legacy header's length is told."""
    known, told = struct.unpack_from("<HH", data, at)
    return announced_s(told >> 4) if known & _LENGTH_KNOWN and told >> 4 else None


def tlvs(data: bytes, at: int, end: int) -> dict[int, bytes]:
    """By type, the first of each; what is cut short is left out."""
    found: dict[int, bytes] = {}
    while at + _TLV.size <= end:
        kind, length = _TLV.unpack_from(data, at)
        at += _TLV.size
        if at + length > end:
            break
        found.setdefault(kind, data[at : at + length])
        at += length + -length % 4
    return found


def eht(told: dict[int, bytes]) -> Wide | None:
    """Of one receiver, by what U-SIG and the receiver's own word in EHT say."""
    common, value, mask = _words(told.get(U_SIG, b""), 3)
    words = _words(told.get(EHT, b""), max(_USERS_AT, len(told.get(EHT, b""))) // 4)
    known, shape, users, width = words[0], words[1], words[_USERS_AT // 4 :], common >> 15 & 7
    others = mask & _COMPRESSION == _COMPRESSION and value & _COMPRESSION != _ONE_USER
    if len(users) != 1 or others or not common & _BW_KNOWN or common & _BAD or width >= len(_EHT_SUBCARRIERS):
        return None
    if users[0] & (_USER_MCS_KNOWN | _USER_NSS_KNOWN) != _USER_MCS_KNOWN | _USER_NSS_KNOWN:
        return None
    guard, symbols_known = _guard(shape >> 7 & 3 if known & _EHT_GI_KNOWN else 0), mask >> 17 & _SYMBOLS == _SYMBOLS
    return _fit(
        Wide(
            mcs=users[0] >> 20 & 0x0F,
            streams=(users[0] >> 24 & 0x0F) + 1,
            subcarriers=_EHT_SUBCARRIERS[width],
            guard_s=guard,
            training_s=_TRAININGS_S.get((shape >> 9 & 3) if known & _EHT_GI_KNOWN else 0, _usual_training(guard)),
            ldpc=bool(users[0] & 0x80000) if users[0] & _USER_CODING_KNOWN else True,
            sig_s=sig_s(eht_symbols=(value >> 17 & _SYMBOLS) + 1 if symbols_known else _LEAST_SYMBOLS),
        )
    )


def _words(data: bytes, count: int) -> tuple[int, ...]:
    """So many, zeroes where a writer left out the rest."""
    return struct.unpack(f"<{count}I", data[: 4 * count].ljust(4 * count, b"\0"))


def _guard(told: int) -> float:
    return _GUARDS_S[told] if told < len(_GUARDS_S) else _GUARDS_S[0]


def _usual_training(guard_s: float) -> float:
    """Twice the shortest, and the long one with the longest guard interval."""
    return _TRAININGS_S[3 if guard_s > _GUARDS_S[1] else 2]


def _fit(wide: Wide) -> Wide | None:
    return wide if wide.known else None
