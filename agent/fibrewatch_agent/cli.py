"""The command line of the box: `fibrewatch-agent run|once|doctor|calibrate|check-config|responder|radio-helper`.

Errors are one line on standard error and exit status 2; `once` and `doctor` end with 1 when what they looked at failed.
"""

import argparse
import asyncio
import ipaddress
import logging
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fibrewatch import wire
from fibrewatch.command import FAILED, OK, UNUSABLE, Commands
from fibrewatch.errors import ConfigError
from fibrewatch_agent.config import DEFAULT_PATH, load_config

if TYPE_CHECKING:
    from fibrewatch_agent.responder.reflector import ReflectorConfig

PROGRAM = "fibrewatch-agent"


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Entry point."""
    signal.signal(signal.SIGINT, _interrupted)
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Runs one command and returns its exit status."""
    commands = _commands()
    return commands.run(commands.parser.parse_args(argv))


def _interrupted(_number: int, _frame: object) -> NoReturn:
    """Ends at once, wherever it was: asyncio's own way leaves complaints when it meets a loop half made.

    `run` and `responder` have handlers of their own; children of the others end with their parent.
    """
    os.write(sys.stderr.fileno(), f"{PROGRAM}: interrupted\n".encode())
    os._exit(UNUSABLE)


def _commands() -> Commands:
    commands = Commands(PROGRAM, "Measures a line from its site.", DEFAULT_PATH)
    commands.add("run", _run, "measure and publish until told to stop")
    _add_once_options(commands.add("once", _once, "run one probe now and print its measurement"))
    commands.add("doctor", _doctor, "say what this box can't measure, and what to type to mend it")
    commands.add("calibrate", _calibrate, "measure what the box itself can move, and keep it")
    commands.add("check-config", _check_config, "check the config file, and print what its tests send")
    _add_responder_options(commands.add("responder", _responder, "be the far end that boxes measure against"))
    _add_join_options(commands.add("join", _join, "become one of the operator's boxes, by a bundle or a token"))
    helper = commands.add("radio-helper", _radio_helper, "be the service that may change this box's radios")
    helper.add_argument("--check", action="store_true", help="check the file and end")
    return commands


def _add_join_options(join: argparse.ArgumentParser) -> None:
    by = join.add_mutually_exclusive_group(required=True)
    by.add_argument("bundle", nargs="?", type=Path, metavar="BUNDLE", help="as `fibrewatch enrol --bundle` wrote it")
    by.add_argument(
        "--token", metavar="WORD", help="as `fibrewatch enrol` printed it; `-` reads it from standard input"
    )
    join.add_argument("--state-dir", type=Path, default=Path("/var/lib/fibrewatch-agent"), metavar="DIR")
    join.add_argument(
        "--replace", action="store_true", help="write the config anew, even if this is another box so far"
    )


def _add_once_options(once: argparse.ArgumentParser) -> None:
    once.add_argument("probe", metavar="PROBE")
    once.add_argument("--target", metavar="T", help="a target's name in the config, or any address")
    once.add_argument("--interface", metavar="I")
    once.add_argument("--family", type=int, choices=(4, 6))
    once.add_argument("--param", action="append", default=[], metavar="KEY=VALUE", help="as in [tests.NAME.params]")
    once.add_argument("--window", default="5 s", metavar="TIME", help='for continuous probes, default "5 s"')
    once.add_argument("--json", action="store_true", help="print the measurement as it would be sent")


def _add_responder_options(responder: argparse.ArgumentParser) -> None:
    responder.epilog = "With --config FILE the file says everything: the other options are then refused."
    responder.add_argument("--check", action="store_true", help="check the file and end")
    responder.add_argument("--new-token", metavar="T/S/AGENT", help="make a box's token, print it, keep its hash")
    responder.add_argument("--revoke-token", metavar="T/S/AGENT", help="take a box's token back, at once")
    responder.add_argument("--bind", default="127.0.0.1", metavar="ADDRESS", help="default 127.0.0.1")
    responder.add_argument("--ports", default="5201-5204", metavar="FIRST-LAST", help="default 5201-5204")
    reflector = responder.add_argument_group("STAMP reflector (RFC 8762)")
    reflector.add_argument("--reflector-port", type=int, metavar="PORT", help="default 862 where permitted; 0 for none")
    reflector.add_argument("--reflector-rate", type=int, default=500, metavar="N", help="answers/s to one source (500)")
    reflector.add_argument(
        "--reflector-allow", action="append", default=[], metavar="PREFIX", help="answer these only; may be repeated"
    )
    reflector.add_argument(
        "--reflector-allow-file", metavar="FILE", help="answer those in this file too: a prefix a line, read anew"
    )
    reflector.add_argument(
        "--reflector-whole",
        action="append",
        default=[],
        metavar="PREFIX",
        help="answer these, TWAMP Light senders, with 44 bytes even when they send less; may be repeated",
    )
    reflector.add_argument(
        "--reflector-key", metavar="FILE", help="answer only what is authenticated by the key in this file"
    )


def _run(arguments: argparse.Namespace) -> int:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a reload that comes while we start must not end us
    from fibrewatch.sdnotify import Notifier
    from fibrewatch_agent.app import App

    async def agent() -> None:
        await App(arguments.config or DEFAULT_PATH, Notifier.from_environment(os.environ)).run()
        _leave(OK)

    asyncio.run(agent())
    return OK


def _leave(status: int) -> NoReturn:
    """Ends at once: all is flushed and closed, and asyncio would wait for a thread that waits for a silent resolver."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


def _once(arguments: argparse.Namespace) -> int:
    from fibrewatch_agent.once import Request, describe, lines, measure, prepare

    request = Request(
        probe=arguments.probe,
        config=arguments.config,
        target=arguments.target,
        interface=arguments.interface,
        family=arguments.family,
        params=arguments.param,
        window=arguments.window,
    )
    plan, agent, window_s = prepare(request)
    measurement = asyncio.run(measure(plan, agent, window_s, lines(request)))
    print(wire.encode(measurement).decode() if arguments.json else describe(measurement), flush=True)
    return OK if measurement.outcome == "ok" else FAILED


def _doctor(arguments: argparse.Namespace) -> int:
    from fibrewatch_agent.doctor.report import examine

    checks = asyncio.run(examine(arguments.config or DEFAULT_PATH))
    print("\n".join(str(check) for check in checks), flush=True)
    return FAILED if any(check.fault for check in checks) else OK


def _calibrate(arguments: argparse.Namespace) -> int:
    from fibrewatch_agent.once import describe
    from fibrewatch_agent.transfer.calibrate import calibrate

    config = load_config(arguments.config or DEFAULT_PATH)
    measurements = asyncio.run(calibrate(config))
    print("\n".join(describe(measurement) for measurement in measurements), flush=True)
    return OK if all(measurement.outcome == "ok" for measurement in measurements) else FAILED


def _check_config(arguments: argparse.Namespace) -> int:
    from fibrewatch_agent.line.budget_lines import budgets
    from fibrewatch_agent.traffic.table import table
    from fibrewatch_agent.transfer.ceilings import load, never_proved

    path = arguments.config or DEFAULT_PATH
    config = load_config(path)
    for place, problem in never_proved(config.uplinks, load(config.state_dir)):
        raise ConfigError(str(path), place, problem)
    files = "".join(f", {each}" for each in config.fragments)
    print(f"{path}{files}: ok: {config.agent}, {len(config.plans)} tests against {len(config.targets)} targets")
    if config.plans:
        print(f"\n{table(config.plans)}", flush=True)
    for line in budgets(config):
        print(line, flush=True)
    return OK


def _join(arguments: argparse.Namespace) -> int:
    from fibrewatch_agent.identity import asking, join

    path = (arguments.config or DEFAULT_PATH).absolute()
    place = join.Place(path, arguments.state_dir.absolute())
    word = sys.stdin.readline() if arguments.token == "-" else arguments.token  # noqa: S105 not a token
    joined = asking.by_token(word) if word is not None else join.from_bundle(arguments.bundle)
    print("\n".join(join.write(joined, place, replace=arguments.replace)), flush=True)
    return OK


def _responder(arguments: argparse.Namespace) -> int:
    from fibrewatch_agent.responder.server import ResponderConfig, serve

    if arguments.config is not None:
        return _responder_by_file(arguments)
    if arguments.check or arguments.new_token or arguments.revoke_token:
        raise ConfigError("", "--config", "missing: the responder's file")
    first, last = _ports(arguments.ports)
    config = ResponderConfig(
        host=_numeric(arguments.bind),
        first_port=first,
        last_port=last,
        reflector=None if arguments.reflector_port == 0 else _reflector(arguments),
        reflector_required=arguments.reflector_port is not None,
    )
    asyncio.run(serve(config))
    return OK


def _responder_by_file(arguments: argparse.Namespace) -> int:
    from fibrewatch.sdnotify import Notifier
    from fibrewatch_agent.responder import service

    plain = vars(_commands().parser.parse_args(["responder"]))
    for name in (name for name in plain if name in {"bind", "ports"} or name.startswith("reflector_")):
        if getattr(arguments, name) != plain[name]:
            raise ConfigError("", f"--{name.replace('_', '-')}", f"not beside --config: {arguments.config} says it")
    if arguments.new_token:
        print(service.new_token(arguments.config, arguments.new_token), flush=True)
    elif arguments.revoke_token:
        print(service.revoke_token(arguments.config, arguments.revoke_token), flush=True)
    elif arguments.check:
        print(service.check(arguments.config), flush=True)
    else:
        asyncio.run(service.serve_file(arguments.config, Notifier.from_environment(os.environ)))
    return OK


def _radio_helper(arguments: argparse.Namespace) -> int:
    from fibrewatch.sdnotify import Notifier
    from fibrewatch_agent.radio_helper import config, server

    path = arguments.config or config.DEFAULT_PATH
    if arguments.check:
        found = config.load_helper(path)
        print(f"{path}: ok: {len(found.radios)} radios, {len(found.networks)} networks", flush=True)
        return OK
    asyncio.run(server.serve(path, Notifier.from_environment(os.environ)))
    return OK


def _reflector(arguments: argparse.Namespace) -> "ReflectorConfig":
    from fibrewatch_agent.responder.reflector import ReflectorConfig, checked

    return checked(
        ReflectorConfig(
            hosts=("::", "0.0.0.0") if arguments.bind == "::" else (arguments.bind,),  # noqa: S104 - as asked
            port=ReflectorConfig().port if arguments.reflector_port is None else arguments.reflector_port,
            rate=arguments.reflector_rate,
            burst=arguments.reflector_rate,
            allow=tuple(arguments.reflector_allow),
            allow_file=_absolute(arguments.reflector_allow_file),
            whole=tuple(arguments.reflector_whole),
            key_file=_absolute(arguments.reflector_key),
        )
    )


def _numeric(address: str) -> str:
    """As it is: a name could mean more than was meant, and iperf3 and the reflector different things."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        raise ConfigError("", "--bind", f"{address!r} is not a numeric address") from None
    return address


def _absolute(path: str | None) -> str | None:
    return path and str(Path(path).absolute())


def _ports(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    numbers = [int(part) if re.fullmatch("[0-9]{1,5}", part) else 0 for part in (first, last or first)]
    if not 0 < numbers[0] <= numbers[1] <= 65535:
        raise ConfigError("", "--ports", f"{text!r} is not FIRST-LAST within 1 and 65535")
    return numbers[0], numbers[1]
