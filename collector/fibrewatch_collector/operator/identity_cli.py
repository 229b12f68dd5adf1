"""The options of `fibrewatch ca`, `fibrewatch enrol` and `fibrewatch revoke`."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from fibrewatch.errors import ConfigError, WireError
from fibrewatch.files import Content, write_together
from fibrewatch.wire import AgentId, agent_id

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from fibrewatch_collector.identity.authority import Authority
    from fibrewatch_collector.identity.certificates import Kind

DEFAULT_FOLDER = Path("/var/lib/fibrewatch/authority")


def add_ca(parser: argparse.ArgumentParser) -> None:
    """Its commands: init, server, collector, list."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    init = _command(commands, "init", "make an authority: its key, its certificate, an empty list of revocations")
    init.add_argument("--broker", required=True, type=_endpoint, metavar="HOST[:PORT]", help="as boxes reach it")
    init.add_argument("--join", metavar="HOST", help="as boxes with a token reach this collector, port 8481")
    init.add_argument("--name", default="fibrewatch", help="what its certificate calls it")
    init.set_defaults(run=_init)
    server = _command(commands, "server", "a certificate for the broker")
    server.add_argument("names", nargs="+", metavar="NAME", help="host names and addresses that boxes reach it by")
    _add_out(server)
    server.set_defaults(run=_server)
    collector = _command(commands, "collector", "the collector's own certificate, which the broker's rules know")
    _add_out(collector)
    collector.set_defaults(run=_collector)
    shown = _command(commands, "list", "what was given out, until when, and what was revoked")
    shown.set_defaults(run=_list)


def add_enrol(parser: argparse.ArgumentParser) -> None:
    """One box: a token, or a bundle."""
    parser.add_argument("agent", type=_agent, metavar="TERRITORY/SITE/AGENT")
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="write a bundle with a key inside, and no token")
    parser.add_argument("--agent-config", type=Path, metavar="FILE", help="to begin with, in the bundle")
    _add_folder(parser)
    parser.set_defaults(run=_enrol)


def add_revoke(parser: argparse.ArgumentParser) -> None:
    """One box."""
    parser.add_argument("agent", type=_agent, metavar="TERRITORY/SITE/AGENT")
    parser.add_argument("--why", required=True, help="kept in the register")
    _add_folder(parser)
    parser.set_defaults(run=_revoke)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    _add_folder(parser)
    return parser


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help=f"default {DEFAULT_FOLDER}")


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="certificate and key, mode 0600")


def _agent(text: str) -> AgentId:
    try:
        return agent_id(text)
    except WireError as e:
        raise argparse.ArgumentTypeError(e.detail) from e


def _endpoint(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, "8883"
    if not port.isdecimal() or not 0 < int(port) < 65536 or not host:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST or HOST:PORT")
    return host.strip("[]"), int(port)


def _init(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.identity import authority, settings

    host, port = arguments.broker
    made = authority.create(arguments.folder, arguments.name, authority.utc_now())
    text = f"[broker]\nhost = {json.dumps(host)}\nport = {port}\n"
    if arguments.join:
        text += f"\n[join]\nnames = [{json.dumps(arguments.join)}]\n"
    write_together({arguments.folder / settings.NAME: Content(text.encode())})
    settings.load_settings(arguments.folder)
    with _recorded(arguments, f"ca init {arguments.name}"):
        pass
    print(
        f"{arguments.folder}: authority {arguments.name!r}, good until {made.certificate.not_valid_after_utc:%Y-%m-%d}"
    )
    return 0


def _server(arguments: argparse.Namespace) -> int:
    _own(arguments, arguments.names[0], "server", arguments.names)
    return 0


def _collector(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.identity.authority import COLLECTOR

    _own(arguments, COLLECTOR, "collector", [])
    return 0


def _own(arguments: argparse.Namespace, subject: str, kind: "Kind", names: list[str]) -> None:
    authority = _authority(arguments)
    with _recorded(arguments, f"ca {kind}", " ".join([subject, *names])):
        certificate, key = authority.issue_own(subject, kind, names)
        write_together({arguments.out: Content(certificate.encode() + key, 0o600)})
    print(f"{arguments.out}: certificate and key of {subject}")


def _list(arguments: argparse.Namespace) -> int:
    register = _authority(arguments).register
    out = register.shut_out()
    for each in register.issued():
        state = f"revoked {each.revoked_at:%Y-%m-%d %H:%M} ({each.reason})" if each.revoked_at else "good"
        print(f"{each.subject:<40} {each.kind:<9} until {each.not_after:%Y-%m-%d} {state} serial={each.serial:x}")
    for agent in sorted(out):
        print(f"{agent:<40} shut out")
    return 0


def _enrol(arguments: argparse.Namespace) -> int:
    import msgspec

    from fibrewatch_collector.identity import enrolment, settings

    authority, told = _authority(arguments), settings.load_settings(arguments.folder)
    if arguments.bundle is None:
        if arguments.agent_config:
            raise ConfigError("", "--agent-config", "only with --bundle: a box that joins by token gets the usual one")
        with _recorded(arguments, f"enrol {arguments.agent}", "token"):
            token = enrolment.new_token(authority, told, arguments.agent)
        print(token)
        return 0
    config = arguments.agent_config.read_text("utf-8") if arguments.agent_config else None
    with _recorded(arguments, f"enrol {arguments.agent}", "bundle"):
        bundle = enrolment.offline_bundle(authority, told, arguments.agent, config)
        write_together({arguments.bundle: Content(msgspec.json.format(msgspec.json.encode(bundle)), 0o600)})
    print(
        f"{arguments.bundle}: certificate and key of {arguments.agent}: carry it as a secret, and delete it afterwards"
    )
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.identity import revocation, settings

    told, authority = settings.load_settings(arguments.folder), _authority(arguments)
    with _recorded(arguments, f"revoke {arguments.agent}", arguments.why):
        for line in revocation.revoke(authority, told, arguments.agent, arguments.why):
            print(line, flush=True)
    return 0


def _recorded(arguments: argparse.Namespace, what: str, detail: str = "") -> "AbstractContextManager[None]":
    """With the authority, wherever that is: `fibrewatch audit` shows it."""
    from fibrewatch_collector.access import audit

    return audit.by_command(arguments.folder / audit.NAME, what, detail)


def _authority(arguments: argparse.Namespace) -> "Authority":
    from fibrewatch_collector.identity.authority import Authority

    return Authority(arguments.folder)
