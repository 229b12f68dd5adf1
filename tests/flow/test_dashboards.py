"""Every expression of every panel, asked of a real Prometheus that scrapes a real collector."""

import math
from pathlib import Path
from typing import Any

from tests.support import scenario_fleet
from tests.support.dashboards import UNSEEN, every_question, rule_questions, variables
from tests.support.watched import History, Watched, watched

SIMULATED, AGENTS = 6, 2
SPAN_S, STEP_S = 6 * 3600.0, 60.0


def _kept(line: str) -> bool:
    """The example's site, and of the others what is of sites; the rest of the simulator's is there live."""
    return 'site="cargo"' in line or line.startswith(("fibrewatch_site", "fibrewatch_uplink", "fibrewatch_collector"))


def numbers(series: dict[str, Any]) -> list[float]:
    values = series.get("values") or [series["value"]]
    return [float(value) for _, value in values]


def every_expression_of_every_panel_has_an_answer(world: Watched) -> None:
    empty, nameless, senseless = [], [], []
    for asked in every_question(scenario_fleet.CHOSEN):
        answer = world.ask(asked)
        if not answer:
            empty.append(f"{asked.place}: {asked.expr}")
        named = [series for series in answer if all(series["metric"].get(label) for label in asked.legend)]
        if answer and asked.legend and not named:
            nameless.append(f"{asked.place}: {asked.legend} {answer[0]['metric']}")
        if answer and not any(math.isfinite(each) for series in answer for each in numbers(series)):
            senseless.append(f"{asked.place}: {asked.expr}")
    assert not (empty or nameless or senseless), "\n".join(
        ["empty:", *empty, "nameless:", *nameless, "NaN:", *senseless]
    )


def every_expression_of_every_alert_rule_has_an_answer(world: Watched) -> None:
    sites = scenario_fleet.ROOT / "deploy/sites.example.toml"
    empty = {each.place.partition(":")[0] for each in rule_questions(sites) if not world.ask(each)}
    assert empty <= UNSEEN


def every_variable_has_values(world: Watched) -> None:
    for place, selector, label in variables(scenario_fleet.CHOSEN):
        values = world.get(f"label/{label}/values", **{"match[]": selector})
        assert values, place


def fleet_has_one_row_and_one_marker_for_each_site(world: Watched) -> None:
    everything = scenario_fleet.sites(SIMULATED, AGENTS).count("[[site]]")
    asked = {each.place: each for each in every_question(scenario_fleet.CHOSEN) if each.instant}
    (marker,) = [each for place, each in asked.items() if place.startswith("fibrewatch-fleet: Map")]
    found = world.ask(marker)
    assert len({(each["metric"]["territory"], each["metric"]["site"]) for each in found}) == len(found) == everything
    assert all(-90 <= float(each["metric"]["latitude"]) <= 90 and each["metric"]["name"] for each in found)
    state = {(each["metric"]["territory"], each["metric"]["site"]): float(each["value"][1]) for each in found}
    assert state["paris", "cargo"] in (1, 2)
    assert state["paris", "rosa-parks"] == 3  # never heard: unknown


def prometheus_took_openmetrics_with_units_and_types(world: Watched) -> None:
    """Of the text format it would know no unit, and no type "info"."""
    (sent,) = world.get("metadata", metric="fibrewatch_ping_sent_packets")["fibrewatch_ping_sent_packets"]
    assert (sent["type"], sent["unit"]) == ("counter", "packets")
    (site,) = world.get("metadata", metric="fibrewatch_site")["fibrewatch_site"]
    assert site["type"] == "info"


def promise_stands_beside_what_is_measured(world: Watched) -> None:
    asked = {each.place: each for each in every_question(scenario_fleet.CHOSEN)}
    (limit,) = world.ask(asked["fibrewatch-site: Round trips, p95: B"])
    assert set(numbers(limit)) == {0.015}
    rates = world.ask(asked["fibrewatch-site: Goodput: B"])
    assert {max(numbers(each)) for each in rates} >= {9e9}


def mesh_has_a_cell_for_each_direction(world: Watched) -> None:
    asked = {each.place: each for each in every_question(scenario_fleet.CHOSEN)}
    cells = world.ask(asked["fibrewatch-mesh: Loss: A"])
    ends = {(each["metric"]["from"], each["metric"]["to"]) for each in cells}
    here, far = "paris/cargo", "san-francisco/soma"
    assert {(here, far), (far, here)} <= ends
    hops = world.ask(asked["fibrewatch-mesh: Hops: A"])
    assert (far, here) not in {(each["metric"]["from"], each["metric"]["to"]) for each in hops}


def test_dashboards_and_alerts_over_a_real_prometheus(tmp_path: Path) -> None:
    """One test: its fleet and history take half a minute to make, and workers would each make their own."""
    histories = [History(_kept, SPAN_S, 240)]
    with watched(tmp_path, SIMULATED, AGENTS, histories, span_s=SPAN_S, step_s=STEP_S) as world:
        every_expression_of_every_panel_has_an_answer(world)
        every_expression_of_every_alert_rule_has_an_answer(world)
        every_variable_has_values(world)
        fleet_has_one_row_and_one_marker_for_each_site(world)
        prometheus_took_openmetrics_with_units_and_types(world)
        promise_stands_beside_what_is_measured(world)
        mesh_has_a_cell_for_each_direction(world)
