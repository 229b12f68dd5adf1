"""Panels as this project draws them: none without a unit, a description, and a word for "no data".

Rates are bytes per second in every metric; panels show them as bits (unit `bps`, expression × 8).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from grafana_foundation_sdk.builders import common as build_common
from grafana_foundation_sdk.builders import dashboard as build_dashboard
from grafana_foundation_sdk.builders import geomap, heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
NOTHING = "no data"
Panel: TypeAlias = Any
"""A panel's builder; the SDK's have no common base."""
Steps = Sequence[tuple[float | None, str]]
"""Thresholds: from which value which colour; None is the lowest."""

GOOD, ODD, BAD, DARK, GREY, BLUE = "green", "yellow", "red", "dark-red", "#808080", "blue"
RATIO_OF_LOSS: Steps = ((None, GOOD), (0.001, ODD), (0.05, BAD))
SHARE: Steps = ((None, BAD), (0.99, ODD), (0.999, GOOD))
ALARM: Steps = ((None, GOOD), (1, BAD))
PRESENT: Steps = ((None, BAD), (1, GOOD))
PLAIN: Steps = ((None, BLUE),)
STATES: Mapping[str, tuple[int, str]] = {
    "up": (1, GOOD),
    "degraded": (2, ODD),
    "unknown": (3, GREY),
    "down": (4, BAD),
    "unreachable": (5, DARK),
}
"""A site's states as numbers, for colours on map and time line; the greater the worse."""
MINUTE_STATES: Mapping[str, tuple[int, str]] = {"A": (1, GOOD), "N": (2, GREY), "U": (3, BAD)}
YES_NO: Mapping[str, tuple[int, str]] = {"no": (0, GOOD), "yes": (1, BAD)}


class Query(NamedTuple):
    """An expression and the legend of its series; "" names them by their labels."""

    expr: str
    legend: str = "__auto"


class Column(NamedTuple):
    """A column of a table: `expr` gives a value for each row, under the labels that make the row.

    Without a title it is not shown: it is there for its labels.
    """

    title: str
    expr: str
    unit: str = "none"
    steps: Steps | None = None
    words: Mapping[str, tuple[int, str]] | None = None
    decimals: int | None = None


def codes(metric: str, selector: str, states: Mapping[str, tuple[int, str]], by: str) -> str:
    """An enumerated gauge as one number a series: of all states' codes only the one in force is not zero."""
    terms = [f'{metric}{{{selector},state="{state}"}} * {code}' for state, (code, _) in states.items()]
    return f"max by ({by}) ({' or '.join(terms)})"


def thresholds(steps: Steps) -> build_dashboard.ThresholdsConfig:
    """Absolute ones."""
    made = [dashboard.Threshold(value=value, color=color) for value, color in steps]
    return build_dashboard.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(made)


def words(states: Mapping[str, tuple[int, str]]) -> list[dashboard.ValueMapping]:
    """Numbers shown as words, in their colour."""
    options = {
        str(code): dashboard.ValueMappingResult(text=text, color=color, index=index)
        for index, (text, (code, color)) in enumerate(states.items())
    }
    return [dashboard.ValueMap(options=options)]


def by_state(states: Mapping[str, tuple[int, str]]) -> Steps:
    """The same as thresholds."""
    return [(None, GREY), *((float(code), color) for code, color in sorted(states.values()))]


def target(ref: str, query: Query, how: Literal["range", "instant", "table", "heatmap"]) -> prometheus.Dataquery:
    """A query of a panel, by its letter."""
    made = prometheus.Dataquery().ref_id(ref).expr(query.expr).legend_format(query.legend).datasource(SOURCE)
    if how == "range":
        return made.range().format(PromQueryFormat.TIME_SERIES)
    if how == "heatmap":
        return made.range().format(PromQueryFormat.HEATMAP)
    return made.instant().format(PromQueryFormat.TABLE if how == "table" else PromQueryFormat.TIME_SERIES)


def letters(count: int) -> list[str]:
    """A, B, C …; Grafana's own order."""
    return [chr(ord("A") + each) if each < 26 else f"A{chr(ord('A') + each - 26)}" for each in range(count)]


def _finish(panel: Panel, title: str, text: str, unit: str, *, width: int, height: int) -> Panel:
    panel.title(title).description(text).datasource(SOURCE).span(width).height(height)
    return panel.unit(unit).no_value(NOTHING)


def _targets(panel: Panel, queries: Sequence[Query], how: Literal["range", "instant", "table", "heatmap"]) -> Panel:
    return panel.targets([target(ref, each, how) for ref, each in zip(letters(len(queries)), queries, strict=True)])


def _link(title: str, url: str) -> build_dashboard.DashboardLink:
    return build_dashboard.DashboardLink(title).type(dashboard.DashboardLinkType.LINK).url(url).target_blank(False)


def plot(
    title: str,
    text: str,
    unit: str,
    *queries: Query,
    width: int = 12,
    height: int = 8,
    steps: Steps | None = None,
    promise: str | None = None,
    link: str | None = None,
    stack: bool = False,
    least: float | None = 0,
    every: str = "10s",
    points: int | None = None,
) -> Panel:
    """Series over time; gaps stay gaps. Series whose legend matches `promise` are dashed red lines.

    `every` is the least time between two points: dear expressions over windows of a minute need no more; `points` is
    how many there are at most, which holds them over weeks.
    """
    legend = build_common.VizLegendOptions().show_legend(True).display_mode(common.LegendDisplayMode.TABLE)
    legend = legend.placement(common.LegendPlacement.BOTTOM).calcs(["lastNotNull", "max"])
    panel = timeseries.Panel().legend(legend)
    panel.tooltip(
        build_common.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
    )
    panel.span_nulls(False).line_width(1).fill_opacity(60 if stack else 8).show_points(common.VisibilityMode.AUTO)
    panel.thresholds(thresholds(steps or PLAIN)).interval(every)
    if stack:
        panel.stacking(build_common.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if steps:
        panel.thresholds_style(build_common.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED))
    if least is not None:
        panel.min(least)
    if promise:
        panel.override_by_regexp(promise, _dashed())
    if link:
        panel.data_links([_link("Open", link)])
    if points is not None:
        panel.max_data_points(points)
    return _targets(_finish(panel, title, text, unit, width=width, height=height), queries, "range")


def _dashed() -> list[dashboard.DynamicConfigValue]:
    return [
        dashboard.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": BAD}),
        dashboard.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 6]}),
        dashboard.DynamicConfigValue(id_val="custom.fillOpacity", value=0),
    ]


def number(
    title: str,
    text: str,
    unit: str,
    *queries: Query,
    steps: Steps = PLAIN,
    states: Mapping[str, tuple[int, str]] | None = None,
    width: int = 4,
    height: int = 4,
    decimals: int | None = None,
    link: str | None = None,
) -> Panel:
    """The newest value, large."""
    reduce = build_common.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("")
    panel = stat.Panel().reduce_options(reduce).color_mode(common.BigValueColorMode.BACKGROUND)
    panel.graph_mode(common.BigValueGraphMode.NONE).text_mode(
        common.BigValueTextMode.VALUE_AND_NAME
        if len(queries) > 1 or "{{" in queries[0].legend
        else common.BigValueTextMode.AUTO
    )
    panel.thresholds(thresholds(steps))
    if states:
        panel.mappings(words(states))
    if decimals is not None:
        panel.decimals(decimals)
    if link:
        panel.data_links([_link("Open", link)])
    return _targets(_finish(panel, title, text, unit, width=width, height=height), queries, "instant")


def timeline(
    title: str,
    text: str,
    states: Mapping[str, tuple[int, str]],
    *queries: Query,
    width: int = 24,
    height: int = 6,
    every: str = "1m",
) -> Panel:
    """Enumerated states over time, by their codes."""
    panel = statetimeline.Panel().mappings(words(states)).thresholds(thresholds(by_state(states)))
    legend = build_common.VizLegendOptions().show_legend(True).display_mode(common.LegendDisplayMode.LIST)
    panel.legend(legend.placement(common.LegendPlacement.BOTTOM).calcs([]))
    panel.show_value(common.VisibilityMode.AUTO).merge_values(True).row_height(0.9).fill_opacity(80)
    panel.interval(every)
    return _targets(_finish(panel, title, text, "none", width=width, height=height), queries, "range")


def heat(title: str, text: str, unit: str, expr: str, *, width: int = 12, height: int = 8) -> Panel:
    """A histogram's buckets over time; `expr` is summed by `le`."""
    panel = heatmap.Panel().calculate(False).interval("1m").thresholds(thresholds(PLAIN))
    color = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(32)
    panel.color(color).y_axis(heatmap.YAxisConfig().unit(unit))
    return _targets(_finish(panel, title, text, unit, width=width, height=height), [Query(expr, "{{le}}")], "heatmap")


def rows(
    title: str,
    text: str,
    columns: Sequence[Column],
    *,
    width: int = 24,
    height: int = 10,
    names: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
    sort: str | None = None,
) -> Panel:
    """A table of instant queries, merged by the labels that they have in common.

    Args:
        names: Label → heading; a label that is not here keeps its name.
        links: Heading of a label → where a click on it leads.
        sort: The column by whose greatest value rows are ordered.
    """
    panel = table.Panel().show_header(True).cell_height(common.TableCellHeight.SM).filterable(True)
    panel.thresholds(thresholds(PLAIN))
    if sort:
        panel.sort_by([build_common.TableSortByFieldState().display_name(sort).desc(True)])
    refs = [f"Value #{ref}" if len(columns) > 1 else "Value" for ref in letters(len(columns))]
    values = {ref: each.title for ref, each in zip(refs, columns, strict=True) if each.title}
    hidden = [ref for ref, each in zip(refs, columns, strict=True) if not each.title]
    panel.with_transformation(_transformation("merge", {}))
    panel.with_transformation(_transformation("organize", _organized(values, names or {}, hidden)))
    for each in filter(lambda column: column.title, columns):
        panel.override_by_name(each.title, _column(each))
    for heading, url in (links or {}).items():
        linked = dashboard.DynamicConfigValue(
            id_val="links", value=[{"title": "Open", "url": url, "targetBlank": False}]
        )
        panel.override_by_name(heading, [linked])
    return _targets(
        _finish(panel, title, text, "none", width=width, height=height),
        [Query(each.expr, "") for each in columns],
        "table",
    )


def _transformation(name: str, options: object) -> dashboard.DataTransformerConfig:
    return dashboard.DataTransformerConfig(id_val=name, options=options)


def _organized(values: Mapping[str, str], names: Mapping[str, str], hidden: Sequence[str]) -> object:
    """Labels first, then the values in their order; the time of an instant query is of no use."""
    order = [*names, *values]
    return {
        "excludeByName": {"Time": True, **dict.fromkeys(hidden, True)},
        "indexByName": {name: index for index, name in enumerate(order)},
        "renameByName": {**names, **values},
    }


def _column(column: Column) -> list[dashboard.DynamicConfigValue]:
    found: list[tuple[str, Any]] = [("unit", column.unit), ("noValue", NOTHING)]
    steps = by_state(column.words) if column.words else column.steps
    if column.words:
        found.append(("mappings", [each.to_json() for each in words(column.words)]))
    if steps:
        made = [{"value": value, "color": color} for value, color in steps]
        found.append(("thresholds", {"mode": "absolute", "steps": made}))
        found.append(("custom.cellOptions", {"type": "color-background", "mode": "basic"}))
    if column.decimals is not None:
        found.append(("decimals", column.decimals))
    return [dashboard.DynamicConfigValue(id_val=name, value=value) for name, value in found]


def matrix(title: str, text: str, unit: str, expr: str, *, steps: Steps, height: int = 10, width: int = 12) -> Panel:
    """A cell for each pair: `expr` gives series by `from` and `to`."""
    panel = table.Panel().show_header(True).cell_height(common.TableCellHeight.SM)
    panel.thresholds(thresholds(steps))
    cells = {"rowField": "from", "columnField": "to", "valueField": "Value", "emptyValue": "null"}
    panel.with_transformation(_transformation("groupingToMatrix", cells))
    panel.cell_options(common.TableColoredBackgroundCellOptions(mode=common.TableCellBackgroundDisplayMode.BASIC))
    return _targets(_finish(panel, title, text, unit, width=width, height=height), [Query(expr, "")], "table")


def world(title: str, text: str, expr: str, link: str, *, width: int = 12, height: int = 14) -> Panel:
    """Sites on a map, coloured by their state; `expr` gives one series a site with its coordinates as labels."""
    panel = geomap.Panel().mappings(words(STATES)).thresholds(thresholds(by_state(STATES)))
    panel.view(geomap.MapViewConfig().id("fit").all_layers(True).lat(0).lon(0).zoom(4))
    panel.controls(geomap.ControlsOptions().show_zoom(True).show_attribution(True).mouse_wheel_zoom(True))
    panel.basemap(build_common.MapLayerOptions().type("default").name("Map").config({}))
    panel.layers([_markers()]).data_links([_link("Site", link)])
    numbers = [{"targetField": name, "destinationType": "number"} for name in ("latitude", "longitude")]
    panel.with_transformation(_transformation("convertFieldType", {"conversions": numbers, "fields": {}}))
    return _targets(_finish(panel, title, text, "none", width=width, height=height), [Query(expr, "")], "table")


def _markers() -> build_common.MapLayerOptions:
    style = {
        "color": {"field": "Value", "fixed": GREY},
        "opacity": 0.8,
        "size": {"fixed": 7, "min": 5, "max": 12},
        "symbol": {"fixed": "img/icons/marker/circle.svg", "mode": "fixed"},
        "text": {"field": "name", "fixed": "", "mode": "field"},
        "textConfig": {"fontSize": 11, "offsetX": 0, "offsetY": -12, "textAlign": "center", "textBaseline": "middle"},
    }
    where = build_common.FrameGeometrySource().mode(common.FrameGeometrySourceMode.COORDS)
    where = where.latitude("latitude").longitude("longitude")
    return (
        build_common.MapLayerOptions().type("markers").name("Sites").config({"style": style, "showLegend": True})
        .location(where).tooltip(True)
    )  # fmt: skip


Make: TypeAlias = Callable[[], Sequence[Panel]]
