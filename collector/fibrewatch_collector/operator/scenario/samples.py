"""What boxes measured, as it was: every single sample of it. Pure."""

from dataclasses import dataclass
from typing import Literal

from fibrewatch_collector.operator.scenario.script import ScriptBox, ScriptTarget

TRANSFER_S = 10.0
Verdict = Literal["valid", "censored", "invalid"]
Delays = tuple[float | None, ...]
"""Round trips in the order of sending; None: lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """What all records have in common.

    Attributes:
        at: When it began, truly; UTC seconds.
        clock_off_s: The box dates it so much later.
        undated: The box can't say when it was.
        lost: It never reaches the collector.
    """

    box: ScriptBox
    interface: str
    uplink: str
    target: ScriptTarget
    at: float
    clock_off_s: float = 0.0
    undated: bool = False
    lost: bool = False

    @property
    def dated(self) -> float:
        """When it began by the box's clock."""
        return self.at + self.clock_off_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Raw):
    """A minute's samples, or those since the box started."""

    length_s: float
    delays: Delays

    @property
    def ended(self) -> float:
        """UTC seconds."""
        return self.at + self.length_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Raw):
    """A test of throughput; `goodput` None: it failed."""

    direction: str
    goodput: float | None
    verdict: Verdict = "valid"
    reason: str | None = None
    bound: float | None = None

    @property
    def ended(self) -> float:
        """UTC seconds."""
        return self.at + TRANSFER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup(Raw):
    """A question to the resolver; None: no answer."""

    delay: float | None

    @property
    def ended(self) -> float:
        """UTC seconds."""
        return self.at + 1.0


Record = Window | Transfer | Lookup
