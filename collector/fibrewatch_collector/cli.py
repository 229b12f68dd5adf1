"""The command line of the server: `fibrewatch-collector run|check-config|import|export|backup|restore`.

Errors are one line on standard error and exit status 2.
"""

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from fibrewatch.command import FAILED, OK, Commands
from fibrewatch.errors import StoreError
from fibrewatch.sdnotify import Notifier
from fibrewatch_collector import lint
from fibrewatch_collector.access import AccessError, audit, reachable
from fibrewatch_collector.config import DEFAULT_PATH, Config, load_config
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.store import Store
from fibrewatch_collector.web.query import QueryError, instant

if TYPE_CHECKING:
    from fibrewatch_collector.backup.archive import Manifest

log = logging.getLogger(__name__)
PROGRAM = "fibrewatch-collector"


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Entry point."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Runs one command and returns its exit status."""
    commands = _commands()
    return commands.run(commands.parser.parse_args(argv), QueryError)


def _commands() -> Commands:
    commands = Commands(PROGRAM, "Keeps and judges what the boxes measure.", DEFAULT_PATH)
    commands.add("run", _run, "collect until told to stop")
    commands.add("check-config", _check_config, "check the config file and the inventory that it names")
    _add_import_options(commands.add("import", _import, "store what was exported, each measurement once"))
    _add_export_options(commands.add("export", _export, "print stored measurements, one a line"))
    _add_backup_options(commands.add("backup", _backup, "copy the collector's state into a file; it may run meanwhile"))
    _add_restore_options(commands.add("restore", _restore, "put a backup's state in place; the collector must not run"))
    return commands


def _add_backup_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help="to make: a tar archive, mode 0600")
    command.add_argument(
        "--with-keys", action="store_true", help="the authority's key, other private keys and tokens too: keep it safe"
    )


def _add_restore_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help="as backup writes it")
    command.add_argument("--check", action="store_true", help="only look whether it could be restored")
    command.add_argument("--force", action="store_true", help="put a state that is there aside, under another name")


def _add_import_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help="as export writes it; - is standard input")


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
    _warn(config)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(config, inventory, Notifier.from_environment()))
    return OK


def _warn(config: Config) -> None:
    """Tokens are no reason not to collect."""
    try:
        problem = reachable.nobody_may_ask(config)
    except AccessError as e:
        log.warning("%s", e)
        return
    if problem is not None:
        log.warning("%s: %s", *problem)


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
    store = _store(config) if config.store.path.exists() else nullcontext()
    with store as told:
        promised = lint.check(inventory, config.sites, told)
    reachable.check(config, str(path))
    for line in [*inventory.mesh.warnings(), *promised]:
        print(f"{PROGRAM}: warning: {line}", file=sys.stderr)
    print(f"{path}: ok: {config.sites}: {len(inventory.sites)} sites, {len(inventory.agents)} agents", flush=True)
    return OK


def _import(arguments: argparse.Namespace) -> int:
    """Stores a file's lines and restates the bins that they belong to."""
    from fibrewatch_collector import recovery, transfer

    _, config = _config(arguments)
    inventory = load_inventory(config.sites)
    now = time.time()
    recorded = audit.by_command(config.audit, f"import {arguments.file}")
    with recorded, _input(arguments.file) as file, _store(config) as store:
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


def _backup(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.backup import making
    from fibrewatch_collector.backup.parts import parts

    path, config = _config(arguments)
    made = making.make(parts(path.absolute(), config), arguments.file.absolute(), with_keys=arguments.with_keys)
    print(f"{arguments.file}: {_told(made)}", flush=True)
    if made.left_out:
        print(f"not in it, for want of --with-keys: {', '.join(made.left_out)}", flush=True)
    return OK


def _restore(arguments: argparse.Namespace) -> int:
    from fibrewatch_collector.backup import restoring

    path = (arguments.config or DEFAULT_PATH).absolute()
    if arguments.check:
        print(f"{arguments.file}: ok: {_told(restoring.check(arguments.file, path))}", flush=True)
        return OK
    done = restoring.restore(arguments.file, path, force=arguments.force)
    for each in done.files:
        print(f"restored {each}")
    for each in done.aside:
        print(f"what was there before: {each}")
    if done.manifest.left_out:
        print(f"to be brought from elsewhere: {', '.join(done.manifest.left_out)}")
    print(f"{arguments.file}: {_told(done.manifest)}", flush=True)
    if any(each.name in ("authority/register.db", "tokens.db") for each in done.manifest.files):
        print("boxes and tokens that were revoked after that moment are good again: revoke them before it starts")
    return OK


def _told(manifest: "Manifest") -> str:
    size = sum(each.bytes for each in manifest.files)
    through = manifest.through.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{len(manifest.files)} files, {size} bytes: all that was acknowledged before {through}"


@contextmanager
def _store(config: Config) -> Iterator[Store]:
    from fibrewatch_collector.store.sqlite import SqliteStore

    config.store.path.parent.mkdir(parents=True, exist_ok=True)
    store = SqliteStore(config.store.path)
    try:
        yield store
    finally:
        store.close()


def _input(path: Path) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if path == Path("-") else path.open("rb")


def _output(path: Path | None) -> AbstractContextManager[BinaryIO]:
    return path.open("wb") if path is not None else nullcontext(sys.stdout.buffer)
