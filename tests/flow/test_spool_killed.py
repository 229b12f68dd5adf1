"""SIGKILL at any moment: every append that returned is in the file."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.support.spooled import drain, open_spool


@pytest.mark.parametrize("seed", range(6))
async def test_every_append_that_returned_survives_a_kill(tmp_path: Path, seed: int) -> None:
    lines = 1 + Random(seed).randrange(200)
    argv = [sys.executable, "-m", "tests.support.spool_writer", str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        stream = writer.stdout.readline().strip()
        said = [writer.stdout.readline() for _ in range(lines)]
        writer.kill()
        said += writer.stdout.readlines()
    # A line cut off by the kill may end inside a number.
    returned = {int(number) for line in said if line.endswith("\n") for number in line.split()}

    spool = open_spool(tmp_path)
    taken = await drain(spool)
    held = [number for of, number in taken if of == stream]
    assert len(returned) >= 4 * lines
    assert returned <= set(held)
    assert held == list(range(1, len(held) + 1))
    assert all(data["result"]["index"] == number - 1 for (_, number), data in taken.items())
    await spool.close()
