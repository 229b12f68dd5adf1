"""The options of `fibrewatch maintenance` and `fibrewatch rollout`."""

import argparse
import re
from pathlib import Path

from fibrewatch.wire import ID_PATTERN
from fibrewatch_collector.operator import door

STATES = ("planned", "wired", "accepted", "live")


def add_maintenance(parser: argparse.ArgumentParser) -> None:
    """Its commands: add, list, cancel."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    declare = _command(commands, "add", "declare work; before it begins, or it leaves no figure")
    where = declare.add_mutually_exclusive_group(required=True)
    where.add_argument("--site", type=site, metavar="TERRITORY/SITE")
    where.add_argument("--territory", type=identifier, metavar="TERRITORY", help="all its sites")
    declare.add_argument("--uplink", type=identifier, help="only this one of the site's")
    declare.add_argument("--from", dest="begin", required=True, metavar="TIME", help='such as "2026-10-25 02:30"')
    declare.add_argument("--to", dest="end", required=True, metavar="TIME", help="by the site's clock, or with offset")
    declare.add_argument("--who", required=True)
    declare.add_argument("--why", required=True)
    declare.set_defaults(run=_declare)
    shown = _command(commands, "list", "what is declared")
    shown.add_argument("--site", type=place, metavar="TERRITORY[/SITE]")
    shown.set_defaults(run=_show)
    cancel = _command(commands, "cancel", "take a declaration back; both stay on record")
    cancel.add_argument("id", type=number)
    cancel.add_argument("--who", required=True)
    cancel.add_argument("--why", required=True)
    cancel.set_defaults(run=_cancel)


def add_rollout(parser: argparse.ArgumentParser) -> None:
    """Its commands: set, accept, certificate, list."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    step = _command(commands, "set", f"record the next state: {', '.join(STATES)}; the SLA counts from live on")
    step.add_argument("--site", type=site, required=True, metavar="TERRITORY/SITE")
    step.add_argument("--floor", type=identifier, help="of it; without: the site as a whole")
    step.add_argument("--state", required=True, choices=STATES, help="accepted: by `rollout accept`")
    step.add_argument("--on", metavar="DAY", help='such as "2026-10-25"; without: today')
    step.add_argument("--who", required=True)
    step.add_argument("--note", default="")
    step.set_defaults(run=_step)
    accept = _command(commands, "accept", "record that a place is accepted, by the tests of a stretch; a certificate")
    accept.add_argument("--site", type=site, required=True, metavar="TERRITORY/SITE")
    accept.add_argument("--floor", type=identifier, help="of it; without: the site as a whole")
    accept.add_argument("--from", dest="begin", required=True, metavar="TIME", help='such as "2026-10-25 02:30"')
    accept.add_argument("--to", dest="end", required=True, metavar="TIME", help="by the site's clock, or with offset")
    accept.add_argument("--who", required=True)
    accept.add_argument("--on", metavar="DAY", help="the day of acceptance; without: today")
    accept.add_argument("--reservations", metavar="WHY", help="accept though not all tests passed; it is printed")
    accept.set_defaults(run=_accept)
    paper = _command(commands, "certificate", "fetch a certificate of acceptance")
    paper.add_argument("id", type=number, help="as `rollout list` shows it")
    paper.add_argument("--format", default="pdf", choices=("pdf", "html", "json"), help="pdf is the default")
    paper.add_argument("--lang", default="en", choices=("en", "fr"))
    paper.add_argument("--output", type=Path, metavar="FILE", help="instead of standard output")
    paper.set_defaults(run=_certificate)
    shown = _command(commands, "list", "how far sites and floors have come, and when")
    shown.add_argument("--site", type=place, metavar="TERRITORY[/SITE]")
    shown.set_defaults(run=_show_rollout)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    door.add_options(parser)
    return parser


def _declare(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.ledger import maintenance
    from fibrewatch_collector.operator import declare

    where = declare.Place(arguments.site or arguments.territory)
    wish = maintenance.Wish(
        territory=where.territory,
        site=where.site,
        uplink=arguments.uplink,
        begin=arguments.begin,
        end=arguments.end,
        who=arguments.who,
        why=arguments.why,
    )
    return declare.add(door.door(arguments), wish)


def _show(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.operator import declare

    return declare.show(door.door(arguments), declare.Place(arguments.site) if arguments.site else None)


def _cancel(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.ledger import maintenance
    from fibrewatch_collector.operator import declare

    return declare.cancel(door.door(arguments), arguments.id, maintenance.Cancel(who=arguments.who, why=arguments.why))


def _step(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.ledger import rollout
    from fibrewatch_collector.operator import declare

    where = declare.Place(arguments.site)
    wish = rollout.Wish(
        territory=where.territory,
        site=where.site or "",
        floor=arguments.floor,
        state=arguments.state,
        on=arguments.on,
        who=arguments.who,
        note=arguments.note,
    )
    return declare.step(door.door(arguments), wish)


def _accept(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.ledger import certificates
    from fibrewatch_collector.operator import declare

    where = declare.Place(arguments.site)
    wish = certificates.Wish(
        territory=where.territory,
        site=where.site or "",
        floor=arguments.floor,
        begin=arguments.begin,
        end=arguments.end,
        who=arguments.who,
        on=arguments.on,
        reservations=arguments.reservations,
    )
    return declare.accept(door.door(arguments), wish)


def _certificate(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.operator import declare

    words = {"format": arguments.format, "lang": arguments.lang}
    return declare.certificate(door.door(arguments), arguments.id, words, arguments.output)


def _show_rollout(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.operator import declare

    return declare.show_rollout(door.door(arguments), declare.Place(arguments.site) if arguments.site else None)


def site(text: str) -> str:
    """TERRITORY/SITE."""
    if not re.fullmatch(rf"{ID_PATTERN}/{ID_PATTERN}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not TERRITORY/SITE")
    return text


def place(text: str) -> str:
    """TERRITORY or TERRITORY/SITE."""
    if not re.fullmatch(rf"{ID_PATTERN}(/{ID_PATTERN})?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not TERRITORY or TERRITORY/SITE")
    return text


def identifier(text: str) -> str:
    """One id."""
    if not re.fullmatch(ID_PATTERN, text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an id of a-z, 0-9, -")
    return text


def number(text: str) -> int:
    """A declaration's."""
    if not re.fullmatch(r"[1-9]\d{0,14}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a declaration")
    return int(text)
