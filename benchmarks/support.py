"""What the benchmarks share: processes that end with the run, their CPU time, a table, and results on disk."""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parents[1]
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
STOP_TIMEOUT_S = 15.0


class Process:
    """A child with its log; ended at the end of the `with`."""

    def __init__(self, argv: Sequence[str], log: Path) -> None:
        self.argv, self.log = argv, log
        with log.open("ab") as out:
            self._process = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=ROOT)

    @property
    def pid(self) -> int:
        """Of the child itself."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._process.poll() is not None

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        self._process.send_signal(number)

    def cpu_s(self) -> float:
        """User and system time of all its threads so far (proc(5), /proc/PID/stat, fields 14 and 15)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_S

    def rss_bytes(self) -> int:
        """Resident memory now (VmRSS)."""
        lines = Path(f"/proc/{self.pid}/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

    def wait(self, timeout_s: float) -> None:
        """Waits for its end; anything but exit status 0 ends the benchmark."""
        status = self._process.wait(timeout_s)
        if status != 0:
            raise SystemExit(f"{' '.join(self.argv)}: exit status {status}\n{self.log.read_text('utf-8')[-2000:]}")

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()


def python(*arguments: str) -> list[str]:
    """The command line of this interpreter."""
    return [sys.executable, *arguments]


def need(*packages: str, programs: Sequence[str]) -> None:
    """Ends with status 2 when a program is not installed, and says how to get it."""
    missing = [program for program in programs if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
    if missing:
        print(f"missing: {', '.join(missing)}: apt-get install {' '.join(packages)}", file=sys.stderr)
        raise SystemExit(2)


def get(url: str, timeout_s: float = 120.0) -> bytes:
    """The body at a local URL."""
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:
        body: bytes = answer.read()
    return body


def wait_until_ready(url: str, timeout_s: float = 30.0) -> None:
    """Returns once a local URL answers with status 200."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            get(url, 5.0)
        except (OSError, urllib.error.HTTPError) as e:
            if time.monotonic() > deadline:
                raise SystemExit(f"{url} does not get ready: {e}") from e
            time.sleep(0.1)
        else:
            return


def options(description: str) -> argparse.ArgumentParser:
    """A parser that knows where the results go."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the figures")
    return parser


def save(folder: Path, name: str, figures: dict[str, Any]) -> None:
    """Writes the figures and the machine they are of."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"machine": machine(), **figures}
    (folder / f"{name}.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    cpuinfo = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith(("model name", "Model"))]
    return {
        "cores": os.cpu_count() or 0,
        "cpu": models[-1] if models else platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [heads, *rows]]
    rule = " | ".join("-" * width for width in widths)
    return "\n".join(f"| {line} |" for line in [lines[0], rule, *lines[1:]])


@contextmanager
def stopwatch() -> Iterator[list[float]]:
    """Appends the seconds that the block took."""
    taken: list[float] = []
    begun = time.perf_counter()
    yield taken
    taken.append(time.perf_counter() - begun)


def hold(limits: Iterable[tuple[str, float, float]]) -> None:
    """Ends with status 1 where a figure is above what was promised: what, how much, at most."""
    passed = [f"{what} is {figure:.2f}, {most:g} at most" for what, figure, most in limits if figure > most]
    if passed:
        print("beyond the limit: " + "; ".join(passed), file=sys.stderr)
        raise SystemExit(1)
