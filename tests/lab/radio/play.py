"""Boots the lab and plays a scene there; what it found out comes back as plain values."""

import fcntl
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.lab import vm

_TICKING = "chrt --idle 0 sh -c 'while [ ! -e /run/warm ]; do sleep 0.02; done' & "
"""A wait for a file is idle time, and in virtual time the clock would jump to the next timer, a deadline. So one is
always near, of a process that runs when no other wants to, until a scene has all in memory and touches that file."""


def play(scene: str, folder: Path, *, timeout_s: float = 900, virtual_time: bool = False) -> Any:
    """The facts of `tests.lab.radio.scenes.SCENE`; the folder keeps its logs.

    Args:
        virtual_time: Waiting is free and no load of this machine disturbs it, but computing takes longer.
    """
    command = (_TICKING if virtual_time else "") + shlex.join([sys.executable, "-m", "tests.lab.radio.guest", scene])
    vm.run(command, folder, timeout_s=timeout_s, virtual_time=virtual_time)
    return msgspec.json.decode((folder / "facts.json").read_bytes())


def play_once(scene: str, folders: pytest.TempPathFactory, *, timeout_s: float = 900) -> Any:
    """As `play`, for a fixture of a module: its tests may run in several workers, and one machine is enough."""
    base = folders.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"radio-{scene}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "lab/facts.json").exists():
            return play(scene, folder / "lab", timeout_s=timeout_s)
        return msgspec.json.decode((folder / "lab/facts.json").read_bytes())
