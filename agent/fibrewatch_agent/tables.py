"""What the tables of the agent's config hold, as written."""

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from fibrewatch.config import Duration
from fibrewatch.measurement import Role, Target

Service = Literal["dns", "tcp", "tls", "http", "https", "ntp"]


class TargetConfig(Struct, frozen=True, kw_only=True):
    """[targets.NAME]: where it is, and where on the way it stands.

    Attributes:
        address: A host name, a numeric address, or one of `landmarks.NAMES`.
        services: What a preset asks of it; None: as its role says.
        control: Where heavy tests get their slots, `https://host:port`; the second where the first can't serve.
        control_ca: Its authorities, if not those of [broker.tls].
        token: File with the box's token there, where it is not known by its certificate of [broker.tls].
        peer: The box there, territory/site/agent, when it is one of ours.
    """

    address: Annotated[str, Meta(min_length=1, max_length=255)]
    role: Role
    services: tuple[Service, ...] | None = None
    peer: str | None = None
    control: str | tuple[str, ...] = ()
    control_ca: Path | None = None
    token: Path | None = None

    def named(self, name: str) -> Target:
        """As a measurement tells it; its address is known at each run."""
        return Target(name=name, role=self.role, peer=self.peer)


class Control(Struct, frozen=True, kw_only=True):
    """Where slots are had, and how the box makes itself known there.

    Attributes:
        urls: `https://host:port`; the second is asked when the first can't serve.
        ca: Authorities; None: the system's.
        certificate: PEM, with `key`; or `token`: a file with the box's token.
        rate_down: What the line is contracted for, and `rate_up`: a test reserves that unless it says otherwise.
    """

    urls: tuple[str, ...]
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    token: Path | None = None
    rate_down: float | None = None
    rate_up: float | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """[tests.NAME] as written; one Plan comes of each of its targets.

    Attributes:
        on_loss: Run also at once when another test loses the target, or hears it again.
        uplink: Binds it to that uplink's interface.
        quiet_hours: Instead of those of [schedule].
    """

    probe: str
    targets: tuple[str, ...] = ()
    every_s: Annotated[Duration, Meta(ge=0.001, le=7 * 86400)] | None = field(default=None, name="every")
    interface: str | None = None
    family: Literal[4, 6] | None = None
    on_loss: bool = False
    uplink: str | None = None
    quiet_hours: tuple[str, ...] | None = None
    params: dict[str, Any] = {}


class ScheduleConfig(Struct, frozen=True, kw_only=True):
    """[schedule]: tests that follow from the targets' roles; one of the same name in [tests] stands instead.

    Attributes:
        without: Names of the preset's tests to leave out.
        interface: That its tests leave by.
        quiet_hours: When no heavy test starts: "mon-fri 08:00-19:00", by `time_zone` or else the box's own.
    """

    preset: Literal["site", "mobile"] | None = None
    without: tuple[str, ...] = ()
    interface: str | None = None
    quiet_hours: tuple[str, ...] = ()
    time_zone: str | None = None
