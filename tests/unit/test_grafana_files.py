"""grafana/: what is generated is current, is what Grafana takes, and asks for metrics and labels that there are."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from fibrewatch.metric import prometheus_name
from fibrewatch.results import PROBES
from fibrewatch_collector import metrics_page
from fibrewatch_collector.alerting import catalogue
from fibrewatch_collector.operator.rules import GRAFANA_FILE
from fibrewatch_collector.sla.live import CAUSES, STATES
from grafana import check
from grafana import panels as drawn
from grafana.__main__ import files
from grafana.boards import fleet, probes
from tests.support.dashboards import dashboards, every_question, rule_files

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "grafana"
CHOSEN = {"territory": "paris", "site": "cargo", "agent": "box-01"}
NAMES = ("fleet", "site", "wifi", "throughput", "mesh", "sla", "health", "collector", "probes")
UIDS = {f"fibrewatch-{name}" for name in NAMES}
_NAME = re.compile(r"\b(fibrewatch_\w+|scrape_\w+)\b(\{[^}]*\})?")


def test_generated_files_are_current() -> None:
    for name, text in files().items():
        assert (FOLDER / name).read_text("utf-8") == text, f"{name}: run `make golden`"
    assert {path.name for path in (FOLDER / "dashboards").iterdir()} == {f"{uid}.json" for uid in UIDS}


def test_files_are_what_grafana_takes() -> None:
    assert check.problems(FOLDER) == []


def test_codes_and_words_are_the_collectors() -> None:
    assert set(drawn.STATES) == set(STATES)
    assert tuple(fleet.CAUSES) == CAUSES


def test_every_exposed_field_of_every_probe_has_a_panel() -> None:
    asked = " ".join(each.expr for each in every_question(CHOSEN) if each.place.startswith(probes.UID))
    for probe in PROBES.values():
        for field in probe.fields:
            if field.metric.exposed:
                assert re.search(rf"\b{prometheus_name(probe.name, field)}(_bucket)?{{", asked)


def test_every_metric_and_label_asked_for_is_there() -> None:
    known = {entry.name: set(entry.labels) for group in metrics_page.entries().values() for entry in group}
    for asked in every_question(CHOSEN):
        for name, selector in _NAME.findall(asked.expr):
            base = name if name in known else re.sub(r"_(bucket|sum|count)\Z", "", name)
            assert base in known or name == "scrape_duration_seconds", f"{asked.place}: {name}"
            used = set(re.findall(r"(\w+)(?:=|!=|=~|!~)\"", selector or ""))
            assert used <= known.get(base, set()), f"{asked.place}: {name}{selector}"


# ---- what the checker finds


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for part in ("dashboards", "provisioning"):
        shutil.copytree(FOLDER / part, tmp_path / part)
    return tmp_path


def board(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "dashboards/fibrewatch-site.json"
        content = json.loads(path.read_text("utf-8"))
        change(content)
        path.write_text(json.dumps(content), "utf-8")

    return apply


def panel(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    return board(lambda content: change(next(check.panels_of(content))))


def provisioned(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        path = folder / "provisioning" / name
        content = yaml.safe_load(path.read_text("utf-8"))
        change(content)
        path.write_text(yaml.safe_dump(content), "utf-8")

    return apply


def rule(**changes: Any) -> Callable[[Path], None]:
    query: dict[str, Any] = {
        "refId": "A",
        "datasourceUid": "fibrewatch-prometheus",
        "model": {"refId": "A", "expr": "up"},
    }
    query["relativeTimeRange"] = changes.pop("range", {"from": 600, "to": 0})
    whole = {"uid": "r1", "title": "t", "condition": "A", "data": [query], "for": "0s", "noDataState": "OK"}
    whole |= {"execErrState": "Error", "dashboardUid": "fibrewatch-site", "panelId": 1}
    interval = changes.pop("interval", "10s")
    folder = changes.pop("folder", "alerts")
    group = {"orgId": 1, "name": "g", "folder": folder, "interval": interval, "rules": [whole | changes]}
    text = yaml.safe_dump({"apiVersion": 1, "groups": [group]})
    return lambda folder: (folder / "provisioning/alerting/rules.yaml").write_text(text, "utf-8") and None


ROOT_POLICY = "alerting/policies.yaml"
SOURCES, PROVIDERS = "datasources/fibrewatch.yaml", "dashboards/fibrewatch.yaml"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (board(lambda c: c.update(nonsense=1)), ".nonsense: Grafana's schema has no such key"),
        (board(lambda c: c.update(uid="Site!")), "uid Site! is not short and plain"),
        (board(lambda c: c.pop("description")), "description is missing"),
        (board(lambda c: c["panels"][1].update(id=1)), "panel id 1 is there 2 times"),
        (board(lambda c: c["panels"][1]["gridPos"].update(x=0)), "lies over"),
        (board(lambda c: c["templating"]["list"].pop()), "no variable $site"),
        (panel(lambda p: p.pop("description")), "description is missing"),
        (panel(lambda p: p["fieldConfig"]["defaults"].pop("unit")), "fieldConfig.defaults.unit is missing"),
        (panel(lambda p: p["fieldConfig"]["defaults"].pop("noValue")), "fieldConfig.defaults.noValue is missing"),
        (panel(lambda p: p["fieldConfig"]["defaults"].update(colour="x")), "colour: Grafana's schema has no such key"),
        (panel(lambda p: p["options"].update(sparkles=True)), "sparkles: Grafana's schema has no such key"),
        (panel(lambda p: p["targets"][0].update(expr="up{a=\"$nobody\"}")), "no variable $nobody"),
        (panel(lambda p: p["targets"][0].update(instant=False)), "neither instant nor range"),
        (panel(lambda p: p["targets"][0].update(query="up")), "query: Grafana's schema has no such key"),
        (panel(lambda p: p.update(transformations=[{"id": "sum", "options": {}}])), "transformation sum is not known"),
        (panel(lambda p: p["fieldConfig"]["defaults"].update(links=[{"url": "/d/gone"}])), "no dashboard"),
        (provisioned(SOURCES, lambda c: c["datasources"][0].update(urI="")), "field `urI`"),
        (provisioned(SOURCES, lambda c: c["datasources"][0].pop("uid")), "missing required field"),
        (provisioned(PROVIDERS, lambda c: c["providers"][0].update(path="x")), "unknown field `path`"),
        (provisioned(PROVIDERS, lambda c: c.pop("apiVersion")), "missing required field `apiVersion`"),
        (provisioned(ROOT_POLICY, lambda c: c["policies"][0].update(receiver="me")), "policy: no contact point me"),
        (provisioned(ROOT_POLICY, lambda c: c["policies"][0].update(mute_time_intervals=["x"])), "unknown field"),
        (provisioned(ROOT_POLICY, lambda c: c["policies"][0].update(group_wait="soon")), "group_wait"),
        (
            provisioned(ROOT_POLICY, lambda c: c["policies"][0]["routes"][0].update(mute_time_intervals=["x"])),
            "policy: no mute timing x",
        ),
        (
            provisioned("alerting/contact-points.yaml", lambda c: c["contactPoints"][0]["receivers"][0].pop("uid")),
            "missing required field `uid`",
        ),
        (
            provisioned("alerting/mute-timings.yaml", lambda c: c["muteTimes"][0].update(name="costs $5")),
            "$5 in 'costs $5' would be replaced from the environment: write $$",
        ),
        (rule(interval="15s"), "interval"),
        (rule(interval="15s5"), "interval"),
        (rule(uid="u" * 41), "Expected `str` matching regex"),
        (rule(folder="fibrewatch"), "the folder fibrewatch of rules is made before the dashboards' of that title"),
        (rule(panelId=999), "no panel 999 in fibrewatch-site"),
        (rule(dashboardUid="gone"), "no dashboard gone"),
        (rule(condition="C"), "condition C is none of its queries"),
        (rule(labels={"place": "{{ $labels.site }}"}), "$labels in"),
        (rule(annotations={"summary": "{{ $labels.site }}"}), None),
        (rule(annotations={"summary": "${labels}"}), "${ in '${labels}' would be replaced"),
        (rule(range={"from": 0, "to": 0}), "query A has no time range that begins before it ends"),
        (rule(range=None), "query A has no time range that begins before it ends"),
        (rule(range={"from": "10m", "to": 0}), "Expected `int`"),
        (rule(keep_firing_for="1m"), "unknown field `keep_firing_for`"),
        (lambda folder: (folder / "provisioning/rules").mkdir(), None),
    ],
)  # fmt: skip
def test_checker_finds_it(copy: Path, change: Callable[[Path], None], complaint: str | None) -> None:
    change(copy)
    found = check.problems(copy)
    assert found == [] if complaint is None else any(complaint in each for each in found), found


def test_two_rules_of_one_title_in_a_folder_are_found(copy: Path) -> None:
    path = copy / "provisioning/alerting" / GRAFANA_FILE
    path.write_text(
        path.read_text("utf-8").replace("title: FibrewatchUplinkDown", "title: FibrewatchSiteDown"), "utf-8"
    )
    assert check.problems(copy) == ["2 rules in fibrewatch alerts are called FibrewatchSiteDown"]


def test_a_proper_rule_has_nothing_to_object_to(copy: Path) -> None:
    rule(annotations={"summary": "{{ $$labels.site }} is down"}, keepFiringFor="1m", labels={"severity": "page"})(copy)
    assert check.problems(copy) == []


def test_alert_rules_for_grafana_have_nothing_to_object_to(copy: Path) -> None:
    text = rule_files(ROOT / "deploy/sites.example.toml")[GRAFANA_FILE]
    (copy / "provisioning/alerting" / GRAFANA_FILE).write_text(text, "utf-8")
    assert check.problems(copy) == []


def test_alerts_lead_to_dashboards_that_take_their_variables() -> None:
    boards = {uid: {each["name"] for each in board["templating"]["list"]} for uid, board in dashboards().items()}
    for alert in catalogue.alerts():
        assert set(alert.variables) <= boards[alert.dashboard], alert


def test_two_dashboards_of_one_uid_are_found(copy: Path) -> None:
    shutil.copy(copy / "dashboards/fibrewatch-site.json", copy / "dashboards/other.json")
    assert "two dashboards of uid fibrewatch-site" in check.problems(copy)
