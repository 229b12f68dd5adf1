"""Network namespaces with veth pairs between them, made and taken down by the test that needs them."""

import itertools
import os
import subprocess
from collections.abc import Sequence

_numbers = itertools.count()
_TAKE_A_NAMESPACE = {"ip", "tc"}


def run(*argv: str) -> str:
    """Runs a command, returns its standard output; raises CalledProcessError."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


class Namespace:
    """One network namespace: `exec` prefixes a command that shall run inside."""

    def __init__(self, label: str) -> None:
        self.name = f"fw{os.getpid()}-{next(_numbers)}-{label}"
        run("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")

    def exec(self, *argv: str) -> list[str]:
        """The command line that runs `argv` inside."""
        return ["ip", "netns", "exec", self.name, *argv]

    def run(self, *argv: str) -> str:
        """Runs a command inside and returns its output."""
        if argv[0] in _TAKE_A_NAMESPACE:
            return run(argv[0], "-n", self.name, *argv[1:])  # half as many processes
        return run(*self.exec(*argv))

    def popen(self, argv: Sequence[str], **kwargs: object) -> "subprocess.Popen[bytes]":
        """Starts a command inside; the caller ends it."""
        return subprocess.Popen(self.exec(*argv), **kwargs)  # type: ignore[call-overload,no-any-return]

    def close(self) -> None:
        """Deletes the namespace."""
        run("ip", "netns", "del", self.name)


class Link:
    """A veth pair between two namespaces: `10.99.<n>.1`/`fd99:<n>::1` in a, `.2`/`::2` in b; interface names given."""

    def __init__(self, a: Namespace, b: Namespace, a_if: str = "eth0", b_if: str = "eth0", number: int = 0) -> None:
        run("ip", "link", "add", a_if, "netns", a.name, "type", "veth", "peer", "name", b_if, "netns", b.name)
        for namespace, interface, host in ((a, a_if, 1), (b, b_if, 2)):
            namespace.run("ip", "addr", "add", f"10.99.{number}.{host}/24", "dev", interface)
            namespace.run("ip", "addr", "add", f"fd99:{number}::{host}/64", "dev", interface, "nodad")
            namespace.run("ip", "link", "set", interface, "up")
        self.a4, self.b4 = f"10.99.{number}.1", f"10.99.{number}.2"
        self.a6, self.b6 = f"fd99:{number}::1", f"fd99:{number}::2"
