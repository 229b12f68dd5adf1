"""One measurement, now, printed: `fibrewatch-agent once`."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from fibrewatch.config import build, parse_toml, quantity
from fibrewatch.errors import ConfigError
from fibrewatch.measurement import AnyMeasurement, Conditions, Role, Target
from fibrewatch.metric import Metric
from fibrewatch.results import PROBES
from fibrewatch_agent.box import Window
from fibrewatch_agent.clock import boot_id
from fibrewatch_agent.conditions import Observer
from fibrewatch_agent.config import (
    DEFAULT_PATH,
    AgentConfig,
    Plan,
    load_config,
    needs_target,
    probe_type,
    valid_interface,
    valid_label,
)
from fibrewatch_agent.control_config import control_of
from fibrewatch_agent.line.config import Lines
from fibrewatch_agent.runner import Runner
from fibrewatch_agent.tables import Control, ScheduleConfig
from fibrewatch_agent.transfer.heavy import Heavy

TEST = "once"
NOBODY = "local/local/local"


class Request(Struct, frozen=True, kw_only=True):
    """What the command line asks for, still as text.

    Attributes:
        config: None: the default file, if it is there.
        params: KEY=VALUE each, the value as a config would write it.
        window: For probes that measure in windows.
    """

    probe: str
    config: Path | None = None
    target: str | None = None
    interface: str | None = None
    family: Literal[4, 6] | None = None
    params: Sequence[str] = ()
    window: str = "5 s"


async def measure(plan: Plan, agent: str, window_s: float, heavy: Heavy | None = None) -> AnyMeasurement:
    """Runs the plan once; nothing is stored or published."""
    from fibrewatch_agent.net.icmp import IcmpSockets

    async def store(measurement: AnyMeasurement, *, dated: bool) -> None:
        pass

    icmp = IcmpSockets()
    now = time.time()
    window = Window(now, now + window_s) if plan.probe.mode == "window" else None
    try:
        runner = Runner(agent=agent, boot=boot_id(), icmp=icmp, observer=Observer(), store=store, heavy=heavy)
        return await runner.run(plan, window)
    finally:
        icmp.close()


def prepare(request: Request) -> tuple[Plan, str, float]:
    """The plan, the agent's name and the window's seconds that a request means.

    Raises:
        ConfigError: Something of it can't be.
    """
    probe = probe_type(request.probe, "", "once")
    config = _config(request.config)
    if request.target is None and needs_target(probe.name):
        raise ConfigError("", "--target", f"missing: {probe.name} needs one")
    if request.interface is not None and not valid_interface(request.interface):
        raise ConfigError("", "--interface", f"{request.interface!r} is not an interface's name")
    target, address = _target(request.target, config)
    lines = Lines(config.uplinks if config else {}, ScheduleConfig())
    uplink, interface = lines.of_test(None, request.interface, heavy=probe.mode == "exclusive")
    plan = Plan(
        test=TEST,
        probe=probe,
        params=build(_params(request.params), probe.params, "", "--param"),
        every_s=0.0,
        target=target,
        address=address,
        interface=interface,
        family=request.family,
        control=_control(request.target, config),
        uplink=uplink,
    )
    return plan, str(config.agent) if config else NOBODY, _window_s(request.window)


def lines(request: Request) -> Heavy:
    """What the config says of the lines, and what the agent has learnt of them; nothing is written."""
    config = _config(request.config)
    if config is None:
        return Heavy()
    heavy = Heavy(folder=config.state_dir, keeps=False)
    heavy.adopt(config)
    return heavy


def _config(path: Path | None) -> AgentConfig | None:
    if path is None and not DEFAULT_PATH.exists():
        return None
    return load_config(path or DEFAULT_PATH)


def _target(text: str | None, config: AgentConfig | None) -> tuple[Target | None, str | None]:
    """A configured target by its name, else any address: nothing is known of where that stands."""
    if text is None:
        return None, None
    if config is not None and text in config.targets:
        known = config.targets[text]
        return known.named(text), known.address
    role: Role = "neutral"
    return Target(name=text if valid_label(text) else "address", role=role), text


def _control(text: str | None, config: AgentConfig | None) -> Control | None:
    """Where slots at a configured target are had."""
    if text is None or config is None or text not in config.targets:
        return None
    return control_of(config.targets[text], config.broker.tls)


def _params(pairs: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError("", "--param", f"{pair!r} is not KEY=VALUE")
        found[key.strip()] = _value(value)
    return found


def _value(text: str) -> Any:
    """Numbers, truth values and lists as TOML writes them; all else is a string."""
    try:
        return parse_toml(f"value = {text}".encode(errors="surrogateescape"), "--param")["value"]
    except ConfigError:
        return text


def _window_s(text: str) -> float:
    try:
        seconds = quantity(text, "duration")
    except ValueError as e:
        raise ConfigError("", "--window", str(e)) from e
    if not 0 < seconds <= 3600:
        raise ConfigError("", "--window", f"{text!r} is not between 0 and 1 h")
    return seconds


def describe(measurement: AnyMeasurement) -> str:
    """The measurement for a person: units as people say them."""
    lines = [_headline(measurement)]
    if measurement.detail:
        lines.append(f"  {measurement.detail}")
    if measurement.reasons:
        lines.append(f"  {measurement.verdict}: {', '.join(measurement.reasons)}")
    lines += [f"  {name:<18} {value}" for name, value in _fields(measurement)]
    lines.append(f"  {'box':<18} {_conditions(measurement.conditions)}")
    return "\n".join(lines)


def _headline(m: AnyMeasurement) -> str:
    to = f" to {m.target.name}" if m.target else ""
    address = f" ({m.target.address})" if m.target and m.target.address not in (None, m.target.name) else ""
    error = f", {m.error}" if m.error else ""
    when = f"{m.duration_s:.1f} s from {m.started_at:%H:%M:%S} UTC"
    return f"{m.probe}{to}{address}: {m.outcome}{error}, {m.verdict}, {when}"


def _fields(measurement: AnyMeasurement) -> Iterator[tuple[str, str]]:
    if measurement.result is None:
        return
    for name, metric in PROBES[measurement.probe].fields:
        value = getattr(measurement.result, name)
        if isinstance(value, bool):
            yield name, "yes" if value else "no"
        elif isinstance(value, int | float):
            yield name, _quantity(value, metric)


def _quantity(value: float, metric: Metric) -> str:
    if metric.unit == "seconds":
        return f"{value * 1e3:.3f} ms" if abs(value) < 1 else f"{value:.3f} s"
    if metric.unit == "bytes_per_second":
        return f"{value * 8 / 1e6:.3f} Mbit/s"
    if metric.unit == "ratio":
        return f"{value * 100:.2f} %"
    if metric.unit == "hertz":
        return f"{value / 1e6:g} MHz"
    unit = {"dbm": "dBm", "decibels": "dB"}.get(metric.unit, metric.unit)
    return f"{value:g} {unit}" if isinstance(value, float) else f"{value} {unit}"


def _conditions(conditions: Conditions) -> str:
    bound = conditions.clock_offset_bound_s
    parts = [
        "clock not synchronised" if bound is None else f"clock within {bound * 1e3:.1f} ms",
        "" if conditions.cpu_busy is None else f"CPU {conditions.cpu_busy * 100:.0f} % busy",
        "" if conditions.temperature_celsius is None else f"{conditions.temperature_celsius:.1f} °C",
        ", ".join(conditions.throttled or ()),
        "" if conditions.link_speed is None else f"link {conditions.link_speed * 8 / 1e6:g} Mbit/s",
    ]
    return ", ".join(part for part in parts if part)
