"""The command line of the server: `fibrewatch-collector run|check-config|import|export`.

Errors are one line on standard error and exit status 2.
"""

import argparse
import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, NoReturn

from fibrewatch import __version__
from fibrewatch.errors import FibrewatchError, StoreError
from fibrewatch_collector.config import DEFAULT_PATH, Config, load_config
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.store import Store
from fibrewatch_collector.web.query import QueryError, instant

PROGRAM = "fibrewatch-collector"
OK, FAILED, UNUSABLE = 0, 1, 2


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(UNUSABLE, f"{PROGRAM}: {_one_line(message)}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Entry point."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Runs one command and returns its exit status."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        stream=sys.stderr, level=arguments.log_level.upper(), format="%(levelname)s %(name)s %(message)s"
    )
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except KeyboardInterrupt:
        return _complain("interrupted")
    except BrokenPipeError:  # what reads our output has gone; Python would complain when it flushes
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (FibrewatchError, QueryError) as e:
        return _complain(str(e))
    except ExceptionGroup as e:
        return _complain(_first_of(e))
    except OSError as e:
        return _complain(_told(e))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM, parents=[_common()], allow_abbrev=False, description="Keeps and judges what the boxes measure."
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.set_defaults(config=None, log_level="info")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, parents=[_common()], allow_abbrev=False, help=text, description=text)
        command.set_defaults(command=function)
        return command

    add("run", _run, "collect until told to stop")
    add("check-config", _check_config, "check the config file and the inventory that it names")
    _add_import_options(add("import", _import, "store what was exported, each measurement once"))
    _add_export_options(add("export", _export, "print stored measurements, one a line"))
    return parser


def _common() -> _Parser:
    """What is accepted before the command and after it; made anew each time, since defaults belong to the actions."""
    common = _Parser(add_help=False)
    common.add_argument(
        "--config", type=Path, default=argparse.SUPPRESS, metavar="FILE", help=f"default {DEFAULT_PATH}"
    )
    common.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default=argparse.SUPPRESS, help="default info"
    )
    return common


def _add_import_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help="as export writes it")


def _add_export_options(command: argparse.ArgumentParser) -> None:
    moment = "a moment with its zone, such as 2026-10-01T00:00:00Z"
    command.add_argument("--from", dest="begin", required=True, metavar="TIME", help=f"started at or after: {moment}")
    command.add_argument("--to", dest="end", required=True, metavar="TIME", help="started before")
    command.add_argument("--output", type=Path, metavar="FILE", help="instead of standard output")


def _config(arguments: argparse.Namespace) -> tuple[Path, Config]:
    path: Path = arguments.config or DEFAULT_PATH
    return path, load_config(path)


def _run(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.app import serve

    _, config = _config(arguments)
    inventory = load_inventory(config.sites)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(config, inventory))
    return OK


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where it is installed: a fifth less CPU for each message."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _check_config(arguments: argparse.Namespace) -> int:
    path, config = _config(arguments)
    inventory = load_inventory(config.sites)
    print(f"{path}: ok: {config.sites}: {len(inventory.sites)} sites, {len(inventory.agents)} agents", flush=True)
    return OK


def _import(arguments: argparse.Namespace) -> int:
    """Stores a file's lines and restates the bins that they belong to."""
    from fibrewatch_collector import recovery, transfer

    _, config = _config(arguments)
    inventory = load_inventory(config.sites)
    now = time.time()
    with arguments.file.open("rb") as file, _store(config) as store:
        done = transfer.import_lines(store, file, str(arguments.file), now, config.store.retention_s)
        bins = recovery.rejudge(store, inventory, now, now)
    print(
        f"{arguments.file}: {done.lines} lines: {done.stored} stored, {done.duplicates} were there, "
        f"{done.conflicts} conflicts, {done.refused} refused; {bins} bins restated",
        flush=True,
    )
    return OK if not done.conflicts and not done.refused else FAILED


def _export(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector import transfer

    begin, end = instant(arguments.begin, "--from"), instant(arguments.end, "--to")
    if begin >= end:
        raise QueryError(f"--to: {arguments.end} is not after --from {arguments.begin}")
    _, config = _config(arguments)
    if not config.store.path.exists():
        raise StoreError(f"{config.store.path}: there is no store")
    with _store(config) as store, _output(arguments.output) as output:
        output.writelines(transfer.export_lines(store, begin, end))
        output.flush()
    return OK


@contextmanager
def _store(config: Config) -> Iterator[Store]:
    from fibrewatch_collector.store.sqlite import SqliteStore

    config.store.path.parent.mkdir(parents=True, exist_ok=True)
    store = SqliteStore(config.store.path)
    try:
        yield store
    finally:
        store.close()


def _output(path: Path | None) -> AbstractContextManager[BinaryIO]:
    return path.open("wb") if path is not None else nullcontext(sys.stdout.buffer)


def _complain(words: str) -> int:
    print(f"{PROGRAM}: {_one_line(words)}", file=sys.stderr, flush=True)
    return UNUSABLE


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _told(error: OSError) -> str:
    return ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)


def _first_of(group: ExceptionGroup[Exception]) -> str:
    """The first error of a group of groups."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"
