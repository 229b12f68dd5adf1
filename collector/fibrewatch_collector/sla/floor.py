"""What no operator can beat: the time of light in fibre along the great circle. Pure."""

import math
from typing import NamedTuple

FIBRE_M_PER_S = 299_792_458 / 1.468
"""Group index of G.652 fibre: 1.4676 at 1310 nm, 1.4682 at 1550 nm (data sheets, Corning SMF-28)."""
EARTH_M = 6_371_008.8
"""Mean radius (IUGG)."""
ONE_WAY = ("owd",)
ROUND_TRIP = ("rtt", "connect")
"""What a field's name begins with, that contains the way once, or there and back."""


class Place(NamedTuple):
    """Degrees, north and east."""

    latitude: float
    longitude: float


def distance(one: Place, other: Place) -> float:
    """Metres along the great circle (haversine)."""
    here, there = math.radians(one.latitude), math.radians(other.latitude)
    east = math.radians(other.longitude - one.longitude)
    half = math.sin((there - here) / 2) ** 2 + math.cos(here) * math.cos(there) * math.sin(east / 2) ** 2
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(half)))


def least(metres: float, field: str) -> float:
    """Seconds that a delay of this name takes at least."""
    ways = 1 if field.startswith(ONE_WAY) else 2
    return ways * metres / FIBRE_M_PER_S


def has_floor(field: str) -> bool:
    """Whether a delay of this name contains the way."""
    return field.startswith(ONE_WAY + ROUND_TRIP)
