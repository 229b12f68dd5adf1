"""Whether a secret of the tests got to where others see it: command lines, environments, logs, /metrics, API answers.

A pytest plugin of the whole run. What makes secrets registers them; private keys in files of the run are found by
themselves. One thread watches all that the run starts: with workers, in the process that started them, where no test
runs, so that it disturbs none. Each worker reads its logs at its end, and tells what it found and what it knows.
"""

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

EVERY_S = 0.1
LEAST = 8
"""A shorter word would be found where nobody wrote it."""
_LOOKS = 2
"""At each process: the first time one may not be itself yet, and its parent may not be known."""
_MOST_FILE = 64 << 20
_MOST_SEEN = 200_000
_LOGS = (".log", ".err", ".out", ".journal")
_KEYS = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END")
_KEY_FILES = (".pem", ".key", ".bundle", "bundle")
_MOST_KEY_FILE = 1 << 16
PLANTED = "planted"
"""A folder of this name holds what the scan's own test put there."""


class Scan:
    """Secrets, and what was seen where they must not be."""

    def __init__(self) -> None:
        self.secrets: dict[bytes, str] = {}
        self.found: list[str] = []
        self._seen: dict[bytes, str] = {}
        self._family, self._known = {os.getpid()}, dict[int, int]()
        self._ending = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="secrets", daemon=True)
        self.cpu_s = 0.0

    def register(self, secret: str, what: str = "a secret") -> str:
        """Must be seen nowhere; gives it back."""
        if len(secret) >= LEAST:
            self.secrets[secret.encode()] = what
        return secret

    # ---- processes

    def start(self) -> None:
        """Watches what this process starts."""
        self._watcher.start()

    def stop(self) -> None:
        """Watches no more."""
        self._ending.set()
        if self._watcher.is_alive():
            self._watcher.join(10)

    def _watch(self) -> None:
        while not self._ending.wait(EVERY_S):
            self.look()
        self.cpu_s += time.thread_time()

    def look(self) -> None:
        """At command lines and environments of new children, of their children, and so on."""
        present = {int(name) for name in os.listdir("/proc") if name.isdecimal()}  # noqa: PTH208 ten times a second
        for gone in self._known.keys() - present:
            del self._known[gone]
            self._family.discard(gone)
        for pid in sorted(present):
            looks = self._known.get(pid, 0)
            if looks < _LOOKS:
                self._known[pid] = looks + 1
                with contextlib.suppress(OSError, ValueError, IndexError):
                    self._note(pid)

    def _note(self, pid: int) -> None:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")
        kin = {int(each) for each in rest.split()[1:4]}  # parent, process group, session: proc_pid_stat(5)
        if pid == os.getpid() or not (pid in self._family or kin & self._family):
            return
        self._family.add(pid)
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        where = f"{name.partition('(')[2]} ({b' '.join(command[:6])[:120].decode(errors='replace')})"
        self.saw(command, f"the command line of {where}")
        self.saw(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"), f"the environment of {where}")

    def saw(self, words: Iterable[bytes], where: str) -> None:
        """What everybody on the machine may see."""
        for word in words:
            if len(word) >= LEAST and len(self._seen) < _MOST_SEEN:
                self._seen.setdefault(word, where)

    # ---- what is written and answered

    def answered(self, body: bytes, where: str) -> None:
        """An answer over HTTP: it is looked at now, with the secrets that are known by now."""
        self.found += self._in(body, where)

    def look_at_files(self, folder: Path) -> None:
        """Learns the private keys that lie below, then reads all logs there."""
        files = list(_files(folder))
        for each in files:
            if each.name.endswith(_KEY_FILES):
                self._learn_key(each)
        for each in files:
            if each.suffix in _LOGS:
                with contextlib.suppress(OSError), each.open("rb") as log:
                    self.found += self._in(log.read(_MOST_FILE), str(each))

    def _learn_key(self, file: Path) -> None:
        """By one line, which is enough to know it."""
        with contextlib.suppress(OSError):
            if file.stat().st_size <= _MOST_KEY_FILE:
                for match in _KEYS.finditer(file.read_bytes().replace(b"\\n", b"\n")):
                    self.secrets[max(match[1].split(), key=len)] = f"a key of {file.name}"

    def end(self, folder: Path) -> list[str]:
        """All that was found."""
        began = time.thread_time()
        self.stop()
        self.look_at_files(folder)
        self.cpu_s += time.thread_time() - began
        return self.judged()

    def judged(self) -> list[str]:
        """What was seen of processes, by the secrets that are known by now, and all that was found before."""
        everything = b"\0".join(self._seen)
        if any(secret in everything for secret in self.secrets):
            for word, where in self._seen.items():
                self.found += self._in(word, where)
        return sorted(set(self.found))

    def _in(self, text: bytes, where: str) -> list[str]:
        """Says which secret it is, not what."""
        return [
            f"{what} is in {where.replace(secret.decode(errors='replace'), '…')}"
            for secret, what in self.secrets.items()
            if secret in text
        ]


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(("chromium", "proc", PLANTED))]
        for name in names:
            path = Path(root, name)
            with contextlib.suppress(OSError):
                if path.is_file() and not path.is_symlink():
                    yield path


RUN = Scan()
register, answered = RUN.register, RUN.answered
_KEY = pytest.StashKey[pytest.TempPathFactory]()


@pytest.fixture(scope="session", autouse=True)
def _secrets_of_the_run(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> None:
    """Tells where the files of this worker, or of a run without any, will be."""
    request.config.stash[_KEY] = tmp_path_factory


def pytest_configure(config: pytest.Config) -> None:
    """Whoever starts the workers, or runs the tests himself, watches and judges."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Gathered(config), "gathered secrets")
        RUN.start()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Reads the logs; a worker tells what it found, and what the one who judges must look for."""
    factory = session.config.stash.get(_KEY, None)
    if factory is not None:
        RUN.end(factory.getbasetemp())
    worker: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if worker is not None:
        worker["secrets"] = RUN.found
        worker["secrets_known"] = {secret.hex(): what for secret, what in RUN.secrets.items()}
        worker["secrets_cpu_s"] = RUN.cpu_s


class Gathered:
    """What the workers found, in the process that started them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker has ended."""
        told = getattr(node, "workeroutput", {})
        RUN.found += told.get("secrets", ())
        RUN.secrets |= {bytes.fromhex(secret): what for secret, what in told.get("secrets_known", {}).items()}
        RUN.cpu_s += told.get("secrets_cpu_s", 0.0)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fails the run."""
        RUN.stop()
        if found := RUN.judged():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line("")
            for each in found:
                reporter.write_line(f"secret: {each}", red=True)
            reporter.write_line(
                f"secrets: {len(RUN.secrets)} known, {len(RUN._seen)} words of processes, {RUN.cpu_s:.1f} s of CPU"
            )
