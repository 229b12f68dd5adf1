"""The options of `fibrewatch token` and `fibrewatch audit`: on the collector's machine, beside its store."""

import argparse
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from fibrewatch.config import quantity
from fibrewatch_collector.access.scopes import SCOPES
from fibrewatch_collector.access.tokens import NAME_PATTERN
from fibrewatch_collector.config import DEFAULT_PATH, Config, load_config

if TYPE_CHECKING:
    from fibrewatch_collector.access.audit import Change
    from fibrewatch_collector.access.tokens import Token

_LASTS = "365 d"
NEVER = "never"


def add_token(parser: argparse.ArgumentParser) -> None:
    """Its commands: add, list, revoke."""
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = _command(commands, "add", "make a token; it is shown once and never again")
    add.add_argument("name", type=_name, help="whom it is for, such as prometheus or noc-screen")
    add.add_argument("--scope", required=True, choices=SCOPES, help="each includes those before it")
    add.add_argument(
        "--expires", type=_lasts, default=_LASTS, metavar="DURATION", help=f'"{_LASTS}" unless set, or never'
    )
    add.add_argument("--out", type=Path, metavar="FILE", help="write it there, mode 0600, instead of showing it")
    add.set_defaults(run=_add)
    shown = _command(commands, "list", "the tokens, until when they are good and when they were used last")
    shown.set_defaults(run=_list)
    revoke = _command(commands, "revoke", "void a token: the running collector refuses it within a second")
    revoke.add_argument("name", type=_name)
    revoke.set_defaults(run=_revoke)


def add_audit(parser: argparse.ArgumentParser) -> None:
    """What to show of it."""
    _add_config(parser)
    parser.add_argument("--last", type=_count, metavar="N", help="only so many, the newest")
    parser.add_argument("--format", default="text", choices=("text", "json"), help="json: one change a line")
    parser.set_defaults(run=_audit)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    _add_config(parser)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, default=DEFAULT_PATH, metavar="FILE", help=f"default {DEFAULT_PATH}")


def _name(text: str) -> str:
    if not re.fullmatch(NAME_PATTERN, text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a name of letters, digits, dots, @, - and _, 40 at most")
    return text


def _lasts(text: str) -> timedelta | None:
    if text == NEVER:
        return None
    try:
        lasts = timedelta(seconds=quantity(text, "duration"))
    except (ValueError, OverflowError) as e:
        raise argparse.ArgumentTypeError(f"{e}, or never") from e
    if not timedelta(0) < lasts <= timedelta(days=36500):
        raise argparse.ArgumentTypeError(f"{text!r} is not within a hundred years: write never")
    return lasts


def _count(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _add(arguments: argparse.Namespace) -> int:
    from fibrewatch.files import Content, write_together
    from fibrewatch_collector.access import audit
    from fibrewatch_collector.access.records import TokenFile

    config, now = load_config(arguments.config), datetime.now(UTC)
    until = now + arguments.expires if arguments.expires is not None else None
    said = f"scope {arguments.scope}, {f'until {until:%Y-%m-%d %H:%MZ}' if until else 'for ever'}"
    with audit.by_command(config.audit, f"token add {arguments.name}", said):
        if arguments.out is not None:
            write_together({arguments.out: Content(b"", 0o600)})  # what can't be kept isn't made
        text = TokenFile(config.tokens).add(arguments.name, arguments.scope, now, until)
        if arguments.out is not None:
            write_together({arguments.out: Content(f"{text}\n".encode(), 0o600)})
    print(f"{arguments.out}: token {arguments.name}, {said}" if arguments.out is not None else text)
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.access.records import TokenFile

    now = datetime.now(UTC)
    found = [token for token, _ in TokenFile(load_config(arguments.config).tokens).all()]
    for each in found:
        print(_token_line(each, now))
    if not found:
        print("no tokens: nobody but free networks may ask")
    return 0


def _token_line(token: "Token", now: datetime) -> str:
    used = f"used {token.used_at:%Y-%m-%d %H:%MZ} from {token.used_from}" if token.used_at else "never used"
    until = f"until {token.expires_at:%Y-%m-%d}" if token.expires_at else "for ever"
    return (
        f"{token.name:<24} {token.scope:<8} made {token.made_at:%Y-%m-%d} {until:<16} "
        f"{token.problem(now) or 'good':<8} {used}"
    )


def _revoke(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.access import AccessError, audit
    from fibrewatch_collector.access.records import TokenFile

    config = load_config(arguments.config)
    with audit.by_command(config.audit, f"token revoke {arguments.name}"):
        if not TokenFile(config.tokens).revoke(arguments.name, datetime.now(UTC)):
            raise AccessError(f"there is no token {arguments.name!r} (fibrewatch token list)")
    print(f"{arguments.name}: revoked")
    return 0


def _audit(arguments: argparse.Namespace) -> int:
    """Of the API and of commands on this machine, those of the authority too, by time."""
    import msgspec

    changes = _changes(load_config(arguments.config))
    for each in changes[-arguments.last :] if arguments.last else changes:
        print(msgspec.json.encode(each).decode() if arguments.format == "json" else _change_line(each))
    if not changes and arguments.format == "text":
        print("no changes are recorded")
    return 0


def _changes(config: Config) -> "list[Change]":
    from fibrewatch_collector.access.audit import NAME, Audit

    files = [config.audit, *([config.authority.folder / NAME] if config.authority else [])]
    return sorted((each for file in files for each in Audit(file).changes()), key=lambda each: each.at)


def _change_line(change: "Change") -> str:
    detail = f" {change.detail}" if change.detail else ""
    outcome = change.outcome or "no outcome recorded"
    line = f"{change.at:%Y-%m-%d %H:%M:%SZ} {change.who} from {change.origin}: {change.what}{detail}: {outcome}"
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in line)
