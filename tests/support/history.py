"""Hours of history for a Prometheus that has just been started: one page of a collector, repeated back in time."""

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

_SAMPLE = re.compile(r"(\w+)(\{.*\})? (\S+)\n?\Z")
_FAMILY = re.compile(r"# TYPE (\w+) (\w+)")
_COUNTING = ("counter", "histogram")


def lines_before(
    page: str, instance: str, end: float, span_s: float, step_s: float, keep: Callable[[str], bool]
) -> Iterator[str]:
    """OpenMetrics for promtool: each series that is kept, each step; counters rise evenly to what they are now.

    Args:
        page: What the collector served, in OpenMetrics.
        instance: The scrape's own labels, job="…",instance="…".
        keep: Asked for each sample's name and labels.
    """
    steps = int(span_s // step_s)
    times = [f"{end - (steps - each) * step_s:.3f}" for each in range(1, steps + 1)]
    rising = False
    for line in page.splitlines(keepends=True):
        if line.startswith("#"):
            if found := _FAMILY.match(line):
                rising = found[2] in _COUNTING
            if line != "# EOF\n":
                yield line
            continue
        found = _SAMPLE.match(line)
        if found is None or found[1].endswith("_created") or not keep(line):
            continue
        labels = f"{found[2][:-1]},{instance}}}" if found[2] else f"{{{instance}}}"
        yield from _series(f"{found[1]}{labels}", found[3], times, rising=rising)
    yield "# EOF\n"


def _series(name: str, value: str, times: list[str], *, rising: bool) -> Iterator[str]:
    if not rising:
        yield "".join(f"{name} {value} {at}\n" for at in times)
        return
    whole, count = float(value), len(times)
    yield "".join(f"{name} {whole * (each + 1) / count!r} {at}\n" for each, at in enumerate(times))


def backfill(folder: Path, lines: Iterator[str], timeout_s: float = 600) -> None:
    """Makes blocks of them where a Prometheus will look for its data."""
    folder.mkdir(parents=True, exist_ok=True)
    text = folder / "history.om"
    with text.open("w", encoding="utf-8") as out:
        out.writelines(lines)
    argv = ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=54h"]  # it reads all anew for each block
    argv += ["openmetrics", "--quiet", str(text), str(folder / "data")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False)
    text.unlink()
    assert done.returncode == 0, done.stderr[-2000:]
