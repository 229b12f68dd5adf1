"""One thing that `doctor` looked at, and what the config needs."""

from typing import NamedTuple

from fibrewatch_agent.config import AgentConfig


class Check(NamedTuple):
    """One thing looked at.

    Attributes:
        remedy: What to type when it is not ok; empty where nothing is to be done.
        needed: Whether a measurement of this config fails without it.
    """

    name: str
    ok: bool
    finding: str
    remedy: str = ""
    needed: bool = True

    @property
    def fault(self) -> bool:
        """Whether something is to be mended."""
        return self.needed and not self.ok

    def __str__(self) -> str:
        word = "ok" if self.ok else "FAIL" if self.needed else "--"
        line = f"{word:<4}  {self.name:<12} {self.finding}{'' if self.ok or self.needed else ', not needed'}"
        return line if self.ok or not self.remedy else f"{line}\n      {'':<12} → {self.remedy}"


def planned(config: AgentConfig | None, *probes: str) -> bool:
    """Whether a test runs one of these probes; True while the config can't be read."""
    return config is None or any(plan.probe.name in probes for plan in config.plans)
