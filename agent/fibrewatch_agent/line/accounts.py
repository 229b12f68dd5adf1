"""The byte budgets of a box's uplinks: their accounts, brought up to now from the interfaces' counters."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import tzinfo
from pathlib import Path

from msgspec.structs import replace

from fibrewatch.results.budget import Result
from fibrewatch_agent.clock import boot_id
from fibrewatch_agent.conditions import route_interface
from fibrewatch_agent.config import AgentConfig, Plan
from fibrewatch_agent.line import budget
from fibrewatch_agent.line import state as line_state
from fibrewatch_agent.line.budget import Account, Pace, Planned
from fibrewatch_agent.line.config import LineConfig, zone
from fibrewatch_agent.net.counters import moved
from fibrewatch_agent.traffic import forecast as traffic


class Accounts:
    """The box's lines, and what was moved over each in this month.

    Args:
        folder: Where that is kept; None: nowhere.
        tell: Is called whenever a budget made a test wait, and after each run.
    """

    def __init__(
        self,
        uplinks: Mapping[str, LineConfig] | None = None,
        *,
        folder: Path | None = None,
        tell: Callable[[], None] = lambda: None,
        proc: Path = Path("/proc"),
        utc: Callable[[], float] = time.time,
    ) -> None:
        self.uplinks = uplinks or {}
        self.plans: tuple[Plan, ...] = ()
        self.zone: tzinfo | None = None
        self.proc, self.folder, self._tell, self._utc = proc, folder, tell, utc
        self.state = line_state.load(folder)
        self._boot = boot_id()

    def line(self, plan: Plan) -> LineConfig | None:
        """The configured uplink of a test."""
        return None if plan.uplink is None else self.uplinks.get(plan.uplink)

    def adopt(self, config: AgentConfig) -> None:
        """Takes what a config says of lines, hours and tests."""
        self.uplinks, self.plans, self.zone = config.uplinks, config.plans, zone(config.schedule)

    def account(self, uplink: str | None) -> Account | None:
        """An uplink's, brought up to now; None where there is no budget or no counter to read."""
        line = self.uplinks.get(uplink) if uplink is not None else None
        if uplink is None or line is None or line.monthly_bytes is None:
            return None
        interface = self.counted(uplink)
        counter = moved(interface, self.proc) if interface else None
        if counter is None:
            return None
        month, _ = budget.month_of(self._utc(), self.zone)
        account = budget.observed(self.state.accounts.get(uplink), month, self._boot, counter)
        self.state.accounts[uplink] = account
        return account

    def pace(self, uplink: str | None) -> Pace | None:
        """How the heavy tests of an uplink go on."""
        account = self.account(uplink)
        line = self.uplinks.get(uplink) if uplink is not None else None
        if account is None or line is None or line.monthly_bytes is None:
            return None
        _, left_s = budget.month_of(self._utc(), self.zone)
        return budget.pace(account, line.monthly_bytes, left_s, self.tests_of(uplink))

    def tests_of(self, uplink: str | None) -> Sequence[Planned]:
        """What is planned on an uplink."""
        return [planned(plan, self.line(plan)) for plan in self.plans if plan.uplink == uplink]

    def shortened(self, plan: Plan) -> Plan:
        """The plan with the bytes that its run may move."""
        now, account = self.pace(plan.uplink), self.account(plan.uplink)
        if now is None or account is None or not hasattr(plan.params, "max_bytes") or now.size == 1:
            return plan
        usual = budget.cost_of(account, planned(plan, self.line(plan)))
        most = max(1_000_000, int(usual * now.size))
        limit = most if plan.params.max_bytes is None else min(plan.params.max_bytes, most)
        return replace(plan, params=replace(plan.params, max_bytes=limit))

    def settle(self, plan: Plan, before: Account | None, size: float) -> None:
        """After a run: what it has moved."""
        account = self.account(plan.uplink)
        if plan.uplink is None or account is None or before is None:
            return
        spent = account.used - before.used
        if spent > 0:
            account = self.state.accounts[plan.uplink] = budget.charged(account, plan.key, spent, size)
        self._tell()

    def uncharged(self, uplink: str | None, before: Account | None) -> None:
        """What was moved since was no traffic of the line."""
        account = self.account(uplink)
        if uplink is not None and account is not None and before is not None:
            self.state.accounts[uplink] = replace(account, used=before.used)

    def reports(self) -> Iterator[tuple[LineConfig, Result]]:
        """Each budget's account and pace, to be told."""
        for name, line in self.uplinks.items():
            account, now = self.account(name), self.pace(name)
            if account is not None and now is not None and line.monthly_bytes is not None:
                yield (
                    line,
                    Result(
                        uplink=name,
                        month=account.month,
                        used=account.used,
                        budget=line.monthly_bytes,
                        period_factor=now.stretch if now.stretch < math.inf else None,
                        size_factor=now.size,
                    ),
                )

    def counted(self, uplink: str | None) -> str | None:
        """The interface whose counter an uplink's account reads."""
        line = self.uplinks.get(uplink) if uplink is not None else None
        return (line.interface or route_interface(self.proc, None)) if line is not None else None

    def add(self, uplink: str | None, moved_beside: int) -> None:
        """What went over the line by another interface of the box counts, too."""
        account = self.account(uplink)
        if uplink is not None and account is not None:
            self.state.accounts[uplink] = replace(account, used=account.used + moved_beside)

    def in_words(self, plan: Plan, account: Account, now: Pace) -> str:
        """Why a test has to wait for it."""
        line = self.line(plan)
        whole = (line.monthly_bytes or 0) if line else 0
        of = f"{account.used / 1e9:.3g} of {whole / 1e9:.3g} GB used in {account.month}"
        if math.isinf(now.stretch) or now.left <= 0:
            return f"byte budget of {plan.uplink}: {of}: nothing is left for it"
        every = plan.every_s * now.stretch
        return f"byte budget of {plan.uplink}: {of}: every {every / 60:.3g} min instead of {plan.every_s / 60:.3g}"


def planned(plan: Plan, line: LineConfig | None) -> Planned:
    """A test as the budget sees it; what stays on the site's network costs nothing."""
    rates = [rate for rate in (line.rate_down, line.rate_up) if rate] if line else []
    amount = traffic.amount_of(plan, max(rates, default=None))
    cost = 0.0 if amount is None or amount.on_link else amount.up + amount.down
    return Planned(plan.key, plan.every_s, cost, plan.probe.mode == "exclusive")
