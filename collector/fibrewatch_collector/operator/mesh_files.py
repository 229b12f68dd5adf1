"""The files that the mesh gives a box: its fragment of targets and tests, and whom its reflector answers. Pure text."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fibrewatch.wire import AgentId
from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.mesh import BY_REFLECTOR, Group, Test, target_name

FRAGMENT, ALLOW = "mesh.toml", "reflector-allow"
STAMP_PORT = 862


def fragment(inventory: Inventory, box: AgentId) -> str:
    """The targets and tests of a box, for its agent.d folder; nothing but the heading where it has none."""
    runs = [(group, test, peer) for group, test, starter, peer in inventory.mesh.runs() if starter == box]
    heading = f"# Mesh of {box}: made by `fibrewatch mesh`, lost when it is made anew. It belongs into agent.d/.\n"
    tables = [*_targets(inventory, {peer for _, _, peer in runs}), *_tests(inventory, runs)]
    return "\n".join([heading, *tables])


def _targets(inventory: Inventory, peers: set[AgentId]) -> Iterator[str]:
    for peer in sorted(peers):
        reflector = inventory.agents[peer].reflector
        if reflector is not None:
            yield (
                f"[targets.{_text(target_name(peer))}]\naddress = {_text(reflector.address)}\n"
                f'role = "responder"\npeer = {_text(str(peer))}\n'
            )


def _tests(inventory: Inventory, runs: list[tuple[Group, Test, AgentId]]) -> Iterator[str]:
    """One for each group and test, and for each port of the peers' reflectors."""
    tests: dict[tuple[str, Test, int | None], tuple[Group, list[AgentId]]] = {}
    for group, test, peer in runs:
        reflector = inventory.agents[peer].reflector
        port = reflector.port if reflector is not None and test in BY_REFLECTOR else None
        tests.setdefault((group.id, test, port), (group, []))[1].append(peer)
    for (name, test, port), (group, peers) in sorted(tests.items(), key=lambda item: (item[0][:2], item[0][2] or 0)):
        settings = group.of(test)
        params = settings.params if port in (None, STAMP_PORT) else {**settings.params, "port": port}
        when = "" if settings.every_s is None else f'every = "{settings.every_s:g} s"\n'
        when += "on_loss = true\n" if settings.on_loss else ""
        listed = "".join(f"  {_text(target_name(peer))},\n" for peer in sorted(peers))
        yield (
            f"[tests.{name_of(name, test, port)}]\nprobe = {_text(test)}\ntargets = [\n{listed}]\n{when}"
            f"{_params(params)}"
        )


def name_of(group: str, test: Test, port: int | None) -> str:
    """What a group's test is called on every box: a label of its results."""
    return f"mesh-{group}-{test}" + ("" if port in (None, STAMP_PORT) else f"-{port}")


def allowed(inventory: Inventory, box: AgentId) -> str:
    """The prefixes that measure to a box's reflector, for its option --reflector-allow-file."""
    starters = starters_at(inventory, box)
    lines = [f"# Who measures to {box}: made by `fibrewatch mesh`, lost when it is made anew."]
    for starter in starters:
        prefixes = inventory.agents[starter].seen_as
        lines += [f"{prefix}  # {starter}" for prefix in prefixes] or [f"# {starter}: where from is not known"]
    return "\n".join(lines) + "\n"


def starters_at(inventory: Inventory, box: AgentId) -> list[AgentId]:
    """The boxes that start tests which a box's reflector answers."""
    return sorted({by for _, test, by, peer in inventory.mesh.runs() if peer == box and test in BY_REFLECTOR})


def unknown_sources(inventory: Inventory) -> list[str]:
    """One line for each box whose packets nobody can tell by their address."""
    starters = sorted({by for _, test, by, _ in inventory.mesh.runs() if test in BY_REFLECTOR})
    return [
        f"{box}: where its packets come from is not known, so it is in no reflector's list: give it `sources`"
        for box in starters
        if not inventory.agents[box].seen_as
    ]


def _params(params: Mapping[str, Any]) -> str:
    return (
        f"params = {{ {', '.join(f'{name} = {_text(value)}' for name, value in params.items())} }}\n" if params else ""
    )


def _text(value: Any) -> str:
    """A value as TOML writes it: for strings, numbers, truth values and lists of them JSON's way is one of TOML's."""
    return json.dumps(value, ensure_ascii=False)
