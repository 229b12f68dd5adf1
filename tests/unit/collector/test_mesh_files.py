"""What `fibrewatch mesh` writes: fragments that the agent itself reads, and lists that the reflector takes."""

from pathlib import Path

import pytest

from fibrewatch.results import stamp, voice
from fibrewatch.wire import AgentId
from fibrewatch_agent.config import AgentConfig, load_config
from fibrewatch_agent.responder.allow_file import read_prefixes
from fibrewatch_collector.inventory import Inventory, load_inventory
from fibrewatch_collector.operator import cli, mesh_files
from tests.support.collector import site

EXAMPLE = Path(__file__).parents[3] / "deploy" / "sites.example.toml"
TERRITORY = '[[territory]]\nid = "paris"\nname = "Paris"\n'
CARGO, HALLES, ATTIC = (AgentId("paris", name, "box-01") for name in ("cargo", "halles", "attic"))
SITES = (
    TERRITORY
    + site("cargo", "box-01")
    + 'reflector = { address = "198.51.100.1" }\n'
    + site("halles", "box-01")
    + 'reflector = { address = "halles.example.net", port = 8620 }\n'
    + site("attic", "box-01")
    + 'sources = ["203.0.113.0/28", "2001:db8::/64"]\n'
    + site("cellar", "box-01")
    + "mesh = false\n"
)
MESH = """[[mesh]]
id = "all"
all = "paris"
stamp = { every = "10 s", params = { interval = "50 ms", dscp = 46, key_file = "/etc/fibrewatch/\\"k\\".key" } }
voice = { every = "90 min" }
"""


def inventory(folder: Path, text: str = SITES + MESH) -> Inventory:
    path = folder / "sites.toml"
    path.write_text(text, "utf-8")
    return load_inventory(path)


def read_by(box: AgentId, fragment: str, folder: Path) -> AgentConfig:
    """The configuration of a box that has the fragment."""
    own = folder / str(box)
    (own / "agent.d").mkdir(parents=True)
    (own / "agent.toml").write_text(
        f'[agent]\nterritory = "{box.territory}"\nsite = "{box.site}"\nname = "{box.agent}"\n[broker]\nhost = "b"\n'
    )
    (own / "agent.d" / "mesh.toml").write_text(fragment, "utf-8")
    return load_config(own / "agent.toml")


def test_box_reads_its_tests_with_both_ends(tmp_path: Path) -> None:
    config = read_by(ATTIC, mesh_files.fragment(inventory(tmp_path), ATTIC), tmp_path)
    plans = {(plan.test, plan.target.peer if plan.target else None): plan for plan in config.plans}
    assert plans.keys() == {
        ("mesh-all-stamp", "paris/cargo/box-01"),
        ("mesh-all-stamp-8620", "paris/halles/box-01"),
        ("mesh-all-voice", "paris/cargo/box-01"),
        ("mesh-all-voice-8620", "paris/halles/box-01"),
        ("mesh-all-path", "paris/cargo/box-01"),
        ("mesh-all-path", "paris/halles/box-01"),
    }
    line = plans["mesh-all-stamp-8620", "paris/halles/box-01"]
    assert (line.address, line.every_s) == ("halles.example.net", 10)
    key = '/etc/fibrewatch/"k".key'
    assert line.params == stamp.Params(interval_s=0.05, dscp=46, key_file=key, port=8620)
    call = plans["mesh-all-voice", "paris/cargo/box-01"]
    assert (call.every_s, call.params) == (5400, voice.Params())
    way = plans["mesh-all-path", "paris/cargo/box-01"]
    assert (way.every_s, way.on_loss, call.on_loss) == (900, True, False)


def test_box_without_a_part_gets_an_empty_fragment(tmp_path: Path) -> None:
    cellar = AgentId("paris", "cellar", "box-01")
    config = read_by(cellar, mesh_files.fragment(inventory(tmp_path), cellar), tmp_path)
    assert (config.plans, len(config.targets)) == ((), 0)


def test_every_fragment_of_the_shipped_example_is_good(tmp_path: Path) -> None:
    example = load_inventory(EXAMPLE)
    assert example.mesh.warnings() == mesh_files.unknown_sources(example) == []
    runs = list(example.mesh.runs())
    configs = {box: read_by(box, mesh_files.fragment(example, box), tmp_path) for box in example.agents}
    assert sum(len(config.plans) for config in configs.values()) == len(runs)
    starts = [plan.key for config in configs.values() for plan in config.plans if plan.probe.name == "stamp"]
    assert len(starts) == len(example.mesh.pairs)
    assert any(pair.starter.territory != pair.peer.territory for pair in example.mesh.pairs)


def test_files_are_the_same_whatever_the_order_of_sites_and_agents(tmp_path: Path) -> None:
    blocks = [
        site("cargo", "box-02", "box-01") + 'reflector = { address = "198.51.100.1" }\n',
        site("halles", "box-01") + 'reflector = { address = "198.51.100.2" }\n',
        site("zinc", "box-03") + 'reflector = { address = "198.51.100.3" }\n',
    ]
    there = inventory(tmp_path, TERRITORY + "".join(blocks) + MESH)
    back = inventory(tmp_path, MESH + "".join(blocks[::-1]) + TERRITORY)
    assert sorted(there.agents) == sorted(back.agents)
    for box in there.agents:
        assert mesh_files.fragment(there, box) == mesh_files.fragment(back, box)
        assert mesh_files.allowed(there, box) == mesh_files.allowed(back, box)


def test_reflector_is_told_who_starts(tmp_path: Path) -> None:
    path = tmp_path / "allow"
    found = inventory(tmp_path)
    path.write_text(mesh_files.allowed(found, HALLES), "utf-8")
    prefixes = set(read_prefixes(path))
    assert prefixes >= {"203.0.113.0/28", "2001:db8::/64"}
    starters = mesh_files.starters_at(found, HALLES)
    assert ATTIC in starters
    assert ("198.51.100.1" in prefixes) == (CARGO in starters)
    assert mesh_files.starters_at(found, ATTIC) == []


def test_box_of_unknown_source_is_named(tmp_path: Path) -> None:
    found = inventory(tmp_path, SITES.replace('sources = ["203.0.113.0/28", "2001:db8::/64"]\n', "") + MESH)
    assert mesh_files.unknown_sources(found)[0] == (
        "paris/attic/box-01: where its packets come from is not known, so it is in no reflector's list: "
        "give it `sources`"
    )
    assert "# paris/attic/box-01: where from is not known" in mesh_files.allowed(found, CARGO)


def test_files_are_written_once_and_a_part_that_ended_is_taken_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory(tmp_path)
    out = tmp_path / "out"
    argv = ["mesh", "--sites", str(tmp_path / "sites.toml"), "--out", str(out)]
    assert cli.main(argv) == 0
    assert capsys.readouterr().out.endswith(f"; 4 boxes' files in {out}, 6 changed\n")
    fragment = out / "paris" / "attic" / "box-01" / "mesh.toml"
    before = fragment.stat().st_mtime_ns
    assert cli.main(argv) == 0
    assert capsys.readouterr().out.endswith("0 changed\n")
    assert fragment.stat().st_mtime_ns == before
    assert sorted(path.name for path in fragment.parent.iterdir()) == ["mesh.toml"]
    inventory(tmp_path, SITES)
    assert cli.main(argv) == 0
    assert "tests" not in fragment.read_text()


def test_agent_prints_one_and_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = inventory(tmp_path)
    argv = ["mesh", "--sites", str(tmp_path / "sites.toml"), "--agent"]
    assert cli.main([*argv, str(ATTIC)]) == 0
    assert capsys.readouterr().out == mesh_files.fragment(found, ATTIC)
    assert cli.main([*argv, "paris/atic/box-01"]) == 2
    assert capsys.readouterr().err == (
        'fibrewatch: --agent: no agent "paris/atic/box-01" (did you mean paris/attic/box-01?)\n'
    )


def test_plan_is_printed_with_what_can_not_be_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = SITES.replace("mesh = false\n", "") + MESH
    inventory(tmp_path, text)
    assert cli.main(["mesh", "--sites", str(tmp_path / "sites.toml")]) == 0
    said = capsys.readouterr()
    assert "paris/attic/box-01  -> paris/cargo/box-01  all: stamp, voice, path\n" in said.out
    assert said.out.endswith("5 pairs of 4 boxes, 3 with one box at most, 1 can't be measured\n")
    problem = (
        'mesh "all": neither paris/attic/box-01 nor paris/cellar/box-01 can be reached: give one of them a reflector'
    )
    assert f"fibrewatch: warning: {problem}\n" in said.err
    assert cli.main(["check-config", "--sites", str(tmp_path / "sites.toml")]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("ok: 4 sites, 4 agents\n", f"fibrewatch: warning: {problem}\n")
