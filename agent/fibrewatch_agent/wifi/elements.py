"""What an access point says of itself in the elements of its beacons. Pure; whatever is sent, nothing here raises.

Source: IEEE 802.11-2020 §9.4.2 (elements), §9.4.2.27 (BSS Load); 802.11ax-2021 §9.4.2.249 (HE Operation); 802.11be D5
§9.4.2.311 (EHT Operation). Anybody may send anything: an element that does not fit its definition is not there.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from fibrewatch.results.wifi_link import Generation
from fibrewatch_agent.wifi.channels import Span, span

_SSID, _LOAD, _HT_CAPABILITIES, _MOBILITY_DOMAIN, _HT_OPERATION = 0, 11, 45, 54, 61
_VHT_CAPABILITIES, _VHT_OPERATION, _EXTENDED = 191, 192, 255
_HE_CAPABILITIES, _HE_OPERATION, _EHT_OPERATION, _EHT_CAPABILITIES = 256 + 35, 256 + 36, 256 + 106, 256 + 108
_LONGEST_SSID = 32
_ABOVE, _BELOW = 1, 3  # HT Operation's secondary channel
_VHT_PRESENT, _COHOSTED, _SIX_PRESENT = 1 << 14, 1 << 15, 1 << 17
_GENERATIONS: tuple[tuple[Generation, int], ...] = (
    ("be", _EHT_CAPABILITIES),
    ("ax", _HE_CAPABILITIES),
    ("ac", _VHT_CAPABILITIES),
    ("n", _HT_CAPABILITIES),
)


class Load(NamedTuple):
    """BSS Load: what an access point says of its own channel.

    Attributes:
        utilisation: Share of time that it senses the medium busy, 0..1.
        admission_capacity: Medium time that it would still admit, seconds a second.
    """

    stations: int
    utilisation: float
    admission_capacity: float


Elements = Mapping[int, bytes]


def parse(data: bytes) -> dict[int, bytes]:
    """The elements by number, 256 + the extension's for extended ones; of two the first counts."""
    found: dict[int, bytes] = {}
    for number, body in _each(data):
        found.setdefault(number, body)
    return found


def _each(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Up to the first that is cut short."""
    at = 0
    while at + 2 <= len(data) and at + 2 + data[at + 1] <= len(data):
        number, body = data[at], data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + len(body)
        if number != _EXTENDED:
            yield number, body
        elif body:
            yield 256 + body[0], body[1:]


def ssid(elements: Elements) -> bytes | None:
    """The network's name; empty when it is hidden, None when none fits."""
    name = elements.get(_SSID)
    if name is None or len(name) > _LONGEST_SSID:
        return None
    return name if any(name) else b""


def load(elements: Elements) -> Load | None:
    """What its BSS Load says."""
    body = elements.get(_LOAD, b"")
    if len(body) != 5:
        return None
    capacity = int.from_bytes(body[3:5], "little")
    return Load(int.from_bytes(body[:2], "little"), body[2] / 255, capacity * 32e-6)


def mobility_domain(elements: Elements) -> bytes | None:
    """Among whose access points keys are carried along (fast transition, §9.4.2.46)."""
    body = elements.get(_MOBILITY_DOMAIN, b"")
    return body[:2] if len(body) == 3 else None


def generation(elements: Elements) -> Generation:
    """The newest physical layer that it offers."""
    return next((name for name, number in _GENERATIONS if number in elements), "legacy")


def spans(elements: Elements, frequency: int) -> tuple[Span, ...]:
    """The air that it takes, from the newest operation element that says so; 20 MHz when none does."""
    for told in (_eht, _he, _vht, _ht):
        if found := told(elements, frequency):
            return found
    return (span(frequency, 20),)


def width(taken: tuple[Span, ...]) -> int:
    """MHz, as a standard counts them: 80+80 is 160, and 802.11b's 22 are 20."""
    total = round(sum(each.high - each.low for each in taken))
    return 20 if total == 22 else total


def _ht(elements: Elements, frequency: int) -> tuple[Span, ...]:
    body = elements.get(_HT_OPERATION, b"")
    if len(body) < 2:
        return ()
    offset = {_ABOVE: 10, _BELOW: -10}.get(body[1] & 3)
    return (span(frequency + offset, 40),) if offset else ()


def _vht(elements: Elements, frequency: int) -> tuple[Span, ...]:
    return _vht_information(elements.get(_VHT_OPERATION, b""), frequency)


def _vht_information(body: bytes, frequency: int) -> tuple[Span, ...]:
    """Width and two centres; 2 and 3 are the old words for 160 and 80+80 MHz."""
    if len(body) < 3 or body[0] not in (1, 2, 3):
        return ()
    if body[0] == 2:
        return _fitting(frequency, (span(_megahertz(body[1], frequency), 160),))
    return _wide(frequency, 80, body[1], body[2])


def _he(elements: Elements, frequency: int) -> tuple[Span, ...]:
    """6 GHz's own information, or VHT's said anew."""
    body = elements.get(_HE_OPERATION, b"")
    if len(body) < 6:
        return ()
    said, at = int.from_bytes(body[:3], "little"), 6
    if said & _VHT_PRESENT:
        if found := _vht_information(body[at : at + 3], frequency):
            return found
        at += 3
    at += 1 if said & _COHOSTED else 0
    six = body[at : at + 5]
    if not said & _SIX_PRESENT or len(six) < 5:
        return ()
    wide = 20 << (six[1] & 3)
    return _wide(frequency, min(wide, 80), six[2], six[3] if wide == 160 else 0)


def _eht(elements: Elements, frequency: int) -> tuple[Span, ...]:
    body = elements.get(_EHT_OPERATION, b"")
    if len(body) < 8 or not body[0] & 1 or body[5] & 7 > 4:
        return ()
    wide = 20 << (body[5] & 7)
    segment = body[7] if wide >= 160 else body[6]
    return _fitting(frequency, (span(_megahertz(segment, frequency), wide),))


def _wide(frequency: int, width: int, first: int, second: int) -> tuple[Span, ...]:
    """One centre for a channel; a second tells 160 MHz around it, or another 80 (Table 9-253)."""
    if second and abs(second - first) == 8:
        return _fitting(frequency, (span(_megahertz(second, frequency), 160),))
    taken = [span(_megahertz(first, frequency), width)]
    if second and abs(second - first) > 16:
        taken.append(span(_megahertz(second, frequency), 80))
    return _fitting(frequency, tuple(taken))


def _megahertz(number: int, frequency: int) -> int:
    """The centre that a channel's number stands for in this frequency's band."""
    return 5 * number + (5950 if frequency > 5925 else 5000 if frequency > 4000 else 2407)


def _fitting(frequency: int, taken: tuple[Span, ...]) -> tuple[Span, ...]:
    """Nothing, unless the primary channel is in there: who says otherwise says nothing."""
    return taken if any(each.low <= frequency - 10 and frequency + 10 <= each.high for each in taken) else ()
