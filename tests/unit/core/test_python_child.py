"""How a Python of ours is started again."""

import subprocess
import sys

from fibrewatch import python_child


def test_a_child_finds_what_we_find_however_it_is_started() -> None:
    """With no environment and in another folder, as the agent starts it."""
    argv = python_child.command("base64", "-h")
    assert argv[0] == sys.executable
    path = argv[3].split(":")
    assert [folder for folder in sys.path if folder] == path
    shown = subprocess.run(
        python_child.command("tests.unit.agent.virtual"), env={}, cwd="/", capture_output=True, text=True, check=False
    )
    assert "cannot import name 'main'" in shown.stderr, "found, and it has no main"
