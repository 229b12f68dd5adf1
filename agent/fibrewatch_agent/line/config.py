"""[uplinks.NAME]: the lines that a box measures, what was contracted, when to leave them alone."""

import re
from collections.abc import Iterator, Mapping
from datetime import tzinfo
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct, field

from fibrewatch.config import Port, Rate, Size, nearest
from fibrewatch_agent.line.quiet_hours import Hours, parse
from fibrewatch_agent.tables import ScheduleConfig

TENANTS_SHARE = 0.05
"""Of a line's rate: what others may use of it before a test waits."""
KEY_LENGTH = 8
"""RFC 3414 §11.2: passwords have at least so many characters."""
_INTERFACE = re.compile(r"[A-Za-z0-9_.:-]{1,15}")

Auth = Literal["md5", "sha", "sha224", "sha256", "sha384", "sha512"]
Privacy = Literal["des", "aes128", "aes192", "aes256"]
Key = Annotated[str, Meta(min_length=1, max_length=255)]


class RouterConfig(Struct, frozen=True, kw_only=True):
    """[uplinks.NAME.router]: the site's router, whose counters tell what the tenants do; SNMP v2c or v3 (authPriv).

    Attributes:
        address: A name or a numeric address.
        wan: The router's interface to the operator: its ifName, ifDescr or ifAlias, or its ifIndex.
        community: v2c.
        user: v3, with both passwords.
    """

    address: Annotated[str, Meta(min_length=1, max_length=255)]
    wan: Annotated[str, Meta(min_length=1, max_length=255)] | Annotated[int, Meta(ge=1)]
    port: Port = 161
    community: Key | None = None
    user: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    auth: Auth = "sha"
    auth_password: Key | None = None
    privacy: Privacy = "aes128"
    privacy_password: Key | None = None


class LineConfig(Struct, frozen=True, kw_only=True):
    """[uplinks.NAME]: one line of the site. Tests that name no uplink and no interface belong to the first.

    Attributes:
        interface: The box's; every test of this uplink is bound to it.
        rate_down: What was contracted, and `rate_up`.
        link_speed: What `interface` must negotiate; unless set, as much as was contracted.
        tenants_above: From which rate on others' traffic makes a test wait; 5 % of the contracted rate unless set.
        monthly_bytes: What the box may move over it in a calendar month, both directions, all headers counted.
        calibrate_against: A target that stands on the site's own network; unless set the box calibrates against itself.
    """

    interface: str | None = None
    rate_down: Annotated[Rate, Meta(gt=0)] | None = None
    rate_up: Annotated[Rate, Meta(gt=0)] | None = None
    link_speed: Annotated[Rate, Meta(gt=0)] | None = None
    tenants_above: Annotated[Rate, Meta(gt=0)] | None = None
    monthly_bytes: Annotated[Size, Meta(ge=10**6)] | None = field(default=None, name="monthly_budget")
    router: RouterConfig | None = None
    calibrate_against: str | None = None

    @property
    def expected_link(self) -> float | None:
        """Bytes per second below which the negotiated link can't carry what was contracted."""
        rates = [rate for rate in (self.rate_down, self.rate_up) if rate is not None]
        return self.link_speed or max(rates, default=None)

    def rate(self, direction: str) -> float | None:
        """The contracted rate of a direction, "down" or "up"."""
        return self.rate_down if direction == "down" else self.rate_up

    def tolerated(self, direction: str) -> float | None:
        """What the tenants may move without disturbing a test, bytes per second; None when nothing tells."""
        rate = self.rate(direction)
        return self.tenants_above or (None if rate is None else TENANTS_SHARE * rate)


def zone(schedule: ScheduleConfig) -> tzinfo | None:
    """The time zone of the quiet hours; None is the box's own.

    Raises:
        ValueError: There is no such one.
    """
    if schedule.time_zone is None:
        return None
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(schedule.time_zone)
    except (KeyError, ValueError, OSError) as e:
        raise ValueError(f'{schedule.time_zone!r} is no time zone such as "Europe/Paris"') from e


class Lines(NamedTuple):
    """All of it, and what follows from it for a test."""

    uplinks: Mapping[str, LineConfig]
    schedule: ScheduleConfig

    def of_test(self, uplink: str | None, interface: str | None, *, heavy: bool) -> tuple[str | None, str | None]:
        """Which uplink a test measures, and the interface that it is bound to.

        A test that names neither belongs to the first uplink; only a heavy one is bound to it, since a light one may
        well look at something on the box itself.

        Raises:
            ValueError: The key, and what is wrong with it.
        """
        if uplink is None and interface is not None:
            return next((name for name, line in self.uplinks.items() if line.interface == interface), None), interface
        if uplink is None:
            first = next(iter(self.uplinks), None)
            return first, self.uplinks[first].interface if first and heavy else None
        if uplink not in self.uplinks:
            raise ValueError("uplink", f"{uplink!r}: no such uplink{nearest(uplink, self.uplinks)}")
        bound = self.uplinks[uplink].interface
        if interface not in (None, bound):
            raise ValueError("interface", f"{interface!r}, but uplink {uplink!r} is on {bound!r}")
        return uplink, bound

    def quiet_hours(self, own: tuple[str, ...] | None) -> tuple[Hours, ...]:
        """A test's: its own, else those of all.

        Raises:
            ValueError: The key, and what is wrong with it.
        """
        try:
            return tuple(parse(text) for text in (self.schedule.quiet_hours if own is None else own))
        except ValueError as e:
            raise ValueError("quiet_hours", str(e)) from e

    def faults(self) -> Iterator[tuple[str, str]]:
        """Places and what is wrong there, that one field alone can't tell."""
        try:
            self.quiet_hours(None)
        except ValueError as e:
            yield "schedule.quiet_hours", e.args[1]
        try:
            zone(self.schedule)
        except ValueError as e:
            yield "schedule.time_zone", str(e)
        for name, line in self.uplinks.items():
            other = next(other for other, its in self.uplinks.items() if its.interface == line.interface)
            if line.interface is not None and not _INTERFACE.fullmatch(line.interface):
                yield f"uplinks.{name}.interface", f"{line.interface!r} is not an interface's name"
            if other != name:
                yield f"uplinks.{name}.interface", f"{line.interface or 'none'}, as {other!r}: each needs its own"
            if line.router is not None:
                yield from ((f"uplinks.{name}.router", fault) for fault in _router_faults(line.router))


def _router_faults(router: RouterConfig) -> Iterator[str]:
    if (router.community is None) == (router.user is None):
        yield "either community (v2c) or user (v3) is needed" + (", not both" if router.user else "")
    if router.user is None:
        return
    for name in ("auth_password", "privacy_password"):
        value = getattr(router, name)
        if value is None:
            yield f"{name} is missing: v3 is used with authentication and privacy"
        elif len(value) < KEY_LENGTH:
            yield f"{name}: {KEY_LENGTH} characters at least (RFC 3414 §11.2)"
