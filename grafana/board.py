"""A dashboard's frame: its uid, variables, links and annotations; and its rows of panels, numbered in order."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.models import dashboard as model

from grafana.panels import BAD, BLUE, SOURCE, Panel

TAG = "fibrewatch"
PROMETHEUS_UID = "fibrewatch-prometheus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A choice at the top of a dashboard: the values of a label.

    Attributes:
        query: `label_values(metric, label)`, which may name variables that stand before it.
        every: Also "All", and several at once; panels match it by `=~`.
    """

    name: str
    label: str
    query: str
    every: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under a heading; "" is none."""

    title: str
    panels: Sequence[Panel]
    collapsed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """Stretches of time in which an expression is 1, drawn over every plot."""

    name: str
    expr: str
    title: str
    color: str
    every: str = "30s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard; its uid never changes: links, alerts and bookmarks go by it."""

    uid: str
    title: str
    text: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()
    annotations: Sequence[Annotation] = ()
    since: str = "now-6h"
    refresh: str = "30s"


TERRITORY = Variable(name="territory", label="Territory", query="label_values(fibrewatch_site_info, territory)")
TERRITORIES = Variable(name="territory", label="Territory", query=TERRITORY.query, every=True)
SITE = Variable(name="site", label="Site", query='label_values(fibrewatch_site_info{territory="$territory"}, site)')
SITES = Variable(
    name="site", label="Site", query='label_values(fibrewatch_site_info{territory=~"$territory"}, site)', every=True
)
AT_SITE = 'territory="$territory",site="$site"'
AT_SITES = 'territory=~"$territory",site=~"$site"'
OUTAGES = Annotation(name="Outages", expr=f"fibrewatch_site_down{{{AT_SITE}}}", title="{{site}} is down", color=BAD)
CUTS = Annotation(
    name="Uplink cut",
    expr=f"fibrewatch_uplink_down{{{AT_SITE}}}",
    title="{{uplink}} of {{site}} is cut",
    color="orange",
)
WORK = Annotation(
    name="Maintenance",
    expr=f"fibrewatch_uplink_maintenance{{{AT_SITE}}}",
    title="declared work on {{uplink}} of {{site}}",
    color=BLUE,
    every="2m",
)
OF_SITE = (OUTAGES, CUTS, WORK)
OF_FLEET = (
    Annotation(name="Outages", expr=f"fibrewatch_site_down{{{AT_SITES}}}", title="{{site}} is down", color=BAD),
    Annotation(
        name="Maintenance",
        expr=f"max by (territory, site) (fibrewatch_uplink_maintenance{{{AT_SITES}}})",
        title="declared work at {{site}}",
        color=BLUE,
        every="2m",
    ),
)


def link(uid: str, *, table: bool = False, **labels: str) -> str:
    """To another dashboard: the same time, and these of its variables from labels of the point that was clicked."""
    source = "__data.fields" if table else "__field.labels"
    named = "&".join(f"var-{name}=${{{source}.{label}}}" for name, label in labels.items())
    return f"/d/{uid}?{named}&${{__url_time_range}}"


def built(board: Board) -> model.Dashboard:
    """As file provisioning wants it."""
    made = build.Dashboard(board.title).uid(board.uid).description(board.text).tags([TAG]).readonly()
    made.time(board.since, "now").refresh(board.refresh).timezone("browser").version(1)
    made.tooltip(model.DashboardCursorSync.CROSSHAIR)
    made.with_variable(_datasource())
    for variable in board.variables:
        made.with_variable(_variable(variable))
    for annotation in board.annotations:
        made.annotation(_annotation(annotation))
    made.link(
        build.DashboardLink("fibrewatch").type(model.DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(True)
        .include_vars(True).keep_time(True)
    )  # fmt: skip
    _lay(made, board.rows)
    whole = made.build()
    _number(whole)
    return whole


def _lay(made: build.Dashboard, rows: Sequence[Row]) -> None:
    for row in rows:
        if row.collapsed:
            made.with_row(_folded(row))
            continue
        if row.title:
            made.with_row(build.Row(row.title))
        for panel in row.panels:
            made.with_panel(panel)


def _folded(row: Row) -> build.Row:
    made = build.Row(row.title).collapsed(True)
    for panel in row.panels:
        made.with_panel(panel)
    return made


def _number(whole: model.Dashboard) -> None:
    """Gives every panel an id, in the order in which they stand."""
    following = 1
    for panel in whole.panels or []:
        panel.id_val = following
        following += 1
        for inner in getattr(panel, "panels", None) or []:
            inner.id_val = following
            following += 1


def _datasource() -> build.DatasourceVariable:
    current = model.VariableOption(selected=True, text="fibrewatch", value=PROMETHEUS_UID)
    return build.DatasourceVariable("datasource").label("Data source").type("prometheus").current(current)


def _variable(each: Variable) -> build.QueryVariable:
    made = build.QueryVariable(each.name).label(each.label).datasource(SOURCE)
    made.query({"query": each.query, "refId": each.name}).refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
    made.sort(model.VariableSort.ALPHABETICAL_ASC).multi(each.every).include_all(each.every)
    if each.every:
        made.all_value(".*").current(model.VariableOption(selected=True, text="All", value="$__all"))
    return made


def _annotation(each: Annotation) -> build.AnnotationQuery:
    query = prometheus.Dataquery().ref_id("Anno").expr(each.expr).range().datasource(SOURCE)
    return (
        build.AnnotationQuery().name(each.name).datasource(SOURCE).enable(True).hide(False).icon_color(each.color)
        .expr(each.expr).title_format(each.title).step(each.every).target(query)
    )  # fmt: skip
