"""`python -m benchmarks.month`: a month of fifty sites on one responder in virtual time, and what its tests can prove.

Writes docs/month.md; the same seed gives the same file. Exit status 1 when slots collide or a budget is overdrawn.
"""

import platform
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from benchmarks import month_verdicts as verdicts
from benchmarks.month_world import Outcome, Setting, Spent, Used, collisions, lengths, simulated
from benchmarks.support import ROOT, options, table
from fibrewatch_collector.sla.periods import WEEKDAYS, BusyHours

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
TRUE = (0.90, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 1.0)
RHO = (0.0, 0.1, 0.3)
"""Correlation of two tests of one day: none, some, evenings that are good or bad as a whole."""
DRAWN = 2000
TEMPLATE = Path(__file__).with_name("month_text.md")
_EVENING = BusyHours(begin=18 * 60, end=24 * 60, days=WEEKDAYS)
_OFFICE = BusyHours(begin=9 * 60, end=18 * 60)


class Asked(NamedTuple):
    """An objective of throughput as a class of deploy/sites.example.toml or a preset has it."""

    name: str
    test: str
    asked: float
    hours: BusyHours | None = None


OBJECTIVES = (
    Asked("`label-fixed`: downloads, all hours", "download", 0.95),
    Asked("`download`: Monday to Friday 09:00-18:00", "download", 0.95, _OFFICE),
    Asked("downloads, every day 18:00-24:00", "download", 0.95, _EVENING),
    Asked("`label-mobile`: downloads over 4G, all hours", "download-lte", 0.95),
    Asked("`bnetza-upload`: uploads, all hours", "upload", 0.90),
    Asked("`caf-download`: every day 18:00-24:00", "download", 0.80, _EVENING),
)


class Month(NamedTuple):
    """What the sites' tests of one objective came to: per site, the tests of each day."""

    days: list[tuple[int, ...]]
    bytes: float

    @property
    def typical(self) -> tuple[int, ...]:
        """The site in the middle, by its number of tests."""
        return sorted(self.days, key=sum)[len(self.days) // 2]


def month_of(outcome: Outcome, objective: Asked) -> Month:
    """Tests that count for an objective, by site and local day."""
    days: dict[str, Counter[str]] = {agent: Counter() for agent in outcome.zones}
    moved = 0.0
    for each in outcome.used:
        zone = ZoneInfo(outcome.zones[each.agent])
        at = datetime.fromtimestamp(each.begin, UTC)
        counts = objective.hours is None or objective.hours.holds(at, zone)
        if each.test == objective.test and each.ending == "done" and counts:
            days[each.agent][f"{at.astimezone(zone):%F}"] += 1
            moved += each.moved
    return Month([tuple(sorted(found.values(), reverse=True)) for found in days.values()], moved / len(days))


# ---- the document


def document(setting: Setting, outcome: Outcome) -> str:
    """docs/month.md."""
    months = {objective: month_of(outcome, objective) for objective in OBJECTIVES}
    return TEMPLATE.read_text("utf-8").format(
        seed=setting.seed,
        python=".".join(platform.python_version_tuple()[:2]),
        days=f"{setting.days:g}",
        fibre_s=f"{statistics.median(lengths('fibre', setting.seed)):.1f}",
        lte_s=f"{statistics.median(lengths('lte', setting.seed)):.1f}",
        responder=_responder(setting, outcome),
        budgets=_budgets(outcome.spent),
        skipped=_skipped(outcome),
        objectives=_objectives(months),
        thresholds=thresholds(),
        in_a_row=verdicts.least_without_failure(0.95),
        chances="\n\n".join(_chances(months)),
        drawn=f"{DRAWN:,}",
        clusters=clusters(months, setting.seed),
    )


def _responder(setting: Setting, outcome: Outcome) -> str:
    used, collided = outcome.used, collisions(outcome.used, setting.capacity)
    waits = sorted(each.begin - each.asked for each in used)
    rows = [
        ["sites, days", f"{setting.sites}, {setting.days:g}"],
        ["slots given out", f"{len(used):,}"],
        ["collisions: two slots of a site at once, or more given out than there is", f"{len(collided)}"],
        ["most that was given out at once", f"{peak(used) * 8 / 1e9:.2f} Gbit/s"],
        ["wait for a slot, p50, p99, greatest", ", ".join(f"{_at(waits, q):.2f} s" for q in (0.5, 0.99, 1.0))],
        ["slots that did not end with their test", f"{sum(each.ending != 'done' for each in used)}"],
        ["uplinks' months over budget", f"{len(overdrawn(outcome.spent))} of {len(outcome.spent)}"],
    ]
    return table(("what", "found"), rows)


def _skipped(outcome: Outcome) -> str:
    reasons: Counter[str] = Counter()
    for (_, reason), count in outcome.skipped.items():
        reasons[reason] += count
    return table(("reason", "slots"), [[reason, f"{count:,}"] for reason, count in sorted(reasons.items())])


def _chances(months: dict[Asked, Month]) -> Iterator[str]:
    for objective, month in months.items():
        sizes = month.typical
        yield f"### {objective.name}, {objective.asked:g} asked: {sum(sizes)} tests on {len(sizes)} days"
        yield chances_table(objective.asked, sizes)


def peak(used: Sequence[Used]) -> float:
    """The most that was given out at one moment, bytes per second."""
    edges = sorted(edge for each in used for edge in ((each.begin, 1, each.need), (each.end, 0, -each.need)))
    taken = most = 0.0
    for _, _, need in edges:
        taken += need
        most = max(most, taken)
    return most


def overdrawn(spent: Sequence[Spent]) -> list[Spent]:
    """What has moved more than it may."""
    return [each for each in spent if each.used > each.allowed]


def _at(ordered: Sequence[float], quantile: float) -> float:
    return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]


def _budgets(spent: Sequence[Spent]) -> str:
    groups: dict[tuple[str, int], list[Spent]] = defaultdict(list)
    for each in spent:
        if each.month == f"{BEGIN:%Y-%m}":
            groups[each.uplink, each.allowed].append(each)
    rows = []
    for (uplink, allowed), found in sorted(groups.items()):
        used = [each.used / 1e9 for each in found]
        adapted = sum(each.adapted for each in found)
        middle = f"{statistics.median(used):.1f} GB"
        rows.append([f"{uplink} {allowed / 1e9:g} GB", f"{len(found)}", middle, f"{max(used):.1f} GB", f"{adapted}"])
    return table(("budget", "uplinks", "used, median", "greatest", "adapted"), rows)


def _objectives(months: dict[Asked, Month]) -> str:
    heads = ("objective", "asked", "tests a site: least, median, most", "days", "GB a site")
    rows = []
    for objective, month in months.items():
        counts = sorted(sum(days) for days in month.days)
        spread = f"{counts[0]}, {sum(month.typical)}, {counts[-1]}"
        rows.append(
            [objective.name, f"{objective.asked:g}", spread, f"{len(month.typical)}", f"{month.bytes / 1e9:.1f}"]
        )
    return table(heads, rows)


def chances_table(asked: float, sizes: Sequence[int]) -> str:
    """Pass, fail, undecided for each true compliance and each correlation."""
    heads = ["true compliance", *("independent" if rho == 0 else f"correlation {rho:g}" for rho in RHO)]
    return table(heads, [chances_row(asked, sizes, true) for true in TRUE])


def chances_row(asked: float, sizes: Sequence[int], true: float) -> list[str]:
    """One line of `chances_table`."""
    return [f"{true:g}", *(_three(verdicts.chances(asked, true, sizes, rho)) for rho in RHO)]


def _three(found: verdicts.Chances) -> str:
    return " / ".join(f"{each:.3f}" for each in found)


def thresholds() -> str:
    """How many independent tests it takes, 0.95 asked."""
    n = verdicts.least_without_failure(0.95)
    at = verdicts.chances(0.95, 0.98, (173,))
    before = verdicts.chances(0.95, 0.98, (172,))
    rows = [
        ["tests in a row without a failure that pass", f"{n}"],
        [f"chance of {n} passes in a row at a true 0.95", f"{0.95**n:.4f}"],
        ["pass / fail / undecided of 173 tests at a true 0.98", _three(at)],
        ["of 172 tests", _three(before)],
        ["tests from which on a true 0.98 passes half of the time", f"{verdicts.least_for(0.95, 0.98, 0.5)}"],
        ["four times in five", f"{verdicts.least_for(0.95, 0.98, 0.8)}"],
        ["nineteen times in twenty", f"{verdicts.least_for(0.95, 0.98, 0.95)}"],
    ]
    return table(("0.95 asked", ""), rows)


def clusters(months: dict[Asked, Month], seed: int) -> str:
    """False answers on a line that is exactly as good as asked, by the rule as it is and by two that know of days."""
    heads = (
        "tests",
        "correlation",
        "design effect",
        "as it is",
        "drawn",
        "effect known",
        "effect learnt from the days",
    )
    rows = []
    for objective, month in months.items():
        for rho in RHO:
            rows.append([objective.name, f"{rho:g}", *_cluster(objective.asked, month.typical, rho, seed)])
    return table(heads, rows)


def _cluster(asked: float, sizes: Sequence[int], rho: float, seed: int) -> list[str]:
    effect = verdicts.design_effect(sizes, rho)
    exact = verdicts.chances(asked, asked, sizes, rho)
    known = verdicts.chances(asked, asked, sizes, rho, verdicts.widened(asked, effect))
    drawn = verdicts.simulated(
        asked, asked, sizes, rho, months=DRAWN, rng=random.Random(f"{seed} {asked} {sizes} {rho}")
    )
    return [f"{effect:.2f}", *(_two(each) for each in (exact, drawn.as_is, known, drawn.learnt))]


def _two(found: verdicts.Chances) -> str:
    return f"{found.passed:.3f} / {found.failed:.3f}"


def main() -> None:
    """The month, and the file; some minutes."""
    parser = options(__doc__ or "")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--output", type=Path, default=ROOT / "docs/month.md")
    given = parser.parse_args()
    setting = Setting(begin=BEGIN.timestamp(), days=given.days, seed=given.seed)
    outcome = simulated(setting)
    given.output.write_text(document(setting, outcome), "utf-8")
    faults = [*collisions(outcome.used, setting.capacity), *overdrawn(outcome.spent)]
    if faults:
        raise SystemExit("\n".join(map(str, faults[:20])))


if __name__ == "__main__":
    main()
