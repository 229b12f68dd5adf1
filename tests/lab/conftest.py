"""`lab` runs a command in the virtual machine; it is there on x86_64 only."""

import functools
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lab import vm

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The machine shares this one's files, so it has to be of its kind; others say so."""
    if platform.machine() != "x86_64":
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip(reason="the lab emulates an x86_64 machine on its own files"))


@pytest.fixture
def lab(tmp_path: Path) -> Callable[..., vm.Ran]:
    """`vm.run` whose /run/out is a folder of the test's."""
    return functools.partial(vm.run, files=tmp_path / "lab")
