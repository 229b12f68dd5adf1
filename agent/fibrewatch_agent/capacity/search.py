"""The load rate adjustment algorithm of RFC 9097 §8.1 (TR-471's and Y.1540 Annex B's type B). Pure."""

from dataclasses import dataclass
from typing import NamedTuple

FEEDBACK_S = 0.05
SILENCE_S = 1.0
"""Without a report the sender stops, without packets the receiver (RFC 9097 §8.1)."""
_MBIT = 1e6 / 8
_HIGH_SPEED = 1000
"""The table's row of 1 Gbit/s: below it the search goes in great steps until it met congestion."""
_TOP = 1090
_FAST, _BACK = 10, 3
_CONSECUTIVE = 3
_ERRORS = 10


def rate_of(row: int) -> float:
    """Bytes of IP per second: 0.5 Mbit/s, then steps of 1 Mbit/s to 1 Gbit/s, and of 100 Mbit/s to 10 Gbit/s."""
    if row == 0:
        return 0.5 * _MBIT
    return row * _MBIT if row <= _HIGH_SPEED else (_HIGH_SPEED + (row - _HIGH_SPEED) * 100) * _MBIT


class Seen(NamedTuple):
    """What the receiver saw since its last report.

    Attributes:
        errors: Packets lost, out of order or twice.
        delay_s: Mean one-way delay above the least of the test; None without packets.
    """

    packets: int
    errors: int
    delay_s: float | None


@dataclass(slots=True)
class Search:
    """The row of the table at which to send.

    Attributes:
        most: Bytes per second that must not be exceeded.
        met: In how many reports there was congestion.
        top: The greatest rate so far.
    """

    most: float
    tolerated_loss: float
    lower_s: float
    upper_s: float
    row: int = 0
    met: int = 0
    top: float = 0.0
    _congested: int = 0

    @property
    def rate(self) -> float:
        """To send at, bytes of IP per second."""
        return min(rate_of(self.row), self.most)

    def report(self, seen: Seen) -> None:
        """Takes a report and moves."""
        threshold = max(_ERRORS, self.tolerated_loss * (seen.packets + seen.errors))
        if seen.errors > threshold or (seen.delay_s or 0.0) > self.upper_s:
            self._lower()
        elif seen.delay_s is not None and seen.delay_s < self.lower_s:
            self._raise()
        self.top = max(self.top, self.rate)

    def _raise(self) -> None:
        if rate_of(self.row) >= self.most:
            return
        if self.row < _HIGH_SPEED and self._congested < _CONSECUTIVE:
            self.row, self._congested = min(self.row + _FAST, _HIGH_SPEED), 0
        else:
            self.row = min(self.row + 1, _TOP)

    def _lower(self) -> None:
        self.met += 1
        self._congested += 1
        back = _FAST * _BACK if self.row < _HIGH_SPEED and self._congested == _CONSECUTIVE else 1
        self.row = max(0, self.row - back)
