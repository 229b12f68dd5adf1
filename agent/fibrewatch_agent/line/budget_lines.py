"""What the schedule moves in a month over each uplink, against its budget, as text for `check-config`."""

import math
from collections.abc import Iterator

from fibrewatch_agent.config import AgentConfig
from fibrewatch_agent.line import budget
from fibrewatch_agent.line.accounts import planned
from fibrewatch_agent.line.budget import Account

_MONTH_S = 30 * 86400.0


def budgets(config: AgentConfig) -> Iterator[str]:
    """A line for each uplink with a budget."""
    for name, line in config.uplinks.items():
        if line.monthly_bytes is None:
            continue
        tests = [planned(plan, line) for plan in config.plans if plan.uplink == name]
        now = budget.pace(Account(month=""), line.monthly_bytes, _MONTH_S, tests)
        text = f"uplink {name}: {_gb(budget.per_month(tests))} a month at most, of {_gb(line.monthly_bytes)}"
        if math.isinf(now.stretch):
            text += ": nothing is left for heavy tests"
        elif now.adapted:
            text += f": heavy tests will move {now.size * 100:.0f} % of that at a time"
            text += f" and run {now.stretch:.1f} times as rarely" if now.stretch > 1 else ""
        yield text


def _gb(size: float) -> str:
    return f"{size / 1e9:.3g} GB"
