"""Whatever way results take to the collector, the final figures are the expected ones."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fibrewatch import sketch
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.operator.scenario import checks, truth
from fibrewatch_collector.operator.scenario.play import Disorder, play
from fibrewatch_collector.report import asked, model
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support import scenario as holding

SITES = Path(__file__).parents[3] / "deploy" / "scenarios" / "sites.toml"
BEGIN = datetime(2026, 10, 25, 8, tzinfo=UTC)
HOURS = 3
NAMES = ("paris/halle", "paris/soma", "paris/lac", "sf/pier")


def scenario_toml(seed: int) -> str:
    """Random faults at random moments; those that lose a part of the packets fill whole minutes, since of a minute half
    of which is lossy chance says which targets it takes."""
    draw = random.Random(seed)
    lines = [
        f'name = "random"\nsites = "{SITES}"\nseed = {seed}\ndeliver_every = "15 min"',
        f"from = {_moment(0)}\nto = {_moment(HOURS * 3600)}\nuntil = {_moment((HOURS + 3) * 3600)}",
        "[[report]]\nfrom = 2026-10-25\nto = 2026-10-25",
    ]
    roles = {"gateway": "gateway", "access": "access", "edge": "operator", "responder": "responder", "far": "neutral"}
    lines += [f'[[target]]\nname = "{name}"\nrole = "{role}"\nrtt = "5 ms"' for name, role in roles.items()]
    for site in NAMES:
        targets = json.dumps(list(roles))
        lines.append(f'[[box]]\nagent = "{site}/box-01"\ntargets = {targets}\ninterval = "3 s"')
    for site in NAMES:
        starts = sorted(draw.sample(range(1, HOURS * 6), 4))  # slots of ten minutes, apart for each site
        dark = draw.choice([("agent_dark", "power_cut", "undated"), ("results_lost",)])
        lines += [_fault(draw, site, dark, start * 600) for start in starts]
    return "\n\n".join(lines) + "\n"


def _fault(draw: random.Random, site: str, dark: tuple[str, ...], at: int) -> str:
    """Lost results and other darkness do not meet: a gap is known by when it was told, and that disorder changes."""
    kind = draw.choice(["line_cut", "brown_out", "lan_cut", "wifi_storm", "late_batch", *dark])
    keys: dict[str, str] = {"kind": f'"{kind}"'}
    whole = kind in ("brown_out", "wifi_storm")
    length = draw.randrange(60, 480, 60) if whole else draw.randrange(61, 480)
    keys |= {"at": _moment(at if whole else at + draw.randrange(40)), "for": f'"{length} s"'}
    if kind in ("line_cut", "brown_out"):
        keys |= {"site": f'"{site}"', "uplink": '"fibre"'}
    elif kind in ("lan_cut", "wifi_storm", "power_cut"):
        keys |= {"site": f'"{site}"'}
    else:
        keys |= {"box": f'"{site}/box-01"'}
    if whole:
        keys |= {"loss": "0.8", "delay": '"20 ms"'}
    if kind == "late_batch":
        keys |= {"delivered": _moment((HOURS + 2) * 3600)}
    return "[[fault]]\n" + "\n".join(f"{name} = {value}" for name, value in keys.items())


def _moment(offset_s: int) -> str:
    return (BEGIN + timedelta(seconds=offset_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def reports(folder: Path, file: Path, disorder: Disorder | None) -> dict[str, model.Report]:
    """By site."""
    scenario, sites = checks.read(file)
    inventory, store = load_inventory(SITES), SqliteStore(folder / f"{disorder}.db")
    try:
        play(scenario, sites, inventory, store, disorder)
        found: dict[str, model.Report] = {}
        for site in NAMES:
            question = asked.question({"site": site, "from": "2026-10-25", "to": "2026-10-25"})
            answer = asked.answer(store, inventory, question, datetime.fromtimestamp(scenario.heard_until, UTC))
            assert isinstance(answer, model.Report)
            found[site] = answer
        return found
    finally:
        store.close()


def hold(folder: Path, seed: int, disorders: list[Disorder | None]) -> None:
    """Plays one random scenario several ways."""
    file = folder / "random.toml"
    file.write_text(scenario_toml(seed))
    (wanted,) = truth.expected(*checks.read(file))["reports"]
    for disorder in disorders:
        found = reports(folder, file, disorder)
        for site, report in found.items():
            expected: dict[str, Any] = wanted["sites"][site]
            holding.hold(report, expected)


@pytest.mark.parametrize("seed", [1, 2])
def test_shuffled_doubled_and_delayed_results_change_no_figure(tmp_path: Path, seed: int) -> None:
    hold(tmp_path, seed, [None, Disorder(seed=seed)] if seed == 1 else [Disorder(seed=seed)])


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10, 40))
def test_many_random_scenarios_in_any_order_give_the_expected_figures(tmp_path: Path, seed: int) -> None:
    hold(tmp_path, seed, [None, Disorder(seed=seed), Disorder(seed=-seed, twice=0.9, late=0.9)])


def test_merging_sketches_in_any_order_gives_one_percentile_within_its_error() -> None:
    draw = random.Random(3)
    parts = [[draw.lognormvariate(-5, 1.5) for _ in range(draw.randrange(1, 400))] for _ in range(40)]
    values = sorted(value for part in parts for value in part)
    ways = []
    for _ in range(5):
        draw.shuffle(parts)
        whole: sketch.Buckets = {}
        pairs = [
            sketch.merge(sketch.of(one), sketch.of(other)) for one, other in zip(parts[::2], parts[1::2], strict=True)
        ]
        for each in pairs:
            sketch.merge(whole, each)
        ways.append(whole)
    assert all(way == ways[0] for way in ways)
    for q in (0.05, 0.5, 0.95, 0.99):
        exact = next(value for place, value in enumerate(values, 1) if place >= q * len(values))
        assert sketch.quantile(ways[0], q) == pytest.approx(exact, rel=sketch.RELATIVE_ERROR)
