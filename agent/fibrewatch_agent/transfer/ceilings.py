"""What the box itself reached when it was calibrated, by interface: kept in a file of its own.

`fibrewatch-agent calibrate` writes it beside a running agent, which therefore reads it anew for each test.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from fibrewatch.results.calibration import Result
from fibrewatch_agent.conditions import route_interface
from fibrewatch_agent.line.config import LineConfig
from fibrewatch_agent.line.state import write
from fibrewatch_agent.transfer.verdict import AT_CALIBRATED, GOODPUT_CEILING

FILE = "calibration.json"
MONTH_S = 30 * 86400.0


class Ceiling(Struct, frozen=True, kw_only=True):
    """Bytes of TCP payload per second; `at` is UTC seconds since 1970."""

    at: float
    reference: str
    down: float | None = None
    up: float | None = None


def load(folder: Path | None) -> dict[str, Ceiling]:
    """By interface; nothing where there was no calibration or its file is damaged."""
    if folder is None:
        return {}
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=dict[str, Ceiling])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


def keep(folder: Path | None, interface: str, at: float, result: Result) -> None:
    """Adds one, or takes the place of an older one."""
    fresh = Ceiling(at=at, reference=result.reference, down=result.ceiling_down, up=result.ceiling_up)
    if folder is not None:
        write(folder / FILE, msgspec.json.encode(load(folder) | {interface: fresh}))


def due(known: Mapping[str, Ceiling], interface: str, now: float) -> bool:
    """Never calibrated, or more than a month ago, or by a clock that was wrong."""
    one = known.get(interface)
    return one is None or not 0 <= now - one.at < MONTH_S


def never_proved(
    uplinks: Mapping[str, LineConfig], known: Mapping[str, Ceiling], proc: Path = Path("/proc")
) -> Iterator[tuple[str, str]]:
    """Places of contracted rates that this box could never show, and why.

    An uplink that names no interface has the default route's, as when it is calibrated.
    A rate is that of a line; of it, 0.9415 can be TCP payload. What reaches 95 % of the ceiling is a bound only.
    """
    for name, line in uplinks.items():
        interface = line.interface or route_interface(proc, None)
        ceiling = known.get(interface or "")
        for direction in ("down", "up"):
            rate, most = line.rate(direction), getattr(ceiling, direction, None)
            if ceiling is None or rate is None or most is None or AT_CALIBRATED * GOODPUT_CEILING * rate <= most:
                continue
            day = datetime.fromtimestamp(ceiling.at, UTC).date()
            yield (
                f"uplinks.{name}.rate_{direction}",
                f"{rate * 8 / 1e6:g} Mbit/s could never be proved: this box reaches {most * 8 / 1e6:.0f} Mbit/s of "
                f"payload on {interface} (calibrated {day} against {ceiling.reference})",
            )
