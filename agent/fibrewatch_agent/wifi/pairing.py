"""What the Wi-Fi costs beyond the wire, and which of the two is to blame. Pure."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from fibrewatch import stats
from fibrewatch.results.wifi_paired import Attribution, Finding, Limits, Result, Side

_Z_ONE_SIDED_95 = 1.6448536269514722


class _Finding(NamedTuple):
    """What one kind of figure says of both sides; None: it can't be told."""

    what: Finding
    fibre: bool | None
    air: bool | None


def compared(wire: Side, wifi: Side, limits: Limits, within_s: float) -> Result:
    """Both sides, their differences and the verdict."""
    found = [_loss(wire, wifi, limits), _rtt(wire, wifi, limits), _goodput(wire, wifi, limits, within_s)]
    told = [each for each in found if each.fibre is not None and each.air is not None]
    air, fibre = ([each.what for each in found if getattr(each, side)] for side in ("air", "fibre"))
    judged = bool(told)
    losses = _loss_ratio(wire), _loss_ratio(wifi)
    goodputs = _usable(wire), _usable(wifi)
    near = _together(wire, wifi, within_s) and wifi.verdict == "valid"
    return Result(
        wire_rtt_p50=wire.rtt_p50,
        wifi_rtt_p50=wifi.rtt_p50,
        air_rtt_p50=_less(wifi.rtt_p50, wire.rtt_p50),
        wire_rtt_p95=wire.rtt_p95,
        wifi_rtt_p95=wifi.rtt_p95,
        air_rtt_p95=_less(wifi.rtt_p95, wire.rtt_p95),
        wire_loss_ratio=losses[0],
        wifi_loss_ratio=losses[1],
        air_loss_ratio=_less(losses[1], losses[0]),
        wire_goodput=goodputs[0],
        wifi_goodput=goodputs[1],
        air_goodput=_less(*goodputs) if near else None,
        air_at_fault=bool(air) if judged else None,
        fibre_at_fault=bool(fibre) if judged else None,
        attribution=_attribution(air=bool(air), fibre=bool(fibre)) if judged else None,
        air=tuple(air) if judged else (),
        fibre=tuple(fibre) if judged else (),
        judged=tuple(each.what for each in told),
        wire=wire,
        wifi=wifi,
    )


def _attribution(*, air: bool, fibre: bool) -> Attribution:
    if air and fibre:
        return "both"
    return "air" if air else "fibre" if fibre else "neither"


def _loss(wire: Side, wifi: Side, limits: Limits) -> _Finding:
    if not wire.sent or not wifi.sent:
        return _Finding("loss", None, None)
    by_wire, by_wifi = (wire.lost or 0, wire.sent), (wifi.lost or 0, wifi.sent)
    return _Finding(
        "loss",
        fibre=wilson(*by_wire)[0] > limits.fibre_loss_ratio,
        air=surely_more(by_wifi, by_wire) > limits.air_loss_ratio,
    )


def _rtt(wire: Side, wifi: Side, limits: Limits) -> _Finding:
    more = _less(wifi.rtt_p95, wire.rtt_p95)
    fibre = None if wire.rtt_p95 is None else wire.rtt_p95 > limits.fibre_rtt_s
    return _Finding("rtt", fibre=fibre, air=None if more is None else more > limits.air_rtt_s)


def _goodput(wire: Side, wifi: Side, limits: Limits, within_s: float) -> _Finding:
    """A bound shows that enough is carried, never that too little is."""
    by_wire, by_wifi = _usable(wire), _usable(wifi)
    fibre = False if limits.fibre_goodput is None else _below(wire, limits.fibre_goodput)
    if by_wire is None or by_wifi is None or not _together(wire, wifi, within_s):
        return _Finding("goodput", None if by_wire is None else fibre, None)
    if wire.verdict == "valid":
        return _Finding("goodput", fibre, _below(wifi, min(limits.air_goodput, limits.air_share * by_wire)))
    # the wire carries at least that: what is too little for this is too little, what reaches the absolute is enough
    sure = _below(wifi, min(limits.air_goodput, limits.air_share * by_wire))
    return _Finding("goodput", fibre, sure or _below(wifi, limits.air_goodput, unknown=True))


def _below(side: Side, limit: float, *, unknown: bool = False) -> bool | None:
    """Whether a side carries less than a limit; None where that can't be told. `unknown`: nor if it seems to."""
    goodput = _usable(side)
    if goodput is None:
        return None
    if goodput >= limit:
        return False
    return True if side.verdict == "valid" and not unknown else None


def _usable(side: Side) -> float | None:
    """What a transfer proves; an invalid one proves nothing."""
    return None if side.verdict == "invalid" else side.goodput


def _together(wire: Side, wifi: Side, within_s: float) -> bool:
    """Whether both transfers ran in the same short while."""
    if wire.begins is None or wifi.begins is None:
        return False
    return abs(wifi.begins - wire.begins) <= within_s


def _loss_ratio(side: Side) -> float | None:
    return None if side.sent is None else stats.loss_ratio(side.sent, side.lost or 0)


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def wilson(count: int, n: int, z: float = _Z_ONE_SIDED_95) -> tuple[float, float]:
    """The score interval of a share (E. B. Wilson, JASA 22, 1927); either end holds with 95 % by itself."""
    share, z2 = count / n, z * z
    middle, spread = share + z2 / (2 * n), z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low, high = (middle - spread) / (1 + z2 / n), (middle + spread) / (1 + z2 / n)
    return (0.0 if count == 0 else low), (1.0 if count == n else high)


def surely_more(one: tuple[int, int], other: tuple[int, int]) -> float:
    """The low end of the difference of two shares (count, n).

    R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17
    (1998), 873–890, method 10.
    """
    p, q = one[0] / one[1], other[0] / other[1]
    low, high = wilson(*one)[0], wilson(*other)[1]
    return p - q - math.sqrt((p - low) ** 2 + (high - q) ** 2)


def reasons(wire: Side, wifi: Side) -> Iterator[str]:
    """Why a side's transfer proves less than it seems, named by the side."""
    for name, side in (("wire", wire), ("wifi", wifi)):
        yield from (f"{name}_{reason}"[:40] for reason in side.reasons)
        if side.sent and side.error is not None:
            yield f"{name}_transfer_failed"
