"""Fragments: files of targets and tests in a folder beside the box's configuration, written for it by others.

agent.toml has agent.d/*.toml, read in the order of their names; names that begin with a dot are still being written.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fibrewatch.config import read_toml
from fibrewatch.errors import ConfigError

TABLES = ("targets", "tests")


def folder_of(config: Path) -> Path:
    """Where the fragments of a configuration lie; the folder need not be there."""
    return config.with_suffix(".d")


def read_fragments(config: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each fragment's file and tables.

    Raises:
        ConfigError: The folder or a file can't be read, is not TOML, or has a table that only the configuration has.
    """
    for path in _files(folder_of(config)):
        data = read_toml(path)
        for table in data:
            if table not in TABLES:
                raise ConfigError(str(path), table, "a fragment holds targets and tests only")
        yield str(path), data


def _files(folder: Path) -> list[Path]:
    try:
        names = [each.name for each in folder.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as e:
        raise ConfigError(str(folder), "", e.strerror or str(e)) from e
    return [folder / name for name in sorted(names) if name.endswith(".toml") and not name.startswith(".")]
