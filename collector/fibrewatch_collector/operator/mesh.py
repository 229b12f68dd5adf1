"""`fibrewatch mesh`: the plan of the mesh, and the files that each box needs for its part."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fibrewatch.config import nearest
from fibrewatch.errors import ConfigError
from fibrewatch.wire import AgentId
from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.mesh import BY_REFLECTOR, Pair
from fibrewatch_collector.operator import mesh_files


def show(inventory: Inventory) -> int:
    """Prints who measures to whom."""
    pairs = inventory.mesh.pairs
    width = max((len(str(pair.starter)) for pair in pairs), default=0)
    for pair in pairs:
        print(f"{pair.starter!s:{width}} -> {pair.peer}  {pair.group.id}: {_tests(pair)}")
    _warn(inventory)
    print(_summary(inventory))
    return 0


def show_agent(inventory: Inventory, name: str) -> int:
    """Prints one box's fragment.

    Raises:
        ConfigError: There is no such box.
    """
    boxes = {str(box): box for box in inventory.agents}
    if name not in boxes:
        raise ConfigError("", "--agent", f'no agent "{name}"{nearest(name, boxes)}')
    print(mesh_files.fragment(inventory, boxes[name]), end="")
    return 0


def write(inventory: Inventory, folder: Path) -> int:
    """Writes every box's files, territory/site/agent/…; what is as it should be stays untouched."""
    changed = [path for box in inventory.agents for path in _write_box(inventory, box, folder)]
    _warn(inventory)
    print(f"{_summary(inventory)}; {len(inventory.agents)} boxes' files in {folder}, {len(changed)} changed")
    return 0


def _write_box(inventory: Inventory, box: AgentId, folder: Path) -> Iterator[Path]:
    """A box without a part in the mesh gets empty files, so that it ends what it did before."""
    own = folder.joinpath(*box)
    own.mkdir(parents=True, exist_ok=True)
    texts = {mesh_files.FRAGMENT: mesh_files.fragment(inventory, box)}
    if inventory.agents[box].reflector is not None:
        texts[mesh_files.ALLOW] = mesh_files.allowed(inventory, box)
    for name, text in texts.items():
        if _replace(own / name, text):
            yield own / name


def _replace(path: Path, text: str) -> bool:
    """Writes a file whole or not at all; says whether it was another."""
    if path.exists() and path.read_text("utf-8") == text:
        return False
    unfinished = path.with_name(f".{path.name}")  # no box reads names that begin with a dot
    unfinished.write_text(text, "utf-8")
    unfinished.replace(path)
    return True


def _tests(pair: Pair) -> str:
    return ", ".join(
        f"{test} both ways" if test not in BY_REFLECTOR and pair.mutual else test for test in pair.group.tests
    )


def _warn(inventory: Inventory) -> None:
    for line in [*inventory.mesh.warnings(), *mesh_files.unknown_sources(inventory)]:
        print(f"fibrewatch: warning: {line}", file=sys.stderr)


def _summary(inventory: Inventory) -> str:
    pairs = inventory.mesh.pairs
    boxes = {box for pair in pairs for box in (pair.starter, pair.peer)}
    peers = Counter(box for pair in pairs for box in (pair.starter, pair.peer))
    most = f", {max(peers.values())} with one box at most" if peers else ""
    left_out = f", {len(inventory.mesh.unmeasured)} can't be measured" if inventory.mesh.unmeasured else ""
    return f"{len(pairs)} pairs of {len(boxes)} boxes{most}{left_out}"
