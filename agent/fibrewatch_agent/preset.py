"""The normal site's tests, from the roles of its targets: `[schedule] preset`. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from fibrewatch.config import nearest
from fibrewatch.errors import ConfigError
from fibrewatch.measurement import Role
from fibrewatch_agent.line.landmarks import FIRST_HOP, GATEWAY
from fibrewatch_agent.tables import Entry, ScheduleConfig, Service, TargetConfig

BEYOND: tuple[Role, ...] = ("operator", "neutral", "responder", "service")
"""Roles of what stands beyond the access line, in the order in which `first-hop` looks for a way there."""
_WEB: tuple[Service, ...] = ("dns", "tcp", "tls", "https")
_MINUTE_S, _HOUR_S = 60.0, 3600.0


class _Pace(NamedTuple):
    """How often, seconds."""

    ping_s: float
    stamp_s: float
    voice_s: float
    path_s: float
    services_s: float
    lan_s: float
    dhcp_s: float
    scan_s: float


_PACES: Mapping[str, _Pace] = {
    "site": _Pace(1.0, 0.1, 10 * _MINUTE_S, 5 * _MINUTE_S, _MINUTE_S, 5 * _MINUTE_S, _HOUR_S, 15 * _MINUTE_S),
    "mobile": _Pace(5.0, 1.0, _HOUR_S, 15 * _MINUTE_S, 5 * _MINUTE_S, 5 * _MINUTE_S, _HOUR_S, _HOUR_S),
}
_SERVICES: Mapping[Service, tuple[str, Mapping[str, Any]]] = {
    "dns": ("dns", {}),
    "tcp": ("tcp", {}),
    "tls": ("tls", {}),
    "http": ("http", {"max_body": "64 KiB"}),
    "https": ("http", {"scheme": "https", "max_body": "64 KiB"}),
    "ntp": ("ntp", {}),
}
WIFI = ("wifi_link", "wifi_scan")
"""Where the box has a wireless interface."""
TESTS = ("ping", "stamp", "voice", "path", *_SERVICES, "lan", "dhcp", *WIFI)


def completed(
    schedule: ScheduleConfig,
    targets: Mapping[str, TargetConfig],
    tests: Mapping[str, Entry],
    file: str,
    *,
    wireless: bool = False,
) -> tuple[dict[str, TargetConfig], dict[str, Entry]]:
    """Targets and tests with those of the preset; what the config says itself goes before.

    Args:
        wireless: The box has a wireless interface.

    Raises:
        ConfigError: The preset has nothing to measure against, or is told to leave out what it has not.
    """
    if schedule.preset is None:
        _refuse_settings(schedule, file)
        return dict(targets), dict(tests)
    for name in schedule.without:
        if name not in TESTS:
            raise ConfigError(file, "schedule.without", f"{name!r}: the preset has no such test{nearest(name, TESTS)}")
    if not any(target.role in BEYOND for target in targets.values()):
        wanted = f"a target of role {', '.join(BEYOND[:-1])} or {BEYOND[-1]}"
        raise ConfigError(file, "schedule.preset", f'"{schedule.preset}" needs {wanted}')
    all_targets = dict(_landmarks(targets)) | dict(targets)
    left_out = {*schedule.without, *tests, *(() if wireless else WIFI)}
    of_preset = _tests(_PACES[schedule.preset], all_targets, schedule.interface)
    return all_targets, {name: entry for name, entry in of_preset.items() if name not in left_out} | dict(tests)


def _refuse_settings(schedule: ScheduleConfig, file: str) -> None:
    if schedule.without or schedule.interface:
        place = "without" if schedule.without else "interface"
        raise ConfigError(file, f"schedule.{place}", 'means nothing without a preset: preset = "site"')


def _landmarks(targets: Mapping[str, TargetConfig]) -> Iterable[tuple[str, TargetConfig]]:
    """The gateway and the first hop beyond it, where the config names none."""
    roles = {target.role for target in targets.values()}
    if "gateway" not in roles:
        yield GATEWAY, TargetConfig(address=GATEWAY, role="gateway")
    if "access" not in roles:
        yield FIRST_HOP, TargetConfig(address=FIRST_HOP, role="access")


def _tests(pace: _Pace, targets: Mapping[str, TargetConfig], interface: str | None) -> dict[str, Entry]:
    def of(*roles: Role) -> tuple[str, ...]:
        return tuple(name for name, target in targets.items() if target.role in roles)

    def entry(probe: str, names: Iterable[str], every_s: float, **params: Any) -> Entry:
        return Entry(probe=probe, targets=tuple(names), every_s=every_s, interface=interface, params=params)

    found = {
        "ping": entry("ping", of("gateway", "access", "operator", "neutral"), _MINUTE_S, interval=_text(pace.ping_s)),
        "stamp": entry("stamp", of("responder"), _MINUTE_S, interval=_text(pace.stamp_s)),
        "voice": entry("voice", of("responder"), pace.voice_s),
        "path": Entry(
            probe="path",
            targets=of("operator", "neutral", "responder"),
            every_s=pace.path_s,
            interface=interface,
            on_loss=True,
        ),
    }
    for service, (probe, params) in _SERVICES.items():
        names = (name for name, target in targets.items() if service in _services(target))
        found[service] = entry(probe, names, pace.services_s, **params)
    found = {name: test for name, test in found.items() if test.targets}
    found |= {"lan": entry("lan", (), pace.lan_s), "dhcp": entry("dhcp", (), pace.dhcp_s)}
    # The tests may leave by a wire: whatever radio the box has is looked at.
    return found | {
        "wifi_link": Entry(probe="wifi_link", every_s=_MINUTE_S),
        "wifi_scan": Entry(probe="wifi_scan", every_s=pace.scan_s),
    }


def _services(target: TargetConfig) -> tuple[Service, ...]:
    """A service of which nothing is said is a web server; without a name it has no certificate to look at."""
    if target.services is not None or target.role != "service":
        return target.services or ()
    numeric = target.address.replace(".", "").isdecimal() or ":" in target.address
    return ("tcp",) if numeric else _WEB


def _text(seconds: float) -> str:
    """As a config writes it."""
    return f"{seconds * 1e3:g} ms"
