"""A new probe is two files, one on each side of the contract, and no other edit."""

import json
from pathlib import Path

import pytest

from tests.support.agent import Tree

CONTRACT = '''"""dice: what a die shows."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from fibrewatch.metric import Metric

MODE = "burst"


class Params(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many faces."""

    faces: Annotated[int, Meta(ge=2)] = 6


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One throw."""

    shown: Annotated[int | None, Metric("points", "What the die shows.")] = None
    colour: Literal["red", "black"] = "red"
'''

PROBE = '''"""dice: throws it."""

import random

from fibrewatch.results.dice import Params, Result
from fibrewatch_agent.box import Box


async def dice(params: Params, box: Box) -> Result:
    """One throw."""
    return Result(shown=random.randint(1, params.faces))
'''


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


def test_new_probe_runs_once_it_is_dropped_in(tree: Tree) -> None:
    tree.drop_contract("dice", CONTRACT)
    tree.drop_probe("dice", PROBE)
    done = tree.run("once", "dice", "--param", "faces=2", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    measurement = json.loads(done.stdout)
    assert (measurement["probe"], measurement["outcome"]) == ("dice", "ok")
    assert measurement["result"]["shown"] in {1, 2}
    assert "shown              " in tree.run("once", "dice").stdout


def test_new_probe_can_be_configured_with_its_own_params(tree: Tree, tmp_path: Path) -> None:
    tree.drop_contract("dice", CONTRACT)
    tree.drop_probe("dice", PROBE)
    config = tmp_path / "agent.toml"
    text = (
        '[agent]\nterritory = "paris"\nsite = "cargo"\nname = "box-01"\n[broker]\nhost = "127.0.0.1"\n[tests.throw]\n'
    )
    config.write_text(f'{text}probe = "dice"\nevery = "1 h"\n[tests.throw.params]\nfaces = 1\n')
    done = tree.run("check-config", "--config", str(config))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"fibrewatch-agent: {config}: tests.throw.params.faces: 1: expected `int` >= 2\n"
    config.write_text(config.read_text().replace("faces = 1", "faces = 20"))
    assert tree.run("check-config", "--config", str(config)).returncode == 0


def test_probe_that_only_the_contract_knows_is_named_as_such(tree: Tree) -> None:
    tree.drop_contract("dice", CONTRACT)
    done = tree.run("once", "dice")
    assert done.returncode == 2
    assert done.stderr == "fibrewatch-agent: once: 'dice': this agent can't run it: its implementation is missing\n"


def test_probe_whose_package_is_missing_names_the_package(tree: Tree) -> None:
    tree.drop_contract("dice", CONTRACT)
    tree.drop_probe("dice", "import no_such_dice_driver\n")
    done = tree.run("once", "dice")
    assert done.returncode == 2
    assert done.stderr.endswith("'dice': this agent can't run it: the package no_such_dice_driver is missing\n")


def test_fault_in_a_new_probe_is_a_failed_measurement(tree: Tree) -> None:
    tree.drop_contract("dice", CONTRACT)
    tree.drop_probe("dice", PROBE.replace("random.randint(1, params.faces)", "1 // 0"))
    done = tree.run("once", "dice", "--json")
    assert done.returncode == 1
    measurement = json.loads(done.stdout)
    assert (measurement["outcome"], measurement["error"]) == ("failed", "tool_failed")
    assert measurement["detail"].startswith("ZeroDivisionError: ")
