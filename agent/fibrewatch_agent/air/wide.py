"""How long frames of 802.11ax and 802.11be take: IEEE Std 802.11ax-2021 §27.4.3, IEEE Std 802.11be-2024 §36.4.3. Pure.

Where the radio tells the legacy header's length, that says how long the whole transmission is (§27.3.11.5), whatever is
in it: a receiver of the first generation waits by it. Else it is computed for transmissions to one receiver; the packet
extension behind them, up to 16 or 20 µs, is nowhere told, and left out.
"""

from typing import NamedTuple

_LEGACY_S, _REPEATED_S, _SIG_A_S, _SIG_A_LONG_S, _STF_S = 20e-6, 4e-6, 8e-6, 16e-6, 4e-6
_SIG_SYMBOL_S, _SYMBOL_S = 4e-6, 12.8e-6
_SERVICE_BITS, _TAIL_BITS = 16, 6
_TRAINING = (0, 1, 2, 4, 4, 6, 6, 8, 8)
_SCHEMES = (
    *((1, 1, 2), (2, 1, 2), (2, 3, 4), (4, 1, 2), (4, 3, 4), (6, 2, 3), (6, 3, 4), (6, 5, 6)),
    *((8, 3, 4), (8, 5, 6), (10, 3, 4), (10, 5, 6), (12, 3, 4), (12, 5, 6)),
)
"""Coded bits on a subcarrier, and the code's rate, by the index of modulation and coding."""
_HALF = 2  # dual carrier modulation sends each bit twice
_L_SYMBOL_S, _L_OCTETS = 4e-6, 3


class Wide(NamedTuple):
    """A transmission of 802.11ax or 802.11be to one receiver.

    Attributes:
        streams: In space and time.
        subcarriers: With data: 234 in 20 MHz, 468, 980, 1960, 3920.
        guard_s: The guard interval; training symbols of `training_s` have it too.
        sig_s: HE-SIG-A, or U-SIG and EHT-SIG.
    """

    mcs: int
    streams: int
    subcarriers: int
    guard_s: float = 0.8e-6
    training_s: float = 6.4e-6
    ldpc: bool = True
    stbc: bool = False
    dcm: bool = False
    sig_s: float = _SIG_A_S

    @property
    def known(self) -> bool:
        """Whether there is an airtime."""
        return self.mcs < len(_SCHEMES) and 1 <= self.streams < len(_TRAINING) and self.bits > 0

    @property
    def bits(self) -> int:
        """Of data, in a symbol."""
        coded, num, den = _SCHEMES[self.mcs]
        in_space = self.streams // 2 if self.stbc else self.streams
        return self.subcarriers * coded * in_space * num // den // (_HALF if self.dcm else 1)

    @property
    def preamble_s(self) -> float:
        """20 µs, the repeated header, SIG, STF, training."""
        training = _TRAINING[self.streams] * (self.training_s + self.guard_s)
        return _LEGACY_S + _REPEATED_S + self.sig_s + _STF_S + training

    def data_s(self, octets: int) -> float:
        """Whole symbols, twice as many at a time with space-time block coding."""
        bits, at_a_time = 8 * octets + _SERVICE_BITS + (0 if self.ldpc else _TAIL_BITS), 2 if self.stbc else 1
        return at_a_time * -(-bits // (self.bits * at_a_time)) * (_SYMBOL_S + self.guard_s)


def sig_s(*, extended: bool = False, eht_symbols: int | None = None) -> float:
    """HE-SIG-A, twice as long in an extended range; or U-SIG and so many symbols of EHT-SIG."""
    if eht_symbols is not None:
        return _SIG_A_S + eht_symbols * _SIG_SYMBOL_S
    return _SIG_A_LONG_S if extended else _SIG_A_S


def announced_s(legacy_length: int) -> float:
    """How long a transmission is whose legacy header tells that length: to the end of its last 4 µs (§27.3.11.5)."""
    return _LEGACY_S + -(-(legacy_length + _L_OCTETS) // _L_OCTETS) * _L_SYMBOL_S
