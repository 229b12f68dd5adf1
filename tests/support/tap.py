"""A packet capture of a namespace's interface, with nanoseconds."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.netns import Namespace

ROOT = Path(__file__).parents[2]


class Capture:
    """By tcpdump where it can run, from the moment that it listens until `stop`.

    Not in immediate mode: waking tcpdump for each packet would itself take longer than what is compared, and its ring
    of 262 kB slots drops bursts.
    """

    def __init__(self, namespace: Namespace, path: Path, wanted: str, interface: str = "eth0") -> None:
        self.path = path
        options = ["-U", "-s", "256", "-B", "8192", "--time-stamp-precision=nano"]
        argv = ["tcpdump", "-i", interface, "-n", "-Z", "root", *options, "-w", str(path), wanted]
        if Path("/proc/self/setgroups").read_text().strip() == "deny":
            argv = [sys.executable, "-m", "tests.support.capture", interface, str(path)]
        self.process = namespace.popen(argv, cwd=ROOT, stderr=subprocess.PIPE)
        assert self.process.stderr is not None
        while b"listening on" not in (line := self.process.stderr.readline()):
            assert line, "the capture ended early"

    def stop(self, complete: Callable[[Path], bool]) -> None:
        """Ends it once it has written all: the ring hands packets over in blocks."""
        deadline = time.monotonic() + 20
        while not complete(self.path) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.process.terminate()
        self.process.communicate(timeout=20)
