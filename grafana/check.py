"""`python -m grafana.check [FOLDER]`: is this what Grafana takes, and does it fit together? Prints what does not.

No Grafana is asked: files are held to `shapes`, dashboards to the SDK's types (made from Grafana's own schema) by
reading and writing them again, and to rules that Grafana itself does not have.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import shapes

ENVIRONMENT = ("FIBREWATCH_PROMETHEUS_URL", "FIBREWATCH_PAGE_WEBHOOK", "FIBREWATCH_TICKET_WEBHOOK")
"""What Grafana's environment must have, and the only variables that files may name."""
_FILES: Mapping[str, type[shapes.Strict]] = {
    "datasources": shapes.DataSourcesFile,
    "dashboards": shapes.DashboardsFile,
    "alerting": shapes.AlertingFile,
}
_DOLLAR = re.compile(r"\$(\$|\{(\w+)\}|(\w+))?")
_USED = re.compile(r"\$\{?(\w+)(?::\w+)?\}?")
_GIVEN = ("__rate_interval", "__interval", "__range")
_TRANSFORMATIONS = ("merge", "organize", "groupingToMatrix", "convertFieldType")
_LINK = re.compile(r"/d/([\w-]+)(?:\?(.*))?\Z")
_WIDE = 24


def problems(folder: Path) -> list[str]:
    """Everything that is wrong in a folder with dashboards/ and provisioning/; one line each."""
    register_default_plugins()
    dashboards = {
        path.name: json.loads(path.read_text("utf-8")) for path in sorted((folder / "dashboards").glob("*.json"))
    }
    variables = {each["uid"]: _variables(each) for each in dashboards.values()}
    found = [
        line
        for name, each in dashboards.items()
        for line in (f"{name}: {text}" for text in _dashboard(each, variables))
    ]
    uids = Counter(each["uid"] for each in dashboards.values())
    found += [f"two dashboards of uid {uid}" for uid, count in uids.items() if count > 1]
    return found + list(_provisioning(folder / "provisioning", dashboards))


# ---- provisioning


def _provisioning(folder: Path, dashboards: Mapping[str, Any]) -> Iterator[str]:
    whole: dict[str, list[Any]] = {}
    for path in sorted(folder.rglob("*.y*ml")):
        name = str(path.relative_to(folder))
        kind = _FILES.get(path.parent.name)
        if kind is None:
            yield f"{name}: Grafana reads nothing in this folder"
            continue
        content = yaml.safe_load(path.read_text("utf-8"))
        yield from (f"{name}: {text}" for text in _dollars(content))
        try:
            whole.setdefault(path.parent.name, []).append(msgspec.convert(content, kind))
        except msgspec.ValidationError as e:
            yield f"{name}: {e}"
    yield from _references(whole, dashboards)


def _dollars(content: Any) -> Iterator[str]:
    """Grafana replaces $NAME in each value: what is not meant so must be written $$.

    Not in a rule's queries, which it takes as they are, and in its annotations only in braces (rules_types.go:
    `ValueWithBracedVars`; older versions took those as they are too).
    """
    if isinstance(content, dict):
        for name, each in content.items():
            if name == "annotations":
                yield from (f"${{ in {text!r} would be replaced" for text in each.values() if "${" in text)
            elif name != "model":
                yield from _dollars(each)
    elif isinstance(content, list):
        for each in content:
            yield from _dollars(each)
    elif isinstance(content, str):
        for found in _DOLLAR.finditer(content):
            if found[1] != "$" and (found[2] or found[3]) not in ENVIRONMENT:
                yield f"{found[0]} in {content!r} would be replaced from the environment: write $$"


def _references(whole: Mapping[str, list[Any]], dashboards: Mapping[str, Any]) -> Iterator[str]:
    alerting: list[shapes.AlertingFile] = whole.get("alerting", [])
    sources = {source.uid for each in whole.get("datasources", []) for source in each.datasources}
    points = [point.name for each in alerting for point in each.contact_points]
    mutes = {mute.name for each in alerting for mute in each.mute_times}
    roots = [root for each in alerting for root in each.policies]
    if len(roots) > 1:
        yield f"{len(roots)} policy trees: an organisation has one"
    for root in roots:
        yield from _routes(root, set(points), mutes)
    named = {each.folder for file in whole.get("dashboards", []) for each in file.providers if each.folder_uid}
    for folder in sorted({group.folder for each in alerting for group in each.groups} & named):
        yield f"the folder {folder} of rules is made before the dashboards' of that title, with another uid"
    uids = Counter(receiver.uid for each in alerting for point in each.contact_points for receiver in point.receivers)
    uids.update(rule.uid for each in alerting for group in each.groups for rule in group.rules)
    yield from (f"the uid {uid} is there {count} times" for uid, count in uids.items() if count > 1)
    titles = Counter((group.folder, rule.title) for each in alerting for group in each.groups for rule in group.rules)
    yield from (f"{count} rules in {at[0]} are called {at[1]}" for at, count in titles.items() if count > 1)
    panels = {each["uid"]: {panel["id"] for panel in panels_of(each)} for each in dashboards.values()}
    for rule in (rule for each in alerting for group in each.groups for rule in group.rules):
        yield from (f"rule {rule.uid}: {text}" for text in _rule(rule, sources, panels))


def _routes(route: shapes.RootRoute | shapes.Route, points: set[str], mutes: set[str]) -> Iterator[str]:
    if route.receiver not in points:
        yield f"policy: no contact point {route.receiver}"
    if isinstance(route, shapes.Route):
        named = {*route.mute_time_intervals, *route.active_time_intervals}
        yield from (f"policy: no mute timing {name}" for name in sorted(named - mutes))
    for each in route.routes:
        yield from _routes(each, points, mutes)


def _rule(rule: shapes.AlertRule, sources: set[str], panels: Mapping[str, set[int]]) -> Iterator[str]:
    refs = [each.ref_id for each in rule.data]
    if rule.condition not in refs:
        yield f"condition {rule.condition} is none of its queries"
    for each in rule.data:
        if each.datasource_uid not in {*sources, "__expr__"}:
            yield f"no data source {each.datasource_uid}"
        span = each.time_range
        if each.datasource_uid != "__expr__" and (span is None or span.begin <= span.end):
            yield f"query {each.ref_id} has no time range that begins before it ends"
        if each.model.get("refId") != each.ref_id:
            yield f"query {each.ref_id} calls itself {each.model.get('refId')}"
    if rule.dashboard_uid is not None and rule.dashboard_uid not in panels:
        yield f"no dashboard {rule.dashboard_uid}"
    if (rule.dashboard_uid is None) != (rule.panel_id is None):
        yield "dashboardUid and panelId go together"
    if rule.panel_id is not None and rule.panel_id not in panels.get(rule.dashboard_uid or "", ()):
        yield f"no panel {rule.panel_id} in {rule.dashboard_uid}"


# ---- dashboards


def panels_of(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels that show data, also those of folded rows."""
    for panel in dashboard.get("panels", []):
        if panel.get("type") == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def _variables(dashboard: Mapping[str, Any]) -> list[str]:
    return [each["name"] for each in dashboard["templating"]["list"]]


def _dashboard(content: dict[str, Any], boards: Mapping[str, list[str]]) -> Iterator[str]:
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(content)))
    yield from _differences(content, again, "")
    for key in ("uid", "title", "description", "schemaVersion", "tags", "timezone", "refresh", "time"):
        if not content.get(key):
            yield f"{key} is missing"
    if not re.fullmatch(r"[a-z0-9-]{1,40}", content["uid"]):
        yield f"uid {content['uid']} is not short and plain"
    ids = Counter(each["id"] for each in _with_rows(content))
    yield from (f"panel id {each} is there {count} times" for each, count in ids.items() if count > 1)
    yield from _overlaps(content["panels"])
    for panel in panels_of(content):
        place = f"panel {panel['id']} ({panel.get('title')})"
        yield from (f"{place}: {text}" for text in _panel(panel, _variables(content), boards))
    for each in content["annotations"].get("list", []):
        yield from (f"annotation {each['name']}: {text}" for text in _annotation(each, _variables(content)))


def _with_rows(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in content["panels"]:
        yield panel
        yield from panel.get("panels", []) if panel.get("type") == "row" else ()


def _differences(one: Any, other: Any, place: str) -> Iterator[str]:
    """What the SDK, that knows Grafana's schema, did not keep: a key that Grafana would not know."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            if key not in other:
                yield f"{place}.{key}: Grafana's schema has no such key"
            elif key not in one:
                yield f"{place}.{key} is missing"
            else:
                yield from _differences(one[key], other[key], f"{place}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            yield from _differences(a, b, f"{place}[{index}]")
    elif one != other:
        yield f"{place}: {one!r} is read as {other!r}"


def _overlaps(panels: list[dict[str, Any]]) -> Iterator[str]:
    taken: dict[tuple[int, int], int] = {}
    for panel in panels:
        at = panel["gridPos"]
        x, y = at.get("x", 0), at.get("y", 0)
        if x + at["w"] > _WIDE:
            yield f"panel {panel['id']} sticks out"
        for cell in ((column, row) for column in range(x, x + at["w"]) for row in range(y, y + at["h"])):
            if taken.setdefault(cell, panel["id"]) != panel["id"]:
                yield f"panel {panel['id']} lies over {taken[cell]}"
                break


def _panel(panel: dict[str, Any], variables: list[str], boards: Mapping[str, list[str]]) -> Iterator[str]:
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    for key in ("title", "description", "datasource", "gridPos", "targets", "options"):
        if not panel.get(key):
            yield f"{key} is missing"
    for key in ("unit", "noValue", "thresholds"):
        if not defaults.get(key):
            yield f"fieldConfig.defaults.{key} is missing"
    steps = [step["value"] for step in defaults.get("thresholds", {}).get("steps", [])]
    if steps[:1] != [None] or steps[1:] != sorted(steps[1:]):
        yield f"thresholds {steps} do not begin with the lowest and rise"
    refs = Counter(each.get("refId") for each in panel.get("targets", []))
    yield from (f"query {ref} is there {count} times" for ref, count in refs.items() if count > 1 or not ref)
    for each in panel.get("targets", []):
        yield from _query(each, variables)
    known = _TRANSFORMATIONS
    yield from (
        f"transformation {each['id']} is not known"
        for each in panel.get("transformations", [])
        if each["id"] not in known
    )
    for url in _urls(panel):
        yield from _link(url, boards)


def _query(target: dict[str, Any], variables: list[str]) -> Iterator[str]:
    for key in ("expr", "format", "datasource"):
        if not target.get(key):
            yield f"query {target.get('refId')}: {key} is missing"
    if bool(target.get("instant")) == bool(target.get("range")):
        yield f"query {target.get('refId')} is neither instant nor range, or both"
    yield from _unknown(target.get("expr", ""), variables)


def _annotation(content: dict[str, Any], variables: list[str]) -> Iterator[str]:
    for key in ("expr", "datasource", "iconColor", "titleFormat"):
        if not content.get(key):
            yield f"{key} is missing"
    yield from _unknown(content.get("expr", ""), variables)


def _unknown(text: str, variables: list[str]) -> Iterator[str]:
    for name in sorted({found[1] for found in _USED.finditer(text)} - {*variables, *_GIVEN}):
        yield f"no variable ${name}"


def _urls(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        for key, value in content.items():
            if key == "url" and isinstance(value, str):
                yield value
            else:
                yield from _urls(value)
    elif isinstance(content, list):
        for each in content:
            yield from _urls(each)


def _link(url: str, boards: Mapping[str, list[str]]) -> Iterator[str]:
    found = _LINK.match(url)
    if found is None or found[1] not in boards:
        yield f"the link {url} leads to no dashboard"
        return
    for name in re.findall(r"var-(\w+)=", found[2] or ""):
        if name not in boards[found[1]]:
            yield f"the link {url} sets ${name}, which {found[1]} does not have"


def main() -> int:
    """Prints the problems; exit status 1 when there are any."""
    parser = argparse.ArgumentParser(prog="python -m grafana.check", description="Holds Grafana's files to its schema.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent, help="default: %(default)s")
    folder: Path = parser.parse_args().folder
    if not any((folder / "dashboards").glob("*.json")):
        parser.error(f"{folder}: it has no dashboards/*.json")
    found = problems(folder)
    print("\n".join(found) or "nothing to object")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
