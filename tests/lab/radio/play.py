"""Boots the lab and plays a scene there; what it found out comes back as plain values."""

import shlex
import sys
from pathlib import Path
from typing import Any

import msgspec

from tests.lab import vm


def play(scene: str, folder: Path, *, timeout_s: float = 240, virtual_time: bool = False) -> Any:
    """The facts of `tests.lab.radio.scenes.SCENE`; the folder keeps its logs.

    Args:
        virtual_time: Waiting is free and no load of this machine disturbs it, but computing takes longer.
    """
    command = shlex.join([sys.executable, "-m", "tests.lab.radio.guest", scene])
    vm.run(command, folder, timeout_s=timeout_s, virtual_time=virtual_time)
    return msgspec.json.decode((folder / "facts.json").read_bytes())
