"""One archive of all that a report rests on, signed, from which anybody can recompute it without a collector."""

from fibrewatch.errors import FibrewatchError


class EvidenceError(FibrewatchError):
    """A pack that can't be made; the text says why."""


class PackError(FibrewatchError):
    """A pack that is not what it claims to be.

    Attributes:
        step: Of `fibrewatch verify`, at which it was found.
    """

    def __init__(self, step: str, problem: str) -> None:
        self.step, self.problem = step, problem
        super().__init__(f"{step}: {problem}")
