"""How long a frame is on the air: its preamble and its symbols, by IEEE Std 802.11-2020. Pure.

DSSS and HR/DSSS §16.3.4, OFDM §17.4.3, ERP §18.5.3, HT §19.4.3, VHT §21.4.3 (TXTIME). Two parts of TXTIME are left out,
since nothing is sent in them: the 6 µs of signal extension at 2.4 GHz, and the rounding of short guard intervals to
whole 4 µs. Binary convolutional coding is assumed; LDPC may take a symbol more.
"""

import math
from typing import NamedTuple

from fibrewatch_agent.air.wide import Wide

_SERVICE_BITS, _TAIL_BITS = 16, 6
_SYMBOL_S, _SHORT_SYMBOL_S = 4e-6, 3.6e-6
_LEGACY_S = 20e-6
_SUBCARRIERS = {20: 52, 40: 108, 80: 234, 160: 468}
_SCHEMES = (
    (1, 1, 2),
    (2, 1, 2),
    (2, 3, 4),
    (4, 1, 2),
    (4, 3, 4),
    (6, 2, 3),
    (6, 3, 4),
    (6, 5, 6),
    (8, 3, 4),
    (8, 5, 6),
)
"""Coded bits on a subcarrier, and the code's rate, by the index of modulation and coding."""
_TRAINING = (0, 1, 2, 4, 4, 6, 6, 8, 8)
"""Long training fields for so many space-time streams (tables 19-13 and 21-13)."""
_EXTENSION = (0, 1, 2, 4)
_HT_ENCODER_BPS, _VHT_ENCODER_BPS = 300e6, 600e6
_DUPLICATE = 32
_LONG_PLCP_S, _SHORT_PLCP_S, _SLOWEST = 192e-6, 96e-6, 1_000_000
_DELIMITER, _ALIGN = 4, 4


class Dsss(NamedTuple):
    """1 and 2 Mbit/s, and CCK's 5.5 and 11; `rate` in bits a second."""

    rate: int
    short_preamble: bool = False

    @property
    def preamble_s(self) -> float:
        """PLCP preamble and header; 1 Mbit/s has the long ones only."""
        return _SHORT_PLCP_S if self.short_preamble and self.rate > _SLOWEST else _LONG_PLCP_S

    def data_s(self, octets: int) -> float:
        """Rounded up to whole microseconds (§16.3.4)."""
        return math.ceil(8 * octets * 1_000_000 / self.rate) * 1e-6


class Ofdm(NamedTuple):
    """802.11a and g; `rate` in bits a second."""

    rate: int

    @property
    def preamble_s(self) -> float:
        """Training and SIGNAL."""
        return _LEGACY_S

    def data_s(self, octets: int) -> float:
        """Whole symbols."""
        per_symbol = self.rate * 4 // 1_000_000
        return -(-(_SERVICE_BITS + _TAIL_BITS + 8 * octets) // per_symbol) * _SYMBOL_S


class Ht(NamedTuple):
    """802.11n.

    Attributes:
        mcs: 0 to 31 and 32; those of unequal modulation have no airtime here.
        width: MHz.
        stbc: Streams more in space and time than in space.
        extension: Spatial streams that only sound the channel.
    """

    mcs: int
    width: int = 20
    short_gi: bool = False
    greenfield: bool = False
    stbc: int = 0
    extension: int = 0

    @property
    def known(self) -> bool:
        """Whether there is an airtime."""
        if self.mcs == _DUPLICATE:
            return self.width == 40
        return self.mcs < _DUPLICATE and self.streams + self.stbc <= 4

    @property
    def streams(self) -> int:
        """Spatial ones."""
        return 1 if self.mcs == _DUPLICATE else self.mcs // 8 + 1

    @property
    def preamble_s(self) -> float:
        """Mixed format: 20 µs, HT-SIG, HT-STF, training. Greenfield: GF-STF, LTF1, HT-SIG, the other training."""
        training = _TRAINING[self.streams + self.stbc] + _EXTENSION[self.extension]
        if self.greenfield:
            return 24e-6 + (training - 1) * _SYMBOL_S
        return _LEGACY_S + 12e-6 + training * _SYMBOL_S

    def data_s(self, octets: int) -> float:
        """Whole symbols, twice as many at a time with space-time block coding."""
        per_symbol = 24 if self.mcs == _DUPLICATE else _bits(self.mcs % 8, self.width, self.streams)
        encoders = 1 if per_symbol / _SYMBOL_S <= _HT_ENCODER_BPS else 2
        return _symbols(octets, per_symbol, encoders, 2 if self.stbc else 1) * _symbol_s(short=self.short_gi)


class Vht(NamedTuple):
    """802.11ac, to one receiver; `streams` are those in space, `width` is in MHz."""

    mcs: int
    streams: int
    width: int = 20
    short_gi: bool = False
    stbc: bool = False

    @property
    def known(self) -> bool:
        """Whether there is an airtime."""
        return self.mcs < len(_SCHEMES) and self.streams * (2 if self.stbc else 1) <= 8

    @property
    def preamble_s(self) -> float:
        """20 µs, VHT-SIG-A, VHT-STF, training, VHT-SIG-B."""
        return _LEGACY_S + 16e-6 + _TRAINING[self.streams * (2 if self.stbc else 1)] * _SYMBOL_S

    def data_s(self, octets: int) -> float:
        """Whole symbols."""
        per_symbol = _bits(self.mcs, self.width, self.streams)
        encoders = math.ceil(per_symbol / _SYMBOL_S / _VHT_ENCODER_BPS)
        return _symbols(octets, per_symbol, encoders, 2 if self.stbc else 1) * _symbol_s(short=self.short_gi)


Phy = Dsss | Ofdm | Ht | Vht | Wide


def known(phy: Phy) -> bool:
    """Whether it has an airtime that we can tell."""
    return phy.known if isinstance(phy, Ht | Vht | Wide) else True


def airtime_s(phy: Phy, octets: int) -> float:
    """Of a frame alone; octets with the checksum."""
    return phy.preamble_s + phy.data_s(octets)


def subframe(octets: int) -> int:
    """What a frame takes in an A-MPDU (§9.7.1): its delimiter, and padding to whole words."""
    return _DELIMITER + octets + -octets % _ALIGN


def _bits(scheme: int, width: int, streams: int) -> int:
    coded, num, den = _SCHEMES[scheme]
    return _SUBCARRIERS[width] * coded * streams * num // den


def _symbols(octets: int, per_symbol: int, encoders: int, at_a_time: int) -> int:
    bits = 8 * octets + _SERVICE_BITS + _TAIL_BITS * encoders
    return at_a_time * -(-bits // (per_symbol * at_a_time))


def _symbol_s(*, short: bool) -> float:
    return _SHORT_SYMBOL_S if short else _SYMBOL_S
