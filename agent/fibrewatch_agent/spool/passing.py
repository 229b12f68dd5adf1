"""How much time has passed, by what the rows tell: a clock set years ahead makes nothing old."""

LEAP_S = 86_400.0
"""So much may pass between one row and the next; what is beyond it was the clock, or the box was off."""


class Passing:
    """Told the start of each row, in the order of the rows, UTC seconds."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._leapt, self._landed = 0.0, 0.0

    def saw(self, started_at: float) -> None:
        """A row that started then; a clock that is set right again takes its leap back."""
        gap = 0.0 if self._last is None else started_at - self._last
        self._last = started_at
        if gap > LEAP_S:
            self._leapt, self._landed = self._leapt + gap - LEAP_S, started_at
        elif gap < -LEAP_S:
            self._leapt = max(0.0, self._leapt + gap + LEAP_S)

    def before(self, now: float, age_s: float, oldest: float | None) -> float:
        """What started before this is surely older than `age_s`; a leap counts while there are rows of before it."""
        if oldest is None or oldest >= self._landed:
            self._leapt = 0.0
        return now - age_s - self._leapt
