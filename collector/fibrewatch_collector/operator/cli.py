"""The `fibrewatch` command: errors are one line on standard error and exit status 2.

A command's module is imported when it runs: aiohttp, rich and paho take longer to load than a check takes.
"""

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import get_args

from fibrewatch import __version__
from fibrewatch.command import Parser, guarded
from fibrewatch.config import quantity
from fibrewatch.errors import ConfigError
from fibrewatch.wire import ID_PATTERN
from fibrewatch_collector.config import load_config
from fibrewatch_collector.inventory import Inventory, load_inventory
from fibrewatch_collector.operator import access_cli, declare_cli, door, evidence_cli, files, generate, identity_cli

PROGRAM = "fibrewatch"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    arguments = parser().parse_args(argv)
    door.fill_in(arguments, os.environ)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    return guarded(PROGRAM, arguments.run, arguments)


def parser() -> Parser:
    """The command line, as a value."""
    parser = Parser(
        prog="fibrewatch",
        allow_abbrev=False,
        description="Site-fibre monitoring: demo, simulated boxes, sites, mesh, checks.",
    )
    parser.add_argument("--version", action="version", version=f"fibrewatch {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, add_options, text in (
        ("demo", _add_demo, "measure for real on loopback: broker, responder, collector and one agent"),
        ("simulate", _add_simulate, "many made-up boxes on the real wire, or months of results with faults"),
        ("sites", _add_sites, "each site's state, from a collector"),
        ("report", _add_report, "what a site's line did in a period, against what was promised"),
        ("mesh", _add_mesh, "who measures to whom by a sites.toml, and each box's part of it"),
        ("maintenance", declare_cli.add_maintenance, "declare work on the lines: who, why, when"),
        ("rollout", declare_cli.add_rollout, "how far sites and floors have come: planned, wired, accepted, live"),
        ("evidence", evidence_cli.add_evidence, "all that a report rests on, signed, in one archive"),
        ("verify", evidence_cli.add_verify, "check such an archive and recompute its figures; needs no collector"),
        ("evidence-key", evidence_cli.add_key, "make the key that signs such archives, or show it"),
        ("rules", _add_rules, "recording and alert rules, for Grafana's engine or Prometheus'"),
        ("ca", identity_cli.add_ca, "the authority that boxes and broker are known by"),
        ("enrol", identity_cli.add_enrol, "let a box in: a token for `fibrewatch-agent join`, or a bundle"),
        ("revoke", identity_cli.add_revoke, "shut a box out at once: a stolen one, say"),
        ("token", access_cli.add_token, "who may ask the collector for what: make, list, revoke tokens"),
        ("audit", access_cli.add_audit, "every change: who made it, from where, when, and how it came out"),
        ("check-config", _add_check, "check a collector's files"),
    ):
        add_options(commands.add_parser(name, help=text, description=text, allow_abbrev=False))
    return parser


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--for", dest="for_s", type=_duration, metavar="DURATION", help='stop after, such as "30 s"')
    parser.add_argument("--target", action="append", default=[], type=_address, help="also measure to this address")
    parser.add_argument("--port", type=_port, default=8480, help="of the page (another one if it is taken)")
    parser.set_defaults(run=_demo)


def _add_simulate(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--sites", type=_count, help="so many sites, to a broker")
    what.add_argument("--scenario", type=Path, metavar="FILE", help="months with faults, and what a report must say")
    parser.add_argument("--output", type=Path, metavar="DIR", help="of --scenario: where store and answer go")
    parser.add_argument("--agents", type=_count, default=1, help="of each site")
    parser.add_argument("--rate", type=_positive, default=100.0, help="measurements a second, all agents together")
    parser.add_argument("--batch", type=_count, default=1, help="measurements in one message")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--duration", type=_duration, default=60.0, help='such as "60 s" (the default)')
    parser.add_argument("--broker", type=_host_port, default=("127.0.0.1", 1883), metavar="HOST:PORT")
    parser.add_argument("--probe", choices=get_args(generate.Mix), default="ping")
    parser.add_argument("--patience", type=_duration, default=60.0, help="give up after so long without an ack")
    parser.add_argument("--write-sites", type=Path, metavar="FILE", help="only write the sites.toml that matches")
    parser.set_defaults(run=_simulate)


def _add_sites(parser: argparse.ArgumentParser) -> None:
    door.add_options(parser)
    parser.add_argument(
        "--peer",
        type=_place,
        metavar="TERRITORY/SITE[/AGENT]",
        help="instead, what is measured between it and others, at whichever end it is",
    )
    parser.set_defaults(run=_sites)


def _add_report(parser: argparse.ArgumentParser) -> None:
    scope = parser.add_mutually_exclusive_group(required=True)
    scope.add_argument("--site", metavar="TERRITORY/SITE", help="one site; the territory may be left out")
    scope.add_argument("--territory", metavar="TERRITORY", help="all sites of a territory")
    scope.add_argument("--all", action="store_true", help="all sites")
    period = parser.add_mutually_exclusive_group(required=True)
    period.add_argument("--month", metavar="YYYY-MM", help="a month, by each site's own time")
    period.add_argument("--from", dest="first", metavar="YYYY-MM-DD", help="the first day")
    period.add_argument("--year", metavar="YYYY", help="territories and cities compared, month by month")
    parser.add_argument("--to", dest="last", metavar="YYYY-MM-DD", help="the last day, which is in it")
    parser.add_argument("--format", default="json", metavar="FORMAT", help="json (the default), csv, html or pdf")
    parser.add_argument("--lang", metavar="LANG", help="of html and pdf: en (the default) or fr")
    parser.add_argument("--audience", metavar="WHO", help="of html and pdf: full (the default) or manager (one page)")
    parser.add_argument("--revision", metavar="N", help="as it was given out: the first final report of the month is 1")
    parser.add_argument("--output", type=Path, metavar="FILE", help="instead of standard output")
    door.add_options(parser)
    parser.add_argument("--store", type=Path, metavar="FILE", help="read this store instead, with --sites")
    parser.add_argument("--sites", type=Path, metavar="FILE", help="the sites.toml of --store")
    parser.set_defaults(run=_report)


def _add_mesh(parser: argparse.ArgumentParser) -> None:
    _add_files(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--agent", metavar="TERRITORY/SITE/AGENT", help="only print this box's fragment")
    what.add_argument("--out", type=Path, metavar="DIR", help="write every box's files")
    parser.set_defaults(run=_mesh)


def _add_rules(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--engine", choices=("grafana", "prometheus"), required=True, help="who evaluates alerts")
    _add_files(parser, required=False)
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the engine's files instead of printing alerts")
    parser.add_argument("--grafana", default="http://localhost:3000", metavar="URL", help="where dashboards are")
    parser.add_argument("--runbooks", default="docs/runbooks", metavar="URL", help="where docs/runbooks can be read")
    parser.set_defaults(run=_rules)


def _add_check(parser: argparse.ArgumentParser) -> None:
    _add_files(parser)
    parser.set_defaults(run=_check)


def _add_files(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    which = parser.add_mutually_exclusive_group(required=required)
    which.add_argument("--config", type=Path, metavar="FILE", help="a collector.toml, and the sites.toml it names")
    which.add_argument("--sites", type=Path, metavar="FILE", help="a sites.toml")


def _demo(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.operator import demo

    options = demo.Options(for_s=arguments.for_s, targets=tuple(arguments.target), port=arguments.port)
    return demo.demo(options)


def _sites(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.operator import sites

    to = door.door(arguments)
    return sites.show(to) if arguments.peer is None else sites.show_peer(to, arguments.peer)


def _simulate(arguments: argparse.Namespace) -> int:
    if arguments.scenario is not None:
        return _scenario(arguments)
    from fibrewatch_collector.operator import simulate

    if arguments.write_sites is not None:
        fleet = generate.fleet(arguments.sites, arguments.agents)
        arguments.write_sites.write_text(files.sites_toml(fleet), "utf-8")
        return 0
    load = simulate.Load(
        sites=arguments.sites,
        agents=arguments.agents,
        rate=arguments.rate,
        batch=arguments.batch,
        seed=arguments.seed,
        duration_s=arguments.duration,
        host=arguments.broker[0],
        port=arguments.broker[1],
        probe=arguments.probe,
        patience_s=arguments.patience,
    )
    summary = simulate.Simulation(load).run()
    print(summary)
    return 0 if summary.complete else 1


def _scenario(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.operator.scenario import written

    if arguments.output is None:
        raise ConfigError("", "", "--output: a folder for the store and the expected answer")
    print(written.write(arguments.scenario, arguments.output))
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.operator import report

    given = {
        "site": arguments.site,
        "territory": arguments.territory,
        "all": "1" if arguments.all else None,
        "month": arguments.month,
        "from": arguments.first,
        "to": arguments.last,
        "year": arguments.year,
        "format": arguments.format,
        "lang": arguments.lang,
        "audience": arguments.audience,
        "revision": arguments.revision,
    }
    words = {name: word for name, word in given.items() if word is not None}
    if (arguments.store is None) != (arguments.sites is None):
        raise ConfigError("", "", "--store and --sites go together: a store and the inventory of its boxes")
    if arguments.store is None:
        return report.from_api(door.door(arguments), words, arguments.output)
    return report.from_store(arguments.store, load_inventory(arguments.sites), words, arguments.output)


def _mesh(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.operator import mesh

    inventory = _inventory(arguments)
    if arguments.agent is not None:
        return mesh.show_agent(inventory, arguments.agent)
    return mesh.show(inventory) if arguments.out is None else mesh.write(inventory, arguments.out)


def _rules(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.alerting.links import Links
    from fibrewatch_collector.operator import rules

    links = Links(grafana=arguments.grafana.rstrip("/"), runbooks=arguments.runbooks.rstrip("/"))
    sites = arguments.sites or (load_config(arguments.config).sites if arguments.config else None)
    known = load_inventory(sites) if sites is not None else None
    return rules.write(known, arguments.engine, links, arguments.out, str(sites))


def _check(arguments: argparse.Namespace) -> int:
    """With a collector.toml also against what the boxes have told, where its store is here."""
    from fibrewatch_collector import lint
    from fibrewatch_collector.access import reachable
    from fibrewatch_collector.store.sqlite import SqliteStore

    config = load_config(arguments.config) if arguments.config else None
    sites: Path = config.sites if config is not None else arguments.sites
    inventory = load_inventory(sites)
    path = config.store.path if config is not None else None
    with closing(SqliteStore(path)) if path is not None and path.exists() else nullcontext() as store:
        promised = lint.check(inventory, sites, store)
    if config is not None:
        reachable.check(config, str(arguments.config))
    for line in [*inventory.mesh.warnings(), *promised]:
        print(f"fibrewatch: warning: {line}", file=sys.stderr)
    print(f"ok: {len(inventory.sites)} sites, {len(inventory.agents)} agents")
    return 0


def _inventory(arguments: argparse.Namespace) -> Inventory:
    return load_inventory(arguments.sites or load_config(arguments.config).sites)


def _duration(text: str) -> float:
    """Seconds; a plain number means seconds."""
    try:
        seconds = float(text) if re.fullmatch(r"[0-9]{1,15}(\.[0-9]+)?", text) else quantity(text, "duration")
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from e
    return _above_zero(seconds, text)


def _positive(text: str) -> float:
    try:
        return _above_zero(float(text), text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from e


def _above_zero(number: float, text: str) -> float:
    if not 0 < number < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and below a billion")
    return number


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 9999")
    return int(text)


def _port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _host_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), _port(port)


def _place(text: str) -> str:
    if not re.fullmatch(rf"{ID_PATTERN}(/{ID_PATTERN}){{1,2}}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not TERRITORY/SITE or TERRITORY/SITE/AGENT")
    return text


def _address(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:%-]{1,253}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a host name or address")
    return text


if __name__ == "__main__":
    sys.exit(main())
