"""How well speech is heard over a line: the E-model, narrowband (ITU-T G.107) and wideband (ITU-T G.107.1).

Editions: G.107 (06/2015), G.107.1 (06/2019) with Corrigendum 1 (01/2020), G.113 (09/2024) for the codecs' factors.
All that a line does not decide (loudness, noise, echo of the terminals) stands at the default of G.107 Table 3, so that
a line without loss and delay has R = 93.2 (G.107 §7.7). These are planning figures: comparable with each other and with
a threshold, not an opinion that a listener gave; and a narrowband and a wideband R are on different scales.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

# G.107 Table 3, defaults: loudness ratings of sending, receiving and sidetone, listener sidetone (dB), D-value,
# talker echo loudness, weighted echo path loss (dB), circuit noise, noise floor (dBm0p, dBmp), room noises (dB(A)),
# quantizing distortion units.
_SLR, _RLR, _STMR, _LSTR, _DS = 8.0, 2.0, 15.0, 18.0, 3.0
_TELR, _WEPL = 65.0, 110.0
_NC, _NFOR, _PS, _PR = -70.0, -64.0, 35.0, 35.0
_QDU = 1.0
_MT_MS, _ST = 100.0, 1.0  # G.107 Table 1, delay sensitivity class "default"
_RO_WB = 129.0  # G.107.1 eq. 7-2
_NFOR_WB = -96.0  # G.107.1 Table 1, noise floor, dBm0p
_WB_SCALE = 1.29  # G.107.1 eqs. 7-13, A-1
_IE_LIMIT = 95.0  # G.107 eq. 7-29 and, unscaled, G.107.1 eq. 7-15


class Codec(NamedTuple):
    """How a codec suffers.

    Attributes:
        impairment: Ie, or Ie,WB where wideband.
        robustness: Bpl.
        delay_s: Packetization and look-ahead.
    """

    impairment: float
    robustness: float
    delay_s: float
    wideband: bool


G711_PLC = Codec(0.0, 25.1, 0.020, wideband=False)
"""G.711 with the concealment of its Appendix I: Ie and, for random loss, Bpl of G.113 Appendix I; packets of 20 ms."""
AMR_WB_12_65 = Codec(20.0, 4.3, 0.025, wideband=True)
"""AMR-WB (G.722.2) at 12.65 kbit/s heard with both ears: G.113 Table IV.3 and, for random loss, Table IV.4.

There is no Bpl for one ear (Table IV.1 has Ie,WB = 13), nor for other loss than random. Frames of 20 ms and 5 ms of
look-ahead (G.722.2 §5.1).
"""


class Rating(NamedTuple):
    """R of the codec's own scale (93.2 at best narrowband, 129 wideband), and the mean opinion score, 1 to 4.5."""

    r: float
    mos: float


def rate(codec: Codec, delay_s: float, loss_ratio: float, burst_ratio: float = 1.0) -> Rating:
    """R and MOS of a conversation (G.107 eq. 7-1, G.107.1 eq. 7-1); the advantage factor A is 0.

    Args:
        delay_s: From mouth to ear, one way: Ta; echo comes back after twice that.
        loss_ratio: Packets that are not played, those that came too late for it included: 0..1.
        burst_ratio: See `burst_ratio`; G.107.1 knows random loss only and takes none.
    """
    delay_ms, loss_percent = delay_s * 1e3, loss_ratio * 100
    if codec.wideband:
        r = _RO_WB - _delay_wideband(delay_ms) - _equipment(codec, loss_percent, 1.0)
        return Rating(r, mos(r / _WB_SCALE))  # G.107.1 Annex A
    noise = _noise(_NFOR)
    r0 = 15 - 1.5 * (_SLR + noise)  # eq. 7-2
    simultaneous = _loudness(noise) + _sidetone(delay_ms) + _quantizing(r0)  # eq. 7-8
    r = r0 - simultaneous - _delay(delay_ms, noise, r0) - _equipment(codec, loss_percent, burst_ratio)
    return Rating(r, mos(r))


def mos(r: float) -> float:
    """Mean opinion score of a rating (G.107 Annex B, eq. B-4)."""
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def burst_ratio(lost: Sequence[bool]) -> float:
    """Mean length of the runs of losses over that expected of random loss, 1 / (1 - Ppl) (G.107 §7.5); 1 without loss.

    Below 1 the losses are more even than random ones; G.107 Table 3 takes 1 to 8.
    """
    runs = [sum(1 for _ in run) for gone, run in itertools.groupby(lost) if gone]
    if not runs or (len(runs) == 1 and runs[0] == len(lost)):
        return 1.0
    return sum(runs) / len(runs) * (1 - sum(runs) / len(lost))


def _equipment(codec: Codec, loss_percent: float, burst: float) -> float:
    """Ie-eff (G.107 eq. 7-29, G.107.1 eq. 7-15)."""
    if loss_percent <= 0:
        return codec.impairment
    damage = loss_percent / (loss_percent / max(1.0, burst) + codec.robustness)
    return codec.impairment + (_IE_LIMIT - codec.impairment) * damage


def _noise(floor: float) -> float:
    """No, the sum of all noise, dBm0p (G.107 eqs. 7-3 to 7-7)."""
    olr = _SLR + _RLR
    sending = _PS - _SLR - _DS - 100 + 0.004 * (_PS - olr - _DS - 14) ** 2
    room = _PR + 10 * math.log10(1 + 10 ** ((10 - _LSTR) / 10))
    receiving = _RLR - 121 + room + 0.008 * (room - 35) ** 2
    return 10 * math.log10(sum(10 ** (level / 10) for level in (_NC, sending, receiving, floor + _RLR)))


def _loudness(noise: float) -> float:
    """Iolr (G.107 eqs. 7-9, 7-10)."""
    x = _SLR + _RLR + 0.2 * (64 + noise - _RLR)
    return 20 * (math.pow(1 + (x / 8) ** 8, 1 / 8) - x / 8)


def _sidetone(delay_ms: float) -> float:
    """Ist (G.107 eqs. 7-11, 7-12)."""
    stmr = -10 * math.log10(10 ** (-_STMR / 10) + math.exp(-delay_ms / 4) * 10 ** (-_TELR / 10))
    return (
        12 * math.pow(1 + ((stmr - 13) / 6) ** 8, 1 / 8)
        - 28 * math.pow(1 + ((stmr + 1) / 19.4) ** 35, 1 / 35)
        - 13 * math.pow(1 + ((stmr - 3) / 33) ** 13, 1 / 13)
        + 29
    )


def _quantizing(r0: float) -> float:
    """Iq (G.107 eqs. 7-13 to 7-17)."""
    q = 37 - 15 * math.log10(_QDU)
    g = 1.07 + 0.258 * q + 0.0602 * q * q
    y = (r0 - 100) / 15 + 46 / 8.4 - g / 9
    z = 46 / 30 - g / 40
    return 15 * math.log10(1 + 10**y + 10**z)


def _delay(delay_ms: float, noise: float, r0: float) -> float:
    """Id = Idte + Idle + Idd (G.107 eq. 7-18)."""
    return _talker_echo(delay_ms, noise) + _listener_echo(delay_ms, r0) + _absolute_delay(delay_ms)


def _delay_wideband(delay_ms: float) -> float:
    """Id,WB = Idte,WB + Idle,WB + Idd,WB (G.107.1 eq. 7-4)."""
    return _talker_echo_wideband(delay_ms) + _listener_echo(delay_ms, _RO_WB) + _WB_SCALE * _absolute_delay(delay_ms)


def _talker_echo(delay_ms: float, noise: float) -> float:
    """Idte (G.107 eqs. 7-19 to 7-22); an echo within 1 ms is heard as sidetone."""
    return 0.0 if delay_ms < 1 else _echo(delay_ms, noise, 80 + 2.5 * (_echo_loss(delay_ms) - 14))


def _talker_echo_wideband(delay_ms: float) -> float:
    """Idte,WB (G.107.1 eqs. 7-5 to 7-10).

    G.107.1 leaves the noise of wideband lines for further study: it is that of G.107 with G.107.1's own noise floor.
    """
    k = min(18.0, 0.08 * delay_ms + 10)
    return _echo(delay_ms, _noise(_NFOR_WB), 80 + 3 * (_echo_loss(delay_ms) + k - 14))


def _echo_loss(delay_ms: float) -> float:
    """TERV, dB (G.107 eq. 7-22)."""
    return _TELR - 40 * math.log10((1 + delay_ms / 10) / (1 + delay_ms / 150)) + 6 * math.exp(-0.3 * delay_ms**2)


def _echo(delay_ms: float, noise: float, re: float) -> float:
    """What both of the talker's echoes have in common (G.107 eq. 7-19, G.107.1 eq. 7-5)."""
    distance = -1.5 * (noise - _RLR) - re
    return (distance / 2 + math.sqrt(distance**2 / 4 + 100) - 1) * (1 - math.exp(-delay_ms))


def _listener_echo(delay_ms: float, r0: float) -> float:
    """Idle, of the round trip (G.107 eqs. 7-25, 7-26; G.107.1 eqs. 7-11, 7-12)."""
    distance = r0 - 10.5 * (_WEPL + 7) * math.pow(2 * delay_ms + 1, -0.25)
    return distance / 2 + math.sqrt(distance**2 / 4 + 169)


def _absolute_delay(delay_ms: float) -> float:
    """Idd (G.107 eqs. 7-27, 7-28; G.107.1 eq. 7-13 but for its factor): nothing up to 100 ms."""
    if delay_ms <= _MT_MS:
        return 0.0
    x, power = math.log2(delay_ms / _MT_MS), 6 * _ST
    return 25 * (math.pow(1 + math.pow(x, power), 1 / power) - 3 * math.pow(1 + math.pow(x / 3, power), 1 / power) + 2)
