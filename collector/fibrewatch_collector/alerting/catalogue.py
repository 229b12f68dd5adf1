"""Every alert, once. The collector decides what is wrong and whose fault it is; rules only ask it."""

import re
from collections.abc import Iterable, Iterator

from fibrewatch_collector.alerting import expressions as promql
from fibrewatch_collector.alerting.expressions import BOX, JOB, OBJECTIVE, SITE, UPLINK
from fibrewatch_collector.alerting.model import Alert, Recording, Value
from fibrewatch_collector.sla import burn
from fibrewatch_collector.sla.burn import Burn

FLEET, SITE_PAGE, WIFI, SLA, HEALTH, COLLECTOR, MESH = (
    f"fibrewatch-{name}" for name in ("fleet", "site", "wifi", "sla", "health", "collector", "mesh")
)
"""Uids of dashboards."""
DAY_S = 86400
CERTIFICATE_S = 14 * DAY_S
SERVER_CERTIFICATE_S = 60 * DAY_S
"""Nobody renews these by itself."""
KEPT_EVERY_S = 30
REMOTE_BEHIND_S = 600
SPOOL = 500
"""Measurements: some 80 minutes of six windows a minute, and of what else a box does."""
_SINCE = Value(name="since", metric="fibrewatch_site_state_since_timestamp_seconds", keys=SITE, format="time")
_CAUSE = Value(name="cause", metric="fibrewatch_site_cause_code", keys=SITE, format="cause")
_HOUSED = Value(name="companies", metric="fibrewatch_site_companies", keys=SITE)
_HANGING = Value(name="companies", metric="fibrewatch_uplink_companies", keys=UPLINK)
_TARGET = ("job", "instance", "target")
"""A target's name is one only within a collector: each territory may call its own "responder"."""
_NONE = "none: the lines work, they are only not seen"
_AT_SITE, _AT_BOX = ({name: f"{{{name}}}" for name in names} for names in (SITE, BOX))
_BUDGET = "fibrewatch_uplink_objective_budget_ratio"


def alerts(burns: Iterable[Burn] = burn.DEFAULTS) -> list[Alert]:
    """All of them, the most urgent first."""
    burns = list(burns)
    return [*_sites(), *_servers(), *_boxes(), *_promises(), *_burning(burns)]


def recordings(burns: Iterable[Burn] = burn.DEFAULTS) -> list[Recording]:
    """What alerts are made of: what a collector said last, and what is too dear to be made for each."""
    burns = list(burns)
    kept = promql.blind() | {promql.last(metric): promql.kept(metric) for metric in _held(alerts(burns))}
    return [
        *(Recording(name=name, expr=expr, every_s=KEPT_EVERY_S) for name, expr in kept.items()),
        *(
            Recording(name=_loss(length), expr=_loss_ratio(length), every_s=_every_s(length))
            for length in burn.windows(burns)
        ),
    ]


def _held(alerts: Iterable[Alert]) -> list[str]:
    """The metrics of which alerts ask what was said last."""
    found = {
        f"fibrewatch_{name}" for alert in alerts for name in re.findall(r"fibrewatch:(\w+):last\b", alert.expr)
    } | {value.metric.partition("{")[0] for alert in alerts for value in alert.values}
    return sorted(found)


def _sites() -> Iterator[Alert]:
    yield Alert(
        id="site-down",
        expr=promql.of_every_site("fibrewatch_site_down"),
        instances=promql.SITES,
        above=0.5,
        severity="page",
        summary="{name} is down ({territory}/{site})",
        text="{name}, {city}: no line carries packets, or nothing is heard of its boxes, since [since].",
        fault="[cause]",
        companies="{companies}",
        values=(_SINCE, _CAUSE),
        dashboard=SITE_PAGE,
        variables=_AT_SITE,
    )
    yield Alert(
        id="uplink-down",
        expr=promql.of_every_uplink("fibrewatch_uplink_down"),
        instances=promql.UPLINKS,
        above=0.5,
        severity="page",
        summary="{name}: the {kind} uplink {uplink} is cut ({territory}/{site})",
        text="{name}: {uplink} of {operator} carries nothing since [since]; another uplink carries on.",
        fault="[cause]",
        companies="{companies}",
        values=(
            Value(name="since", metric="fibrewatch_uplink_down_since_timestamp_seconds", keys=UPLINK, format="time"),
            _CAUSE,
        ),
        dashboard=SITE_PAGE,
        variables=_AT_SITE,
    )
    yield Alert(
        id="site-degraded",
        expr=promql.of_every_site("fibrewatch_site_degraded"),
        instances=promql.SITES,
        above=0.5,
        hold_s=300,
        summary="{name} is degraded ({territory}/{site})",
        text="{name}, {city}: it works, but not as it should, since [since].",
        fault="[cause]",
        companies="{companies}",
        values=(_SINCE, _CAUSE),
        dashboard=SITE_PAGE,
        variables=_AT_SITE,
    )
    asked = promql.held("fibrewatch_uplink_objective_asked_ratio", SITE, '{kind="coverage"}')
    floors = promql.held("fibrewatch_floor_wifi_good_ratio", (*SITE, "floor"))
    yield Alert(
        id="wifi-coverage",
        expr=f"({floors}) - on ({', '.join(SITE)}) group_left () "
        f"(({asked}) or on ({', '.join(SITE)}) ({promql.by(SITE, promql.SITES)} * 0 + 0.95))",
        below=0.0,
        hold_s=900,
        summary="{territory}/{site}, floor {floor}: Wi-Fi coverage is below what was promised",
        text="Floor {floor} of {territory}/{site} had good Wi-Fi in [coverage] of the last hour.",
        fault="the site's Wi-Fi, not the line",
        companies="[companies]",
        values=(
            _HOUSED,
            Value(name="coverage", metric="fibrewatch_floor_wifi_good_ratio", keys=(*SITE, "floor"), format="percent"),
        ),
        dashboard=WIFI,
        variables=_AT_SITE | {"floor": "{floor}"},
        group="slow",
        no_data="OK",
    )


def _servers() -> Iterator[Alert]:
    """One alert each: the sites behind them are not accused."""
    yield Alert(
        id="responder-down",
        expr=promql.held("fibrewatch_target_down", _TARGET),
        above=0.5,
        hold_s=20,
        severity="page",
        summary="The target {target} does not answer (seen by the collector {instance})",
        text="[missed] sites do not hear {target} since [since], while they hear others: it is the target, not a line.",
        fault="whoever runs {target}",
        companies=_NONE,
        values=(
            Value(
                name="since",
                metric="fibrewatch_target_down_since_timestamp_seconds",
                keys=_TARGET,
                format="time",
            ),
            Value(name="missed", metric="fibrewatch_target_missed_sites", keys=_TARGET),
        ),
        dashboard=FLEET,
        no_data="OK",
    )
    yield Alert(
        id="broker-down",
        expr=f'min by (job, instance) (fibrewatch_collector_broker_up{{job="{JOB}"}}) or on () vector(1)',
        below=0.5,
        hold_s=30,
        severity="page",
        summary="The collector {instance} has no broker",
        text="Nothing is heard of any box; boxes keep what they measure. All sites behind it are unknown, not down.",
        fault="the broker, or the way to it: ours",
        companies=_NONE,
        dashboard=COLLECTOR,
    )
    yield Alert(
        id="collector-down",
        expr=f'min by (job, instance) (up{{job="{JOB}"}}) or on () vector(0)',
        below=0.5,
        hold_s=30,
        severity="page",
        summary="The collector {instance} does not answer",
        text="No site is judged meanwhile; alerts keep their state, boxes keep what they measure.",
        fault="the collector: ours",
        companies=_NONE,
        dashboard=COLLECTOR,
        no_data="Alerting",
        on_error="Alerting",  # Prometheus itself: all others keep their state, this one tells
    )
    yield Alert(
        id="store-down",
        expr=f'min by (job, instance) (fibrewatch_collector_store_up{{job="{JOB}"}}) or on () vector(1)',
        below=0.5,
        hold_s=60,
        severity="page",
        summary="The collector {instance} can't store what it is sent",
        text="Results wait in the boxes' spools; no site is judged meanwhile.",
        fault="the collector's disk or database: ours",
        companies=_NONE,
        dashboard=COLLECTOR,
    )
    until = f'last_over_time(fibrewatch_collector_certificate_until_timestamp_seconds{{job="{JOB}"}}[1h])'
    yield Alert(
        id="server-certificate-expiring",
        expr=f"min by (job, instance, certificate) ({until}) - time()",
        below=SERVER_CERTIFICATE_S,
        summary="The {certificate} certificate is about to expire (seen by the collector {instance})",
        text="It expires in [value]; then no box or no user gets through.",
        fault="ours: nobody renews it but the operator of the server",
        companies=_NONE,
        dashboard=COLLECTOR,
        group="slow",
        no_data="OK",
        runbook="certificate-expiring",
    )
    yield _remote_write()


def _remote_write() -> Alert:
    """Late and not catching up, or refused each time for ten minutes; nothing where it is not switched on."""
    name, by = "fibrewatch_collector_remote_write", "max by (job, instance)"
    late = f'{name}_behind_seconds{{job="{JOB}"}}[{promql.HOLD}]'
    behind = f"(min_over_time({late}) > bool {REMOTE_BEHIND_S}) * (deriv({late}) > bool 0)"
    refused = f'max_over_time({name}_up{{job="{JOB}"}}[{promql.HOLD}]) < bool 0.5'
    return Alert(
        id="remote-write-behind",
        expr=f"{by} ({behind}) + on (job, instance) {by} ({refused})",
        above=0.5,
        hold_s=300,
        summary="What boxes measure does not get from the collector {instance} into Prometheus",
        text="Remote write is [behind] behind, or refused for ten minutes: dashboards of measurements stand still. "
        "The store has them; sites are judged, and alerts on them work.",
        fault="the server that is written to, or the way to it: ours",
        companies=_NONE,
        values=(Value(name="behind", metric=f"{name}_behind_seconds", keys=("job", "instance"), format="duration"),),
        dashboard=COLLECTOR,
        group="slow",
        no_data="OK",
    )


def _boxes() -> Iterator[Alert]:
    where = "{territory}/{site}/{agent}"
    yield Alert(
        id="agent-dark",
        expr=promql.of_every_box(promql.held("fibrewatch_agent_dark", BOX)),
        instances=promql.BOXES,
        above=0.5,
        hold_s=300,
        summary=f"The box {where} is silent, its site is not",
        text=f"{where} has said nothing since [since]; other boxes or sites prove that the line works.",
        fault="the box, its power or its cable",
        companies=_NONE,
        values=(
            Value(
                name="since",
                metric="fibrewatch_agent_last_result_timestamp_seconds",
                keys=BOX,
                format="time",
            ),
        ),
        dashboard=HEALTH,
        variables=_AT_BOX,
    )
    yield Alert(
        id="clock-bad",
        expr=promql.of_every_box(promql.held("fibrewatch_agent_clock_synchronised", BOX), "1"),
        instances=promql.BOXES,
        below=0.5,
        hold_s=900,
        summary=f"The clock of the box {where} is not synchronised",
        text="Its one-way delays are invalid, and what it measures may be dated wrongly.",
        fault="the box, or the time servers that it asks",
        companies=_NONE,
        dashboard=HEALTH,
        variables=_AT_BOX,
    )
    depth, full = "fibrewatch_agent_spool_depth", promql.held("fibrewatch_agent_spool_full", BOX)
    yield Alert(
        id="spool-growing",
        expr=promql.of_every_box(
            f"(({full}) * {SPOOL * 2} > 0) "  # before the depth, which is told as well
            f"or {promql.by(BOX, f'min_over_time({depth}[15m]) * (deriv({depth}[15m]) > bool 0)')}"
        ),
        instances=promql.BOXES,
        above=SPOOL,
        hold_s=300,
        summary=f"The box {where} can't get its results away",
        text="[depth] measurements wait in its spool, and they become more; a full spool drops the oldest.",
        fault="the box's disk, or the way to the broker",
        companies=_NONE,
        values=(Value(name="depth", metric=depth, keys=BOX),),
        dashboard=HEALTH,
        variables=_AT_BOX,
    )
    left = promql.held("fibrewatch_agent_certificate_until_timestamp_seconds", BOX)
    yield Alert(
        id="box-certificate-expiring",
        expr=promql.of_every_box(f"({left}) - time()", str(365 * DAY_S)),
        below=CERTIFICATE_S,
        summary=f"The certificate of the box {where} is about to expire",
        text="It expires in [value]; then the broker refuses the box.",
        fault="ours: renewal did not happen",
        companies=_NONE,
        dashboard=HEALTH,
        variables=_AT_BOX,
        group="slow",
        runbook="certificate-expiring",
    )
    yield Alert(
        id="certificate-expiring",
        expr="min by (territory, site, target) (last_over_time(fibrewatch_tls_certificate_left_seconds[1h]))",
        below=CERTIFICATE_S,
        summary="The certificate of {target} is about to expire (seen from {territory}/{site})",
        text="It expires in [value].",
        fault="whoever runs {target}",
        companies=_NONE,
        dashboard=SITE_PAGE,
        variables=_AT_SITE,
        group="slow",
        no_data="OK",
    )


def _promises() -> Iterator[Alert]:
    labels = (*OBJECTIVE, "kind", "peer")
    missed = Value(name="missed", metric='fibrewatch_uplink_objective_recent_tests{outcome="missed"}', keys=OBJECTIVE)
    yield Alert(
        id="objective-missed",
        expr=promql.held("fibrewatch_uplink_objective_at_risk", labels, '{kind!="readiness"}'),
        above=0.5,
        summary="{territory}/{site}, {uplink}: the objective {objective} is missed",
        text="[missed] of the last 5 valid tests missed {objective} ({kind}), confirmed by a second target.",
        fault="the line, as far as the box itself was well: invalid and censored tests do not count",
        companies="[companies]",
        values=(missed, _HANGING),
        dashboard=SLA,
        variables=_AT_SITE,
        group="slow",
        no_data="OK",
    )
    yield Alert(
        id="telepresence-pair",
        expr=promql.held("fibrewatch_uplink_objective_at_risk", labels, '{kind="readiness"}'),
        above=0.5,
        summary="Calls between {territory}/{site} and {peer} are not fit",
        text="[missed] of the last 5 calls between {territory}/{site} and {peer} did not keep their service class.",
        fault="the path between both sites: see each site's own state first",
        companies="[companies]",
        values=(missed, _HANGING),
        dashboard=MESH,
        variables={"from": "{territory}/{site}", "to": "{peer}"},
        group="slow",
        no_data="OK",
    )


def _burning(burns: list[Burn]) -> Iterator[Alert]:
    for each in burns:
        times, windows = f"{each.factor:g} times", (burn.text(each.long_s), burn.text(each.short_s))
        for what, kind, matched in (("availability", "availability", UPLINK), ("loss", "loss", OBJECTIVE)):
            yield Alert(
                id=f"{what}-at-risk-{each.id}",
                expr=_burn(each, kind, matched),
                above=0.5,
                severity=each.severity,
                summary=f"{{territory}}/{{site}}, {{uplink}}: {what} is used up {times} too fast",
                text=f"In the last {windows[0]} and {windows[1]} the faults of {{uplink}} are more than {times} what "
                f"{{objective}} allows ([budget]).",
                fault="the operator's line: other faults and declared work do not count",
                companies="[companies]",
                values=(
                    Value(name="budget", metric=_BUDGET, keys=(*OBJECTIVE, "burn"), format="percent"),
                    _HANGING,
                ),
                dashboard=SLA,
                variables=_AT_SITE,
                labels={"window": windows[0]},
                group="slow",
                runbook=f"{what}-at-risk",
                no_data="OK",
            )


def _burn(each: Burn, kind: str, matched: tuple[str, ...]) -> str:
    """1 where both windows burn faster than that; the budget's own labels."""
    labels = (*OBJECTIVE, "kind", "burn")
    budget = promql.held(_BUDGET, labels, f'{{kind="{kind}",burn="{each.id}"}}')
    on = f"on ({', '.join(matched)}) group_left ()"
    sides = [
        f"(({budget}) * {each.factor:g} < bool {on} {_faults(kind, length)})" for length in (each.long_s, each.short_s)
    ]
    return f"({' * '.join(sides)}) or ({budget}) * 0"


def _faults(kind: str, length: float) -> str:
    """The share of faults in a window."""
    if kind == "loss":
        return f"max by ({', '.join(OBJECTIVE)}) (last_over_time({_loss(length)}[{promql.HOLD}]))"
    matcher = f'{{window="{burn.text(length)}"}}'
    return f"({promql.held('fibrewatch_uplink_unavailable_ratio', UPLINK, matcher)})"


def _loss(length: float) -> str:
    return f"fibrewatch:uplink_objective_loss:ratio_rate{burn.text(length)}"


def _every_s(length: float) -> float:
    """A window of days has 50,000 samples a series: its share is made each five minutes, and moves no faster."""
    return 30 if length <= 1800 else 60 if length <= 21600 else 300


def _loss_ratio(length: float) -> str:
    """One lost packet is chance: it takes two. Without packets there is no ratio, and no alert."""
    name, window = "fibrewatch_uplink_objective", burn.text(length)
    bad = f"sum by ({', '.join(OBJECTIVE)}) (increase({name}_bad_events_total[{window}]))"
    events = f"sum by ({', '.join(OBJECTIVE)}) (increase({name}_events_total[{window}])) > 0"
    return f"({bad}) / ({events}) * (({bad}) > bool 1.5) or {promql.kept_everywhere(_loss(length))}"
