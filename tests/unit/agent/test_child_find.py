"""Where a program is looked for."""

import os
from pathlib import Path

import pytest

from fibrewatch.errors import ToolError
from fibrewatch_agent.child import find


def test_folder_of_the_path_that_can_not_be_looked_into_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/" + "x" * 5000, prepend=os.pathsep)  # as one that another user keeps to himself
    assert Path(find("sh")).name == "sh"


def test_program_that_is_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolError, match="nosuch is not installed"):
        find("nosuch")
