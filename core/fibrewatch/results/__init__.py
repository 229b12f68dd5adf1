"""The registry of probes: every module in this folder that has a Params and a Result is one.

A module gives
    MODE    how the probe is scheduled, see `Mode`
    Params  a frozen Struct of its settings, durations and sizes in base units
    Result  a frozen Struct, each measured field `Annotated[float | None, Metric(...)]`
"""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Literal

from msgspec import Struct

from fibrewatch.metric import Field, fields_of

Mode = Literal["window", "burst", "exclusive", "event"]
"""window: continuous, in windows that divide the UTC minute; its Result has `sent` and `lost`, from which availability
follows. burst: short and light, phases spread. exclusive: heavy, never two at once on a box. event: not scheduled,
written by the agent itself."""


@dataclass(frozen=True, slots=True)
class ProbeType:
    """One kind of test as the contract knows it."""

    name: str
    mode: Mode
    params: type[Struct]
    result: type[Struct]
    fields: tuple[Field, ...]


def _probe_type(name: str, module: ModuleType) -> ProbeType:
    return ProbeType(name, module.MODE, module.Params, module.Result, tuple(fields_of(module.Result)))


def _discover() -> Mapping[str, ProbeType]:
    names = sorted(info.name for info in pkgutil.iter_modules(__path__))
    return MappingProxyType({name: _probe_type(name, importlib.import_module(f"{__name__}.{name}")) for name in names})


PROBES: Mapping[str, ProbeType] = _discover()
