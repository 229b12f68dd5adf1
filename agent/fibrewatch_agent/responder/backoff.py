"""How long to wait before a server that ended is started again."""

import random

FIRST_DELAY_S, LONGEST_DELAY_S = 0.5, 30.0
STEADY_S = 60.0
"""A server that ran for so long starts the backoff anew."""


def backoff_s(failures: int) -> float:
    """Full jitter under a doubling, capped ceiling."""
    ceiling_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures, 10))
    return random.uniform(0, ceiling_s)  # noqa: S311 - no secret
