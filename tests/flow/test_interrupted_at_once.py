"""Ctrl-C before a program has loaded its modules ends it without a word."""

import signal
import subprocess
import sys

import pytest

MODULES = ("fibrewatch_agent", "fibrewatch_collector", "fibrewatch_collector.operator")
INTERRUPTED = """
import builtins, os, signal
import {module}.start
load = builtins.__import__
def slow(name, *rest, **more):
    if name == "{module}.cli":
        os.kill(os.getpid(), signal.SIGINT)
    return load(name, *rest, **more)
builtins.__import__ = slow
{module}.start.main()
"""


HANDLED = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
"""As in the foreground, whatever these tests run in."""


def run(module: str, *, before: str = HANDLED) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-c", before + INTERRUPTED.format(module=module), "--version"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("module", MODULES)
def test_interrupted_while_it_loads_it_ends_without_a_word(module: str) -> None:
    done = run(module)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("module", MODULES)
def test_a_job_in_the_background_is_not_interrupted(module: str) -> None:
    done = run(module, before="import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("fibrewatch")
