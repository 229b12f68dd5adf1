"""When a transfer is ended before its time, from the samples of what came through. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from fibrewatch.results.throughput import Stopped
from fibrewatch_agent.transfer import steady
from fibrewatch_agent.transfer.steady import Rule, Sample

EVERY_S = 0.1
SELDOM_S, AT_MOST_S = 0.3, 0.5
"""Between samples in the warm-up, and where the transfer takes its time anyway: then at most the second, while there
are twenty."""
_ENOUGH = 20
_JUDGED_EVERY = 2
_FEWEST = 3
"""Samples that a rate can be told from."""
_LEAST_S = 0.5
"""A transfer is not ended for its bytes before: there would be nothing to tell."""


def pace_s(duration_s: float, *, judged: bool) -> float:
    """Between looks at a transfer: short while it is judged whether it may end."""
    return EVERY_S if judged else min(AT_MOST_S, max(SELDOM_S, duration_s / _ENOUGH))


class Limits(NamedTuple):
    """When a transfer is ended before its time.

    Attributes:
        rule: Of convergence; None lets it run.
        max_bytes: None for no limit.
    """

    rule: Rule | None
    max_bytes: int | None

    def reached(self, samples: Sequence[Sample]) -> Stopped | None:
        """Why to end now; to be asked after each sample."""
        if len(samples) < _FEWEST:
            return None
        if self.max_bytes is not None and _bytes_soon(samples) > self.max_bytes:
            return "bytes"
        return "converged" if self._converged(samples) else None

    def _converged(self, samples: Sequence[Sample]) -> bool:
        rule = self.rule
        if rule is None or len(samples) % _JUDGED_EVERY:
            return False
        too_early = samples[-1].at_s - samples[0].at_s < rule.warm_up_s + rule.least_s
        return not too_early and rule.met(steady.estimate(steady.curve(samples), rule.warm_up_s))


def _bytes_soon(samples: Sequence[Sample]) -> int:
    """What will have come through at the next look; nothing while there is too little to tell."""
    before, last = samples[-2:]
    if last.at_s - samples[0].at_s < _LEAST_S:
        return 0
    return last.bytes + (last.bytes - before.bytes)
