"""The files that the demo and simulated boxes run with: TOML as a person would write it."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from fibrewatch.wire import AgentId

DEMO_AGENT = AgentId("demo", "loopback", "box-01")
RESPONDER = "responder"
WINDOW_S = 10
TRANSFER_EVERY_S = 15
TRANSFER_S = 2
_LABEL = re.compile(r"[A-Za-z0-9_.:-]{1,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Loopback ports of a demo; the responder has two."""

    broker: int
    http: int
    responder: tuple[int, int]


def demo_targets(addresses: Iterable[str], *, ipv6: bool) -> dict[str, tuple[str, str]]:
    """Name → address and role: two loopback ones, so that the site can be judged, then those the user named."""
    targets = {"near": ("127.0.0.2", "operator"), "far": ("::1" if ipv6 else "127.0.0.3", "neutral")}
    for number, address in enumerate(dict.fromkeys(addresses), 1):
        usable = _LABEL.fullmatch(address) and address not in {*targets, RESPONDER}
        targets[address if usable else f"target-{number}"] = (address, "neutral")
    return targets


def agent_toml(ports: Ports, targets: Mapping[str, tuple[str, str]], state_dir: Path) -> str:
    """The demo's box: pings in windows of 10 s, short transfers both ways."""
    tables = [
        f"[agent]\nterritory = {_text(DEMO_AGENT.territory)}\nsite = {_text(DEMO_AGENT.site)}\n"
        f"name = {_text(DEMO_AGENT.agent)}\nstate_dir = {_text(str(state_dir))}",
        "[clock]\ntrusted = true  # the host keeps it",
        f'[broker]\nhost = "127.0.0.1"\nport = {ports.broker}',
    ]
    responder = {RESPONDER: ("127.0.0.1", "responder")}
    for name, (address, role) in {**targets, **responder}.items():
        tables.append(f"[targets.{_text(name)}]\naddress = {_text(address)}\nrole = {_text(role)}")
    names = ", ".join(_text(name) for name in targets)
    tables.append(f'[tests.ping]\nprobe = "ping"\nevery = "{WINDOW_S} s"\ntargets = [{names}]')
    tables += [_transfer(direction, ports) for direction in ("down", "up")]
    return "\n\n".join(tables) + "\n"


def _transfer(direction: str, ports: Ports) -> str:
    first, last = ports.responder
    return (
        f'[tests.{direction}load]\nprobe = "throughput"\nevery = "{TRANSFER_EVERY_S} s"\ntargets = ["{RESPONDER}"]\n'
        f'params = {{ direction = "{direction}", duration = "{TRANSFER_S} s", omit = "0 s", streams = 1, '
        f"ports = [{first}, {last}] }}"
    )


def collector_toml(broker: int, http: int) -> str:
    """A collector on loopback that keeps everything beside its file."""
    return (
        f'sites = "sites.toml"\n\n[broker]\nhost = "127.0.0.1"\nport = {broker}\n\n[store]\npath = "collector.db"\n\n'
        f'[http]\naddress = "127.0.0.1:{http}"\n'
    )


def sites_toml(agents: Iterable[AgentId]) -> str:
    """An inventory of these boxes: each site has one fibre line, which all its boxes hang on."""
    tables: list[str] = []
    for territory, members in groupby(sorted(agents), key=lambda agent: agent.territory):
        tables.append(f"[[territory]]\nid = {_text(territory)}\nname = {_text(territory.capitalize())}")
        for site, boxes in groupby(members, key=lambda agent: agent.site):
            tables.append(_site(territory, site, [box.agent for box in boxes]))
    return "\n\n".join(tables) + "\n"


def _site(territory: str, site: str, boxes: list[str]) -> str:
    head = (
        f"[[site]]\nterritory = {_text(territory)}\nid = {_text(site)}\nname = {_text(site)}\n"
        'city = "Paris"\nlatitude = 48.8566\nlongitude = 2.3522\ntime_zone = "Europe/Paris"\n\n'
        '[[site.uplink]]\nid = "fibre"\nkind = "fibre"\ndownload = "1 Gbit/s"\nupload = "1 Gbit/s"'
    )
    return "\n\n".join([head, *(f"[[site.agent]]\nid = {_text(box)}" for box in boxes)])


def _text(value: str) -> str:
    """A TOML basic string; JSON's escapes are a part of TOML's."""
    return json.dumps(value, ensure_ascii=False)
