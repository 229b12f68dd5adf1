"""A made-up report with everything in it that a page can show."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from fibrewatch_collector.report import model
from fibrewatch_collector.report.model import Availability, Bounds, Counts, Finding, Outage, Percentiles, Report
from fibrewatch_collector.sla import periods
from fibrewatch_collector.sla.periods import Period

MBIT = 1e6 / 8
OCTOBER = periods.month("2026-10", "Europe/Paris")
"""Its 25th has 25 hours."""
SOURCE = "Contrat n° 2026-117, annexe 3 « qualité de service »"
_CAUSES: tuple[model.OutageCause, ...] = ("access", "operator", "lan", "target", "unknown", "probe")


def report(
    *,
    outages: int = 4,
    period: Period = OCTOBER,
    site: str = "cargo",
    name: str = "Le Cargo – pépinière d’entreprises du boulevard Macdonald",
    final: bool = True,
    coverage: float = 0.9874,
    transfers: int = 186,
) -> Report:
    """One site with two uplinks."""
    found = _outages(period, outages)
    days = _days(period, found)
    return Report(
        site=model.Site(
            territory="paris", territory_name="Paris", site=site, name=name, city="Paris", companies=48, floors=4
        ),
        period=period,
        revision=model.Revision(
            number=2 if final else 1,
            final=final,
            made_at=datetime(2026, 11, 8, 6, 30, tzinfo=UTC),
            changes=(model.Change(figure="uplinks.fibre.net.ratio", before="0.99871", after="0.99710"),)
            if final
            else (),
            incomplete=() if final else ("box-3", "box-4"),
        ),
        uplinks=(_uplink("fibre", days, coverage), _uplink("backup", (), 0.62)),
        findings=findings(coverage),
        outages=found,
        maintenance=_works(period),
        rollout=(
            model.Rollout(floor=None, state="live", since=period.begin.date()),
            model.Rollout(floor="3e étage", state="wired", since=None),
        ),
        series=_series(),
        hours=tuple(_hour(role, hour) for role in ("responder", "neutral") for hour in range(24)),
        transfers=_transfers(period, transfers),
        wifi=(
            model.FloorWifi(floor="RDC", good=40210, measured=44640),
            model.FloorWifi(floor="1er étage", good=44600, measured=44640),
            model.FloorWifi(floor="sous-sol", good=0, measured=0),
        ),
        gaps=(model.Gap(agent="box-1", first=101, last=1340, recorded_at=period.begin + timedelta(days=3)),),
        methods=model.Methods(
            collector_version="0.1.0",
            agent_versions=("0.1.0",),
            formulas={"availability": 1, "bins": 2, "figures": 1, "findings": 1, "roll_ups": 4},
            responders=("rns-paris.example.net",),
            contract=SOURCE,
            sources=(SOURCE, "ITU-T Y.1541 (12/2011) class 1"),
            relative_error=0.01,
        ),
    )


def findings(coverage: float = 0.9874) -> tuple[Finding, ...]:
    """Each kind and each answer."""
    known = coverage >= 0.9
    return (
        Finding(
            id="availability",
            kind="availability",
            subject="fibre",
            metric="",
            asked=0.9995,
            unit="ratio",
            answer="fail" if known else "insufficient",
            value=0.99710 if known else None,
            interval=Bounds(low=0.98451, high=0.99712),
            n=44021,
            met=43893,
            open=564,
            source=SOURCE,
        ),
        Finding(
            id="rtt",
            kind="percentile",
            subject="fibre",
            metric="ping.rtt p95",
            asked=0.100,
            unit="seconds",
            answer="pass",
            value=0.00614,
            interval=Bounds(low=0.0061, high=0.0062),
            n=2651040,
            hours="busy",
            source="ITU-T Y.1541",
        ),
        Finding(
            id="download",
            kind="compliance",
            subject="fibre",
            metric="throughput.goodput download",
            asked=0.95,
            unit="ratio",
            answer="undecided",
            value=0.9667,
            interval=Bounds(low=0.9167, high=0.987),
            n=120,
            met=116,
            open=1,
            limit=900 * MBIT,
            limit_unit="bytes_per_second",
            hours="busy",
            source=SOURCE,
        ),
        Finding(
            id="loss",
            kind="loss",
            subject="fibre",
            metric="stamp",
            asked=0.001,
            unit="ratio",
            answer="pass",
            value=0.00004,
            interval=Bounds(low=0.00003, high=0.00005),
            n=2651040,
            met=2650934,
            source=SOURCE,
        ),
        Finding(
            id="san-francisco",
            kind="percentile",
            subject="fibre",
            metric="ping.rtt p95",
            asked=0.060,
            unit="seconds",
            answer="pass",
            value=0.0412,
            interval=Bounds(low=0.0412, high=0.0412),
            n=44000,
            floor=0.0876,
            target="sf.pier9.box-1",
            source=SOURCE,
        ),
        Finding(
            id="wifi",
            kind="coverage",
            subject="RDC",
            metric="wifi",
            asked=0.95,
            unit="ratio",
            answer="fail",
            value=0.9008,
            interval=Bounds(low=0.898, high=0.9035),
            n=44640,
            met=40210,
            source=SOURCE,
        ),
        Finding(
            id="sf",
            kind="readiness",
            subject="san-francisco/pier9",
            metric="voice.ready",
            asked=0.98,
            unit="ratio",
            answer="insufficient",
            source=SOURCE,
        ),
        Finding(
            id="dns",
            kind="success",
            subject="fibre",
            metric="dns",
            asked=0.999,
            unit="ratio",
            answer="pass",
            value=1.0,
            interval=Bounds(low=0.9991, high=1.0),
            n=4464,
            met=4464,
            source=SOURCE,
        ),
        Finding(
            id="upload",
            kind="compliance",
            subject="fibre",
            metric="throughput.goodput upload",
            asked=0.8,
            unit="ratio",
            answer="pass",
            value=1.0,
            interval=Bounds(low=0.96, high=1.0),
            n=93,
            met=93,
            limit=400 * MBIT,
            limit_unit="bytes_per_second",
            source=SOURCE,
        ),
    )


def kept(**changed: object) -> Report:
    """A site where all went well: no outage, nothing declared, all objectives kept."""
    full = report(outages=0)
    clean = tuple(replace(each, answer="pass") for each in full.findings if each.value is not None)
    return replace(full, findings=clean, maintenance=(), gaps=(), **changed)


def fleet(sites: int = 6) -> model.Fleet:
    """The third broke its promise, the others kept it; the fourth has no promise."""
    reports = [
        kept(site=replace(report().site, site=f"s{number}", name=f"Pépinière n° {number}")) for number in range(sites)
    ]
    if sites > 3:
        reports[2] = report(site="s2", name="Pépinière n° 2")
        reports[3] = replace(reports[3], findings=())
    return model.Fleet(
        period=OCTOBER, territory="paris", sites=tuple(replace(each, hours=(), transfers=()) for each in reports)
    )


def balance() -> model.Balance:
    """Two cities over ten months; one month with too little evidence."""
    months = [
        model.CityMonth(
            territory=territory,
            territory_name=city,
            city=city,
            month=f"2026-{number:02d}",
            sites=sites,
            uplinks=sites,
            available=sites * 44000 - lost * number,
            unavailable=lost * number,
            not_measured=640 * sites if number != 4 else 12000 * sites,
            maintenance=120,
            total=sites * 44640 if number != 4 else sites * 56000,
            ratio=(sites * 44000 - lost * number) / (sites * 44000) if number != 4 else None,
            coverage=0.9857 if number != 4 else 0.7857,
            answers={"pass": 4 * sites, "fail": int(number == 7), "undecided": 1},
        )
        for number in range(1, 11)
        for territory, city, sites, lost in (("paris", "Paris", 50, 190), ("california", "San Francisco", 3, 205))
    ]
    return model.Balance(year=2026, made_at=datetime(2026, 11, 8, 6, 30, tzinfo=UTC), months=tuple(months))


def _outages(period: Period, count: int) -> tuple[Outage, ...]:
    step = (period.end - period.begin) / (count + 1)
    found = []
    for number in range(count):
        begin = period.begin + step * (number + 1) + timedelta(seconds=17)
        minutes = 3 + 11 * (number % 6) if number != 1 else 125
        cause = _CAUSES[number % len(_CAUSES)]
        found.append(
            Outage(
                uplink="fibre",
                begin=begin,
                end=begin + timedelta(minutes=minutes, seconds=21),
                minutes=minutes,
                cause=cause,
                counts=cause in ("access", "operator"),
                evidence=(
                    model.Fact(id="targets_lost", values={"targets": "quad9, rns-paris", "count": 2}),
                    model.Fact(id="sites_fine", values={"operator": "Réseau IDF", "count": 1 + number}),
                ),
                companies=(0, 1, 48)[number % 3],
                maintenance="m-12" if number == 2 else None,
            )
        )
    return tuple(found)


def _days(period: Period, outages: Sequence[Outage]) -> tuple[model.Day, ...]:
    found = []
    for number, day in enumerate(period.days):
        total = int((day.end - day.begin).total_seconds()) // 60
        lost = min(total, sum(each.minutes for each in outages if each.counts and day.begin <= each.begin < day.end))
        unknown = min(total - lost, 420) if number == 17 else 0
        found.append(
            model.Day(
                date=day.date,
                available=total - lost - unknown,
                unavailable=lost,
                not_measured=unknown,
                maintenance=120 if number == 13 else 0,
            )
        )
    return tuple(found)


def _availability(coverage: float, lost: int, maintenance: int) -> Availability:
    total = 44700 - maintenance
    known = round(total * coverage)
    lost = min(lost, known)
    return Availability(
        available=known - lost,
        unavailable=lost,
        not_measured=total - known,
        maintenance=maintenance,
        total=total,
        ratio=(known - lost) / known if coverage >= 0.9 else None,
        coverage=known / total,
        bounds=Bounds(low=(known - lost) / total, high=(total - lost) / total),
        unavailable_by={"access": lost - lost // 3, "operator": lost // 3} if lost else {},
        not_measured_by={"silent": (total - known) - 25, "lan": 25},
    )


def _uplink(uplink_id: str, days: tuple[model.Day, ...], coverage: float) -> model.Uplink:
    main = uplink_id == "fibre"
    lost = sum(day.unavailable for day in days)
    return model.Uplink(
        id=uplink_id,
        kind="fibre" if main else "mobile",
        operator="Réseau Île-de-France Télécom" if main else None,
        download=1000 * MBIT if main else None,
        upload=500 * MBIT if main else None,
        sla="pro" if main else None,
        net=_availability(coverage, lost, 120),
        gross=_availability(coverage, lost, 0),
        days=days,
    )


def _works(period: Period) -> tuple[model.Maintenance, ...]:
    begin = period.begin + timedelta(days=13, hours=2)
    return (
        model.Maintenance(
            id="m-11",
            uplink="fibre",
            begin=begin,
            end=begin + timedelta(hours=2),
            who="Zoé Lefèbvre, supervision",
            why="remplacement de l’équipement d’extrémité",
            declared_at=begin - timedelta(days=4),
            in_time=True,
        ),
        model.Maintenance(
            id="m-12",
            uplink=None,
            begin=begin + timedelta(days=4),
            end=begin + timedelta(days=4, hours=5),
            who="opérateur",
            why="<b>reprise d’un câble</b>",
            declared_at=begin + timedelta(days=5),
            in_time=False,
        ),
    )


def _quantiles(n: int, *values: float, error: float = 0.0) -> Percentiles:
    p5, p50, p95, p99 = values
    return Percentiles(n=n, p5=p5, p50=p50, p95=p95, p99=p99, relative_error=error)


def _series() -> tuple[model.Series, ...]:
    return (
        model.Series(
            uplink="fibre",
            probe="ping",
            test="neutral-v4",
            target="quad9",
            role="neutral",
            counts=Counts(valid=43980, invalid=12, failed=31, missing=617, late=240, failed_by={"unreachable": 31}),
            fields={"rtt": _quantiles(2651040, 0.00312, 0.0041, 0.00614, 0.0127, error=0.01)},
            sent=2651040,
            lost=1041,
        ),
        model.Series(
            uplink="fibre",
            probe="throughput",
            test="download-v4",
            target="rns-paris",
            role="responder",
            counts=Counts(
                valid=120,
                censored=41,
                invalid=25,
                skipped=4,
                undated=1,
                missing=None,
                invalid_by={"cpu_saturated": 14, "cross_traffic": 11},
            ),
            fields={"goodput": _quantiles(161, 880 * MBIT, 936 * MBIT, 941 * MBIT, 941.4 * MBIT)},
        ),
        model.Series(
            uplink="fibre",
            probe="invented",
            test="new",
            target=None,
            role=None,
            counts=Counts(valid=1, invalid=1, invalid_by={"never_heard_of": 1}),
            fields={"shine": _quantiles(1, 1.5, 1.5, 1.5, 1.5)},
        ),
    )


def _hour(role: str, hour: int) -> model.Hour:
    base = 0.0031 + (0.0011 if 9 <= hour < 18 else 0.0) + (0.0016 if role == "neutral" else 0.0)
    delay = _quantiles(110000, base * 0.9, base, base * 1.7, base * (2.2 + hour % 5 / 3), error=0.01)
    return model.Hour(uplink="fibre", role=role, hour=hour, delay=delay)


def _transfers(period: Period, count: int) -> tuple[model.Transfer, ...]:
    step = (period.end - period.begin) / (count + 1)
    found = []
    for number in range(count):
        direction = ("download", "upload")[number % 2]
        full = (941 if direction == "download" else 512) * MBIT
        verdict = ("valid", "valid", "valid", "valid", "censored", "valid", "invalid")[number % 7]
        goodput = full * (1 - number % 11 / 60 - (0.35 if number % 37 == 5 else 0))
        at = period.begin + step * (number + 1)
        found.append(model.Transfer(uplink="fibre", at=at, direction=direction, goodput=goodput, verdict=verdict))
    return tuple(found)
