"""Promises: classes, presets and what an uplink changes; the floor of long paths."""

from pathlib import Path

import pytest

from fibrewatch_collector.inventory import Inventory, load_inventory
from fibrewatch_collector.sla import floor, objectives
from fibrewatch_collector.sla.floor import Place
from fibrewatch_collector.sla.objectives import Class, Objective, Promise
from fibrewatch_collector.sla.presets import PRESETS

EXAMPLE = Path(__file__).parents[3] / "deploy" / "sites.example.toml"
PARIS, SAN_FRANCISCO = Place(48.8566, 2.3522), Place(37.7749, -122.4194)


@pytest.fixture(scope="module")
def example() -> Inventory:
    return load_inventory(EXAMPLE)


def promise(inventory: Inventory, territory: str, site: str, uplink: str) -> Promise:
    found = inventory.promise(inventory.sites[territory, site], uplink)
    assert found is not None
    return found


def test_every_preset_is_made_of_sound_objectives_and_names_its_source() -> None:
    for name, preset in PRESETS.items():
        objectives.check_classes([Class(id="c", presets=(name,))], PRESETS, "f")
        objectives.Check("f", name).objectives(preset.objectives)
        assert len(preset.source) > 40


def test_uplink_has_its_class_with_presets_less_what_it_drops_and_with_its_own(example: Inventory) -> None:
    found = {each.id: each for each in promise(example, "paris", "cargo", "fibre").objectives}
    assert list(found) == ["label-fixed", "label-wifi", "net", "latency", "download", "names", "san-francisco"]
    assert found["label-fixed"].rate == 125e6
    assert found["net"].source == "Framework contract 2026-17, annex 3"
    assert "quartier numérique" in (found["label-fixed"].source or "")
    assert found["latency"].limit_s == 0.015


def test_busy_hours_are_the_classes_or_else_its_presets(example: Inventory) -> None:
    own, preset = promise(example, "paris", "cargo", "fibre").busy, promise(example, "san-francisco", "soma", "fibre")
    assert own is not None
    assert (own.begin, own.end, len(own.days)) == (540, 1080, 5)
    assert preset.busy is not None
    assert (preset.busy.begin, preset.busy.end, len(preset.busy.days)) == (1080, 1440, 7)


def test_uplink_without_a_class_has_no_promise(example: Inventory) -> None:
    assert example.promise(example.sites["paris", "rosa-parks"], "fibre") is None


def test_own_objective_replaces_the_one_of_its_id() -> None:
    sla = Class(id="c", objectives=(Objective(id="net", kind="availability", asked=0.999),), contract="K")
    mine = Objective(id="net", kind="availability", asked=0.9, source="letter of 1 May")
    assert objectives.resolve(sla, PRESETS, [mine]).objectives == (mine,)
    assert objectives.resolve(sla, PRESETS, [mine], ["net"]).objectives == ()


def test_distance_is_the_great_circles() -> None:
    assert floor.distance(PARIS, SAN_FRANCISCO) == pytest.approx(8_953e3, rel=0.002)
    assert floor.distance(Place(0, 0), Place(0, 180)) == pytest.approx(20_015.1e3, rel=1e-4)
    assert floor.distance(PARIS, PARIS) == 0


def test_floor_counts_the_way_once_or_twice() -> None:
    assert floor.least(1_000_000, "rtt") == pytest.approx(0.0097936, rel=1e-3)
    assert floor.least(1_000_000, "owd_forward") == pytest.approx(0.0048968, rel=1e-3)


def test_peer_stands_at_its_site_and_other_targets_where_the_file_says(example: Inventory) -> None:
    assert example.place_of("x", "san-francisco/soma/box-01") == Place(37.7763, -122.4010)
    assert example.place_of("x", None) is None
