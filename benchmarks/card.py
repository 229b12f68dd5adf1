"""`python -m benchmarks.card`: what the agent writes to its SD card in a day, and Mosquitto to its disk for one box.

The site of `benchmarks.resident` on the whole default schedule. State and broker's data lie on ext4 file systems of
their own on loop devices, mounted noatime: what is counted is what the block devices were told to write, journal and
all. Logs, which go to journald, are not in it.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.resident import mounts, start_agent, start_collector, start_far_end, start_gateway
from benchmarks.support import ROOT, need, options, python, save, table
from tests.support.mosquitto import Mosquitto
from tests.support.routers import Chain

MIB = 2**20
_DAY_S = 86400.0
_SETTLE_S = 20.0
_SECTOR_BYTES = 512
CASES = {
    "at once": "",
    "sync_every": '[spool]\nsync_every = "10 min"\n',
    "no broker": "",
}


def main() -> None:
    """Measures each case and prints the table."""
    parser = options(__doc__ or "")
    parser.add_argument("--duration", type=float, default=240.0, metavar="SECONDS", help="of each case")
    parser.add_argument("--inside", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--case", choices=list(CASES), help="only this one")
    given = parser.parse_args()
    if given.inside:
        print(*_measure(Path(given.inside), given.case, given.duration))
        return
    need("mosquitto", "iproute2", "dnsmasq-base", "e2fsprogs", programs=["mosquitto", "ip", "dnsmasq", "mkfs.ext4"])
    if os.geteuid() != 0:
        print("making network namespaces and mounting needs root", file=sys.stderr)
        raise SystemExit(2)
    cases = [given.case] if given.case else list(CASES)
    rows = [(case, *(f"{each / MIB:.1f}" for each in _at_a_site(case, given.duration))) for case in cases]
    heads = ("Results are written, MiB a day", "agent's card", "Mosquitto's disk, for this box")
    print(table(heads, rows))
    save(given.results, "card", {"heads": heads, "rows": rows})


def _at_a_site(case: str, seconds: float) -> tuple[float, float]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="fibrewatch-bench-")))
        site = stack.enter_context(Chain(2))
        start_far_end(stack, folder, site)
        start_gateway(stack, folder, site)
        argv = python("-m", "benchmarks.card", "--inside", str(folder), "--case", case, "--duration", str(seconds))
        argv = site.box.exec("unshare", "--mount", "sh", "-c", f'{mounts(folder)} exec "$@"', "sh", *argv)
        done = subprocess.run(argv, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=seconds + 240)
    agent, broker = done.stdout.split()
    return float(agent), float(broker)


def _measure(folder: Path, case: str, seconds: float) -> tuple[float, float]:
    """Bytes a day of the agent's and of the broker's file system."""
    with ExitStack() as stack:
        card = stack.enter_context(_file_system(folder / "card.img", folder / "agent"))
        disk = stack.enter_context(_file_system(folder / "disk.img", folder / "mosquitto-data"))
        broker = stack.enter_context(Mosquitto(folder))
        start_collector(stack, folder, broker.port)
        agent = start_agent(stack, folder, broker.port, CASES[case])
        time.sleep(_SETTLE_S)
        if case == "no broker":
            broker.kill()
        os.sync()
        before, begun = (_written(card), _written(disk)), time.monotonic()
        time.sleep(seconds)
        if agent.ended:
            raise SystemExit((folder / "agent.log").read_text("utf-8")[-2000:])
        os.sync()
        after, elapsed = (_written(card), _written(disk)), time.monotonic() - begun
    by_agent, by_broker = ((late - early) / elapsed * _DAY_S for early, late in zip(before, after, strict=True))
    return by_agent, by_broker


@contextmanager
def _file_system(image: Path, at: Path) -> Iterator[str]:
    """A fresh ext4; the name of its loop device."""
    with image.open("wb") as file:
        file.truncate(600 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image)], check=True)
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop,noatime", str(image), str(at)], check=True)
    try:
        argv = ["findmnt", "-n", "-o", "SOURCE", str(at)]
        yield subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.strip().removeprefix("/dev/")
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def _written(device: str) -> int:
    """Bytes that a block device was told to write (Documentation/block/stat.rst, the seventh figure)."""
    return int(Path(f"/sys/block/{device}/stat").read_text("ascii").split()[6]) * _SECTOR_BYTES


if __name__ == "__main__":
    main()
