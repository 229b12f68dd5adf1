"""`fibrewatch simulate --scenario`: a folder with the store, its sites.toml, and the answer that reports must give."""

import json
import shutil
from pathlib import Path

from fibrewatch.errors import ConfigError
from fibrewatch_collector.inventory import load_inventory
from fibrewatch_collector.operator.scenario import checks, truth
from fibrewatch_collector.operator.scenario.play import play
from fibrewatch_collector.store.sqlite import SqliteStore

STORE, SITES, EXPECTED = "collector.db", "sites.toml", "expected.json"


def write(file: Path, folder: Path) -> str:
    """Plays a scenario; returns a line for people.

    Raises:
        ConfigError: The scenario, or its sites, can't be used; or there is a store already.
        StoreError: The store can't be written.
        LedgerError: Work that can't be declared.
    """
    scenario, sites = checks.read(file)
    inventory = load_inventory(file.parent / scenario.sites)
    if (folder / STORE).exists():
        raise ConfigError(str(folder / STORE), "", "it is there already: a scenario begins with an empty store")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file.parent / scenario.sites, folder / SITES)
    answer = truth.expected(scenario, sites)
    (folder / EXPECTED).write_text(json.dumps(answer, indent=1, ensure_ascii=False) + "\n", "utf-8")
    store = SqliteStore(folder / STORE)
    try:
        stored = play(scenario, sites, inventory, store)
    finally:
        store.close()
    return f"{scenario.name}: {stored} measurements in {folder / STORE}, the expected answer in {folder / EXPECTED}"
