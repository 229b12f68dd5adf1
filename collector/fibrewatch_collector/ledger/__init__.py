"""What people declared and what was reported: records that are only ever added to."""

from typing import Literal

from fibrewatch.errors import FibrewatchError

Reason = Literal["wrong", "unknown", "conflict"]


class LedgerError(FibrewatchError):
    """Something that can't be declared; the text is for whoever tried.

    Attributes:
        reason: wrong: it makes no sense. unknown: there is no such site or record. conflict: not as things stand.
    """

    def __init__(self, reason: Reason, problem: str) -> None:
        self.reason = reason
        super().__init__(problem)
