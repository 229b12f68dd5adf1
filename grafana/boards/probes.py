"""All that a box measures: default panels of every probe, by a loop over the registry, also for probes to come."""

from itertools import groupby

from fibrewatch.metric import Field, prometheus_name
from fibrewatch.results import PROBES, ProbeType
from grafana.board import AT_SITE, OF_SITE, SITE, TERRITORY, Board, Row, Variable
from grafana.panels import Query, heat, number, plot

UID = "fibrewatch-probes"
AGENT = Variable(name="agent", label="Box", query=f"label_values(fibrewatch_agent_up{{{AT_SITE}}}, agent)")
TEST = Variable(
    name="test",
    label="Test",
    query=f'label_values(fibrewatch_probe_last_result_timestamp_seconds{{{AT_SITE},agent="$agent"}}, test)',
    every=True,
)
OF_BOX = f'{AT_SITE},agent="$agent",test=~"$test"'
UNITS = {
    "seconds": "s",
    "bytes": "bytes",
    "bytes_per_second": "bps",
    "ratio": "percentunit",
    "celsius": "celsius",
    "dBm": "dBm",
    "dbm": "dBm",
    "dB": "dB",
    "hertz": "hertz",
    "bits_per_second": "bps",
}
"""Grafana's unit for ours; rates are shown as bits."""
AT_ONCE = 8
"""Fields in one plot, at most."""


def board() -> Board:
    """See the module."""
    return Board(
        uid=UID,
        title="Everything a box measures",
        text="Every field of every probe, as the registry describes it.",
        variables=(TERRITORY, SITE, AGENT, TEST),
        annotations=OF_SITE,
        rows=(
            Row(title="Runs", panels=_runs()),
            *(
                Row(
                    title=probe.name,
                    panels=panels_of(probe, OF_BOX, "{{test}} {{target}} {{interface}}"),
                    collapsed=True,
                )
                for probe in PROBES.values()
            ),
        ),
    )


def _runs() -> list[object]:
    fields = (
        ("runs", "Runs that were stored."),
        ("failures", "Runs that failed."),
        ("skips", "Runs that did not take place."),
        ("invalid", "Runs whose values prove nothing."),
    )
    return [
        number(
            name.capitalize(),
            f"{text} In the time shown, all tests.",
            "none",
            Query(f"sum(increase(fibrewatch_probe_{name}_total{{{OF_BOX}}}[$__range]))"),
            width=6,
            decimals=0,
        )
        for name, text in fields
    ]


def panels_of(probe: ProbeType, selector: str, legend: str) -> list[object]:
    """A plot for each unit of the gauges, one for the counters' rates, percentiles and heat for each histogram."""
    shown = [field for field in probe.fields if field.metric.exposed]
    gauges = sorted((each for each in shown if each.metric.kind == "gauge"), key=lambda each: each.metric.unit)
    panels: list[object] = []
    for unit, group in groupby(gauges, key=lambda each: each.metric.unit):
        fields = list(group)
        panels += [
            _gauges(probe, unit, fields[at : at + AT_ONCE], selector, legend) for at in range(0, len(fields), AT_ONCE)
        ]
    if counters := [each for each in shown if each.metric.kind == "counter"]:
        panels.append(_counters(probe, counters, selector, legend))
    for field in (each for each in shown if each.metric.kind == "histogram"):
        panels += _histogram(probe, field, selector)
    return panels


def _gauges(probe: ProbeType, unit: str, fields: list[Field], selector: str, legend: str) -> object:
    bits = "8 * " if unit == "bytes_per_second" else ""
    queries = [
        Query(f"{bits}{prometheus_name(probe.name, each)}{{{selector}}}", f"{each.name} {legend}") for each in fields
    ]
    title = (
        fields[0].name
        if len(fields) == 1
        else f"{', '.join(each.name for each in fields[:3])}{' …' * (len(fields) > 3)}"
    )
    return plot(title, _told(fields), UNITS.get(unit, "none"), *queries, least=None)


def _counters(probe: ProbeType, fields: list[Field], selector: str, legend: str) -> object:
    queries = [
        Query(f"increase({prometheus_name(probe.name, each)}{{{selector}}}[$__rate_interval])", f"{each.name} {legend}")
        for each in fields
    ]
    return plot("Amounts", _told(fields), "short", *queries)


def _histogram(probe: ProbeType, field: Field, selector: str) -> list[object]:
    buckets = f"sum by (le) (increase({prometheus_name(probe.name, field)}_bucket{{{selector}}}[$__rate_interval]))"
    unit = UNITS.get(field.metric.unit, "none")
    quantiles = [Query(f"histogram_quantile({each}, {buckets})", f"p{each * 100:g}") for each in (0.5, 0.95, 0.99)]
    text = f"{field.metric.help} Percentiles within the histogram's buckets."
    return [
        plot(f"{field.name}, percentiles", text, unit, *quantiles),
        heat(f"{field.name}, all samples", field.metric.help, unit, buckets),
    ]


def _told(fields: list[Field]) -> str:
    return "\n".join(f"- {each.name}: {each.metric.help}" for each in fields)
