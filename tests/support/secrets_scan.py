"""Whether a secret of the tests got to where others see it: command lines, environments, logs, /metrics, API answers.

A pytest plugin of the whole run. What makes secrets registers them; private keys in files of the run are found by
themselves. Each worker watches the processes that it started, with all their children, and looks at the end.
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

EVERY_S = 0.25
LEAST = 8
"""A shorter word would be found where nobody wrote it."""
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
        """At command lines and environments of new children, twice: the first time one may not be itself yet."""
        present = {int(name) for name in os.listdir("/proc") if name.isdecimal()}  # noqa: PTH208 four times a second
        for gone in self._known.keys() - present:
            del self._known[gone]
        for pid in sorted(present):
            looks = self._known.get(pid, 0)
            if looks < 2:
                self._known[pid] = looks + 1
                with contextlib.suppress(OSError, ValueError, IndexError):
                    self._note(pid)

    def _note(self, pid: int) -> None:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        if pid not in self._family and int(stat.rpartition(")")[2].split()[1]) not in self._family:
            self._known[pid] = 2
            return
        if pid == os.getpid():
            return
        self._family.add(pid)
        for kind in ("cmdline", "environ"):
            self.saw(Path(f"/proc/{pid}/{kind}").read_bytes().split(b"\0"), f"{kind} of {stat.partition(' (')[2][:16]}")

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
                self._learn_keys(each)
        for each in files:
            if each.suffix in _LOGS and each.stat().st_size <= _MOST_FILE:
                self.found += self._in(each.read_bytes(), str(each))

    def _learn_keys(self, file: Path) -> None:
        with contextlib.suppress(OSError):
            if file.stat().st_size <= _MOST_KEY_FILE:
                text = file.read_bytes().replace(b"\\n", b"\n")
                for match in _KEYS.finditer(text):
                    self.secrets.update((line, f"a key of {file.name}") for line in match[1].split()[:-1])

    def end(self, folder: Path) -> list[str]:
        """All that was found."""
        began = time.thread_time()
        self.stop()
        self.look_at_files(folder)
        for word, where in self._seen.items():
            self.found += self._in(word, where)
        self.cpu_s += time.thread_time() - began
        return sorted(set(self.found))

    def _in(self, text: bytes, where: str) -> list[str]:
        """Says which secret it is, not what."""
        return [f"{what} is in {where}" for secret, what in self.secrets.items() if secret in text]


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
    request.config.stash[_KEY] = tmp_path_factory
    RUN.start()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The worker tells what it found; without workers the run fails here."""
    factory = session.config.stash.get(_KEY, None)
    if factory is None:
        return
    found = RUN.end(factory.getbasetemp())
    worker: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if worker is not None:
        worker["secrets"] = found
        worker["secrets_cpu_s"] = RUN.cpu_s
    elif found:
        _tell(session.config, found)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


class Gathered:
    """What the workers found, in the process that started them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config, self.found, self.cpu_s = config, list[str](), 0.0

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """A worker has ended."""
        told = getattr(node, "workeroutput", {})
        self.found += told.get("secrets", ())
        self.cpu_s += told.get("secrets_cpu_s", 0.0)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fails the run."""
        if self.found:
            _tell(self._config, self.found)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_configure(config: pytest.Config) -> None:
    """Where there may be workers, their findings are gathered."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Gathered(config), "gathered secrets")


def _tell(config: pytest.Config, found: list[str]) -> None:
    lines = "".join(f"\nsecret: {each}" for each in sorted(set(found)))
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f"secrets of the tests were seen by others:{lines}", red=True)
