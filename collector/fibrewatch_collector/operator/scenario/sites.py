"""What the truth knows of a sites.toml, read by the standard library alone: nothing that judges is asked here."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fibrewatch.errors import ConfigError

_BITS = {"bit/s": 1.0, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9}
_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
Table = Mapping[str, Any]


def seconds(text: str) -> float:
    """Of "15 ms"."""
    number, unit = text.split()
    return float(number) * _SECONDS[unit]


def bytes_per_second(text: str) -> float:
    """Of "1 Gbit/s"."""
    number, unit = text.split()
    return float(number) * _BITS[unit] / 8


@dataclass(frozen=True)
class Sites:
    """The file's tables; sites and boxes by territory/site and territory/site/agent."""

    tables: Table

    @classmethod
    def read(cls, path: Path) -> "Sites":
        """Plain tables; `load_inventory` is who checks them.

        Raises:
            ConfigError: It is not there, or no TOML.
        """
        try:
            return cls(tomllib.loads(path.read_text("utf-8")))
        except OSError as e:
            raise ConfigError(str(path), "", e.strerror or str(e)) from e
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
            raise ConfigError(str(path), "", f"not TOML: {e}") from e

    @property
    def names(self) -> list[str]:
        """territory/site."""
        return [f"{site['territory']}/{site['id']}" for site in self.tables.get("site", [])]

    def site(self, name: str) -> Table:
        """One site's table."""
        found: Table = self.tables["site"][self.names.index(name)]
        return found

    @property
    def agents(self) -> list[str]:
        """territory/site/agent."""
        return [f"{name}/{agent['id']}" for name in self.names for agent in self.site(name).get("agent", [])]

    @property
    def operators(self) -> set[str]:
        """Whose networks the lines hang on."""
        return {line["operator"] for name in self.names for line in self.site(name)["uplink"] if "operator" in line}

    def uplinks(self, site: str) -> Sequence[str]:
        """Ids of a site's lines."""
        return [line["id"] for line in self.site(site)["uplink"]]

    def uplink(self, site: str, name: str) -> Table:
        """One line's table."""
        found: Table = next(line for line in self.site(site)["uplink"] if line["id"] == name)
        return found

    def rate(self, site: str, uplink: str, direction: str) -> float | None:
        """Contracted bytes per second of "download" or "upload"."""
        text = self.uplink(site, uplink).get(direction)
        return bytes_per_second(text) if text is not None else None

    def main_uplink(self, site: str) -> str:
        """Of what names no other."""
        found: str = self.site(site).get("default_uplink") or self.uplinks(site)[0]
        return found

    def uplink_of(self, agent: str, interface: str) -> str:
        """The line that an interface rides on."""
        site, _, name = agent.rpartition("/")
        box = next(each for each in self.site(site)["agent"] if each["id"] == name)
        found: str = box.get("interfaces", {}).get(interface, self.main_uplink(site))
        return found

    def reached_over(self, agent: str) -> str:
        """The line over which others come in to a box."""
        site, _, name = agent.rpartition("/")
        box = next(each for each in self.site(site)["agent"] if each["id"] == name)
        ridden = set(box.get("interfaces", {}).values())
        main = self.main_uplink(site)
        return ridden.pop() if len(ridden) == 1 and main not in ridden else main

    def companies(self, site: str, uplink: str) -> int:
        """On the floors that hang on a line; on all where it names none."""
        floors = self.uplink(site, uplink).get("floors", [])
        found = set()
        for floor in self.site(site).get("floor", []):
            if not floors or floor["id"] in floors:
                found |= set(floor.get("companies", []))
        return len(found)

    def sla(self, site: str, uplink: str) -> Table | None:
        """The class of a line; None where nothing is promised."""
        name = self.uplink(site, uplink).get("sla")
        return next((each for each in self.tables.get("sla", []) if each["id"] == name), None)
