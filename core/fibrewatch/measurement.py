"""Measurement: one run of a probe, as both sides of the wire and the store know it."""

import re
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

from msgspec import Meta, Struct

Role = Literal["gateway", "access", "operator", "neutral", "responder", "service"]
"""Where on the way a target stands: it tells whose fault a loss is."""

Outcome = Literal["ok", "failed", "skipped"]
Verdict = Literal["valid", "censored", "invalid"]
Error = Literal[
    "timeout",
    "unreachable",
    "refused",
    "reset",
    "name_not_found",
    "busy",
    "denied",
    "permission",
    "protocol",
    "tls",
    "no_interface",
    "tool_missing",
    "tool_failed",
    "parse",
]
ERRORS: tuple[Error, ...] = get_args(Error)

_LABEL, _PROBE, _BOOT = r"\A[A-Za-z0-9_.:-]{1,63}\Z", r"\A[a-z][a-z0-9_]{0,29}\Z", r"\A[0-9a-f]{8}\Z"
Label = Annotated[str, Meta(pattern=_LABEL)]
"""A value that becomes a Prometheus label: short and of harmless characters."""

Peer = Annotated[str, Meta(pattern=r"\A[a-z0-9-]{1,20}(/[a-z0-9-]{1,20}){2}\Z")]
"""Another box, territory/site/agent."""

Reason = Annotated[str, Meta(pattern=r"\A[a-z0-9_]{1,40}\Z")]
Count = Annotated[int, Meta(ge=0, le=2**53)]


def _spelling(pattern: str) -> Meta:
    """For the JSON Schema alone; `misspelt` looks at these: a pattern for each made decoding 2.5 times as dear."""
    return Meta(extra_json_schema={"pattern": pattern})


class Target(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was measured against.

    Attributes:
        name: The configured name; a metric label.
        address: What the name in the config resolved to for this run; None when it did not resolve.
        peer: The box of ours that stands there: then "forward" in a result is the way to it, "backward" from it.
    """

    name: Annotated[str, _spelling(_LABEL)]
    role: Role
    address: Annotated[str, Meta(max_length=255)] | None = None
    peer: Peer | None = None


class Conditions(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The box's state during a measurement; None where the host can't tell.

    Attributes:
        clock_synchronised: The kernel's word (adjtimex(2): not STA_UNSYNC).
        clock_offset_bound_s: adjtimex's maxerror; None while unsynchronised.
        cpu_busy: Share of all cores that was not idle, 0..1.
        throttled: Raspberry Pi firmware flags that were up (under_voltage, frequency_capped, throttled,
            soft_temperature_limit); empty when none was.
        link_speed: Negotiated speed of the interface, bytes per second.
        cross_traffic: What others moved on the line meanwhile, bytes per second.
    """

    clock_synchronised: bool | None = None
    clock_offset_bound_s: float | None = None
    cpu_busy: float | None = None
    temperature_celsius: float | None = None
    throttled: tuple[Reason, ...] | None = None
    link_speed: float | None = None
    cross_traffic: float | None = None


R = TypeVar("R")


class Measurement(Struct, Generic[R], frozen=True, kw_only=True, omit_defaults=True):
    """One run of a probe.

    Attributes:
        probe: The kind of test, a name of the registry in `fibrewatch.results`.
        test: The configured instance, e.g. "download-v4"; a label.
        started_at: UTC. For windows the first moment that the window covers.
        boottime_s: CLOCK_BOOTTIME at the start, seconds since `boot` began.
        boot: First eight hexadecimal digits of the kernel's boot id.
        error: Why it failed or was skipped; None when ok.
        detail: One line for people; never a label.
        reasons: Why the verdict is not "valid", and "undated" when started_at can't be trusted.
        trigger: Why it ran out of its schedule: lost, loss (of a part) or back, all of its target; None for a slot.
        request: The id of the remote request that asked for this run (later).
        result: The probe's Result; None where nothing was measured. A failed run may keep a part.
    """

    probe: Annotated[str, _spelling(_PROBE)]
    test: Annotated[str, _spelling(_LABEL)]
    started_at: Annotated[datetime, Meta(tz=True)]
    boottime_s: float
    boot: Annotated[str, _spelling(_BOOT)]
    duration_s: float
    outcome: Outcome
    target: Target | None = None
    interface: Annotated[str, _spelling(_LABEL)] | None = None
    family: Literal[4, 6] | None = None
    error: Error | None = None
    detail: Annotated[str, Meta(max_length=500)] | None = None
    verdict: Verdict = "valid"
    reasons: tuple[Reason, ...] = ()
    conditions: Conditions = Conditions()
    trigger: Reason | None = None
    request: Annotated[str, Meta(max_length=64)] | None = None
    result: R | None = None


AnyMeasurement = Measurement[Any]


def misspelt(run: AnyMeasurement) -> str | None:
    """Which name in a measurement is not spelt as the contract says; None when all are."""
    return _misspelt(run.probe, run.test, run.boot, run.target.name if run.target else None, run.interface)


@lru_cache(maxsize=16_384)  # a series' names come again and again
def _misspelt(probe: str, test: str, boot: str, target: str | None, interface: str | None) -> str | None:
    names = {
        "probe": (_PROBE, probe),
        "test": (_LABEL, test),
        "boot": (_BOOT, boot),
        "target.name": (_LABEL, target),
        "interface": (_LABEL, interface),
    }
    given = ((name, pattern, text) for name, (pattern, text) in names.items() if text is not None)
    return next((name for name, pattern, text in given if not re.match(pattern, text)), None)


UNDATED = "undated"
"""The reason of a measurement whose time of day can't be trusted: it stays out of the SLA."""
