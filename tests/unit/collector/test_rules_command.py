"""`fibrewatch rules`: one source for two engines, and no alert that could never be one."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fibrewatch_collector.alerting import catalogue
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.operator.cli import main

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "deploy/sites.example.toml"


def run(*words: str) -> int:
    return main(["rules", *words])


def groups(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(path.read_text("utf-8"))["groups"])


def rules(path: Path) -> list[dict[str, Any]]:
    return [rule for group in groups(path) for rule in group["rules"]]


@pytest.fixture
def sites(tmp_path: Path) -> Path:
    """An inventory whose promise takes what `[[sla.objective]]` a test adds."""
    path = tmp_path / "sites.toml"
    path.write_text(
        '[[territory]]\nid = "paris"\nname = "Paris"\n'
        '[[site]]\nterritory = "paris"\nid = "cargo"\nname = "Le Cargo"\ncity = "Paris"\nlatitude = 48.9\n'
        'longitude = 2.4\ntime_zone = "Europe/Paris"\n[[site.uplink]]\nid = "fibre"\nkind = "fibre"\nsla = "gold"\n'
        '[[sla]]\nid = "gold"\n[[sla.objective]]\nid = "net"\nkind = "availability"\n'
    )
    return path


def test_committed_files_are_the_current_ones(tmp_path: Path) -> None:
    assert run("--engine", "prometheus", "--out", str(tmp_path / "p")) == 0
    assert run("--engine", "grafana", "--out", str(tmp_path / "g")) == 0
    for made, kept in (
        ("p/fibrewatch.rules.yaml", "grafana/rules/prometheus/fibrewatch.rules.yaml"),
        ("g/fibrewatch.rules.yaml", "grafana/rules/grafana/fibrewatch.rules.yaml"),
        ("g/fibrewatch-alerts.yaml", "grafana/provisioning/alerting/fibrewatch-alerts.yaml"),
    ):
        assert (tmp_path / made).read_text("utf-8") == (ROOT / kept).read_text("utf-8"), f"{kept}: make golden"


def test_only_one_engine_has_the_alerts(tmp_path: Path) -> None:
    run("--engine", "prometheus", "--out", str(tmp_path))
    both = {rule.get("alert") for rule in rules(tmp_path / "fibrewatch.rules.yaml")} - {None}
    run("--engine", "grafana", "--out", str(tmp_path))
    assert {rule.get("alert") for rule in rules(tmp_path / "fibrewatch.rules.yaml")} == {None}
    assert {rule["title"] for rule in rules(tmp_path / "fibrewatch-alerts.yaml")} == both
    assert both == {alert.name for alert in catalogue.alerts()}


def test_both_engines_ask_the_same_and_wait_as_long(tmp_path: Path) -> None:
    run("--engine", "prometheus", "--out", str(tmp_path))
    theirs = {rule["alert"]: rule for rule in rules(tmp_path / "fibrewatch.rules.yaml") if "alert" in rule}
    run("--engine", "grafana", "--out", str(tmp_path))
    for rule in rules(tmp_path / "fibrewatch-alerts.yaml"):
        theirs_rule, (firing, *_, threshold) = theirs[rule["title"]], rule["data"]
        (condition,) = threshold["model"]["conditions"]
        sign = {"gt": ">", "lt": "<"}[condition["evaluator"]["type"]]
        limit = condition["evaluator"]["params"][0]
        assert theirs_rule["expr"] == f"({firing['model']['expr']}) {sign} {limit:g}"
        assert theirs_rule.get("for", "0s") == rule["for"]
        assert theirs_rule["labels"] == rule["labels"]
        assert theirs_rule["annotations"].keys() == rule["annotations"].keys()


def test_texts_ask_only_for_what_the_rule_has(tmp_path: Path) -> None:
    run("--engine", "grafana", "--out", str(tmp_path))
    for rule in rules(tmp_path / "fibrewatch-alerts.yaml"):
        known = {query["refId"] for query in rule["data"]}
        text = " ".join(rule["annotations"].values())
        assert set(re.findall(r"\$values\.(\w+)\.Value", text)) <= known, rule["title"]
        assert not re.search(r"\[\w+\]|(?<!\{)\{\w+\}", text), rule["title"]


def test_every_alert_has_a_runbook_and_an_existing_dashboard() -> None:
    uids = {path.stem for path in (ROOT / "grafana/dashboards").glob("*.json")}
    for alert in catalogue.alerts():
        page = (ROOT / "docs/runbooks" / alert.runbook_file).read_text("utf-8")
        assert alert.name in page, alert.runbook_file
        assert alert.dashboard in uids, alert.id
    known = {alert.runbook_file for alert in catalogue.alerts()}
    assert {path.name for path in (ROOT / "docs/runbooks").glob("*.md")} == known


def test_a_dead_prometheus_is_one_page_and_all_else_keeps_its_state(tmp_path: Path) -> None:
    run("--engine", "grafana", "--out", str(tmp_path))
    on_error = {rule["title"]: rule["execErrState"] for rule in rules(tmp_path / "fibrewatch-alerts.yaml")}
    assert on_error.pop("FibrewatchCollectorDown") == "Alerting"
    assert set(on_error.values()) == {"KeepLast"}


def test_links_lead_where_they_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    run("--engine", "prometheus", "--grafana", "https://g.example/", "--runbooks", "https://r.example/runbooks")
    said = capsys.readouterr().out
    assert "https://g.example/d/fibrewatch-site?var-territory={{ $labels.territory | urlquery }}" in said
    assert "https://r.example/runbooks/site-down.md" in said
    assert "localhost" not in said


def test_example_inventory_has_no_alert_that_would_be_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--engine", "prometheus", "--sites", str(EXAMPLE)) == 0
    assert load_inventory(EXAMPLE).promises
    assert "groups:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("objective", "complaint"),
    [
        (
            "asked = 0.9",
            'site "paris/cargo", uplink "fibre", objective "net", burn "fast" (14.4 times in 2h): it can never fire: '
            "the promise allows 0.1 of faults, and 14.4 times that is 1.44, all or more; ask for above 93.06 %",
        ),
        (
            "asked = 0.93",
            "it can never fire: the promise allows 0.07 of faults, and 14.4 times that is 1.008, all or more; "
            "ask for above 93.06 %",
        ),
        (
            "asked = 0.9999",
            'site "paris/cargo", uplink "fibre", objective "net", burn "fast" (14.4 times in 2h): it fires on a single '
            "sample: one of 120 is 0.00833, more than the 0.00144 that it takes; lengthen the window to 695m, or leave",
        ),
        (
            "asked = 1.0",
            "it fires on a single sample: one of 120 is 0.00833, more than the 0 that it takes; leave it out",
        ),
        (
            "asked = 0.999999",
            "a single sample: one of 120 is 0.00833, more than the 1.44e-05 that it takes; leave it out: burn = [...]",
        ),
        ("asked = 0.0", "it can never fire: the promise allows 1 of faults, and 14.4 times that is 14.4, all or more"),
        ("asked = 0.9305", "it can never fire"),
    ],
)
def test_an_alert_that_would_be_none_is_refused_with_its_reason(
    sites: Path, tmp_path: Path, objective: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sites.write_text(sites.read_text() + objective + "\n")
    assert run("--engine", "grafana", "--sites", str(sites), "--out", str(tmp_path / "out")) == 2
    assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_an_objective_leaves_out_is_not_refused(sites: Path, tmp_path: Path) -> None:
    sites.write_text(sites.read_text() + 'asked = 0.9\nburn = ["slow", "drift"]\n')
    assert run("--engine", "prometheus", "--sites", str(sites), "--out", str(tmp_path)) == 0


def test_burns_of_ones_own_replace_the_usual_ones(sites: Path, tmp_path: Path) -> None:
    sites.write_text(
        sites.read_text() + 'asked = 0.99\n[[burn]]\nid = "week"\nfactor = 2\nlong = "7 d"\nshort = "12 h"\n'
    )
    assert run("--engine", "prometheus", "--sites", str(sites), "--out", str(tmp_path)) == 0
    names = {rule.get("alert") for rule in rules(tmp_path / "fibrewatch.rules.yaml")}
    assert {"FibrewatchAvailabilityAtRiskWeek", "FibrewatchLossAtRiskWeek"} <= names
    assert "FibrewatchAvailabilityAtRiskFast" not in names
    assert any(rule.get("record", "").endswith("ratio_rate7d") for rule in rules(tmp_path / "fibrewatch.rules.yaml"))


def test_burns_may_have_long_ids_and_grafanas_uids_stay_short_and_apart(sites: Path, tmp_path: Path) -> None:
    """Grafana takes 40 characters: a longer uid would stop all of the file."""
    ids = ["burn-for-the-board-of-directors-one", "burn-for-the-board-of-directors-two", "a", "abcdefgh", "abcdefghi"]
    burns = (f'[[burn]]\nid = "{each}"\nfactor = 2\nlong = "7 d"\nshort = "12 h"\n' for each in ids)
    sites.write_text(sites.read_text() + "asked = 0.99\n" + "".join(burns))
    assert run("--engine", "grafana", "--sites", str(sites), "--out", str(tmp_path / "provisioning/alerting")) == 0
    found = rules(tmp_path / "provisioning/alerting/fibrewatch-alerts.yaml")
    uids = {rule["uid"] for rule in found}
    assert len(uids) == len({rule["title"] for rule in found}) == len(found)
    assert all(re.fullmatch(r"[a-z0-9-]{1,40}", uid) for uid in uids)
    assert {"fibrewatch-site-down", "fibrewatch-availability-at-risk-abcdefgh"} <= uids


@pytest.mark.parametrize(("one", "other"), [("week-1", "week1"), ("a--b", "a-b"), ("a-bc", "ab-c")])
def test_burns_whose_alerts_would_have_one_name_are_refused(
    sites: Path, one: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    burns = (f'[[burn]]\nid = "{each}"\nfactor = 2\nlong = "7 d"\nshort = "12 h"\n' for each in (one, other))
    sites.write_text(sites.read_text() + "asked = 0.99\n" + "".join(burns))
    assert run("--engine", "grafana", "--sites", str(sites)) == 2
    assert f'burn "{other}": its alerts would be called as those of burn "{one}"' in capsys.readouterr().err


def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run("--engine", "prometheus", "--out", str(tmp_path / "file")) == 2
    assert "file" in capsys.readouterr().err
