"""What the command lines share: options on both sides of the command, one-line errors, exit statuses."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from fibrewatch import __version__
from fibrewatch.errors import FibrewatchError

OK, FAILED, UNUSABLE = 0, 1, 2
Command = Callable[[argparse.Namespace], int]


class _Help(argparse.HelpFormatter):
    """As wide as the terminal, which argparse asks `shutil` for: with its archives that stays 0.5 MiB in a box."""

    def __init__(self, prog: str) -> None:
        width = os.get_terminal_size().columns if sys.stdout.isatty() else 80
        super().__init__(prog, width=(width or 80) - 2)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage above it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Help, **options)

    def error(self, message: str) -> NoReturn:
        """Ends the process."""
        self.exit(UNUSABLE, f"{self.prog.split()[0]}: {one_line(message)}; see {self.prog} --help\n")


class Commands:
    """A program's command line: `add` its commands, then `run`.

    Args:
        config: The default of --config.
    """

    def __init__(self, program: str, description: str, config: Path) -> None:
        self.program, self._config = program, config
        self.parser = Parser(prog=program, parents=[self._common()], allow_abbrev=False, description=description)
        self.parser.add_argument("--version", action="version", version=f"{program} {__version__}")
        self.parser.set_defaults(config=None, log_level="info")
        self._commands = self.parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(self, name: str, function: Command, text: str) -> argparse.ArgumentParser:
        """A command; options of its own are added to what this returns."""
        parents = [self._common()]
        command = self._commands.add_parser(name, parents=parents, allow_abbrev=False, help=text, description=text)
        command.set_defaults(command=function)
        return command

    def run(self, arguments: argparse.Namespace, *errors: type[Exception]) -> int:
        """Runs the command that was given; its exit status. `errors` are told as FibrewatchError is."""
        logging.basicConfig(
            stream=sys.stderr, level=arguments.log_level.upper(), format="%(levelname)s %(name)s %(message)s"
        )
        logging.getLogger("aiohttp.server").addFilter(_quotes_no_request)
        return guarded(self.program, arguments.command, arguments, *errors)

    def _common(self) -> Parser:
        """Accepted before the command and after it; made anew each time, since defaults belong to the actions."""
        common = Parser(add_help=False)
        common.add_argument(
            "--config", type=Path, default=argparse.SUPPRESS, metavar="FILE", help=f"default {self._config}"
        )
        levels = ("debug", "info", "warning", "error")
        common.add_argument("--log-level", choices=levels, default=argparse.SUPPRESS, help="default info")
        return common


def _quotes_no_request(record: logging.LogRecord) -> bool:
    """aiohttp 3 logs what is wrong with a request by quoting it, a token in a broken header with it."""
    wrong = record.exc_info[1] if record.exc_info else None
    return type(wrong).__module__ != "aiohttp.http_exceptions"


def guarded(program: str, command: Command, arguments: argparse.Namespace, *errors: type[Exception]) -> int:
    """The command's exit status; what went wrong is one line on standard error."""
    expected: tuple[type[Exception], ...] = (FibrewatchError, *errors)
    try:
        return command(arguments)
    except KeyboardInterrupt:
        return complain(program, "interrupted")
    except BrokenPipeError:  # what reads our output has gone; Python would complain when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except expected as e:
        return complain(program, str(e))
    except ExceptionGroup as e:
        return complain(program, _first_of(e))
    except OSError as e:
        return complain(program, ": ".join(str(part) for part in (e.filename, e.strerror or e) if part))


def complain(program: str, problem: str) -> int:
    """Says it, and gives the exit status."""
    print(f"{program}: {one_line(problem)}", file=sys.stderr, flush=True)
    return UNUSABLE


def one_line(text: str) -> str:
    """Without breaks or runs of space."""
    return " ".join(text.split())


def _first_of(group: BaseExceptionGroup[Exception]) -> str:
    """What went wrong first, of tasks that ended together."""
    fault: BaseException = group
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    logging.getLogger(__name__).debug("ended by", exc_info=fault)
    return f"{type(fault).__name__}: {fault}" if not isinstance(fault, FibrewatchError) else str(fault)
