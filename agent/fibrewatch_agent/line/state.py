"""What a box keeps of its lines from one start to the next: accounts, and round trips of the past day."""

import logging
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from fibrewatch_agent.line.baseline import Seen
from fibrewatch_agent.line.budget import Account

log = logging.getLogger(__name__)

FILE = "lines.json"


class LineState(Struct, kw_only=True):
    """Accounts and round trips, by uplink ("" without one)."""

    accounts: dict[str, Account] = {}
    round_trips: dict[str, list[Seen]] = {}


def load(folder: Path | None) -> LineState:
    """What was kept; a file that is damaged is set aside, and said."""
    if folder is None:
        return LineState()
    path = folder / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=LineState)
    except FileNotFoundError:
        return LineState()
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
        log.error("what was known of the lines is lost file=%s error=%s", path, e)  # noqa: TRY400
        return LineState()


def save(folder: Path | None, state: LineState) -> None:
    """Keeps it."""
    if folder is not None:
        write(folder / FILE, msgspec.json.encode(state))


def write(path: Path, content: bytes) -> None:
    """Whole or not at all, also when the power fails; a disk that refuses is said, no more."""
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("wb") as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
        fresh.replace(path)
    except OSError as e:
        log.warning("can't keep what is known of the lines file=%s error=%s", path, e.strerror)
