"""The registry of probes: every module in this folder that has a Params and a Result is one.

A module gives
    MODE    how the probe is scheduled, see `Mode`
    Params  a frozen Struct of its settings, durations and sizes in base units
    Result  a frozen Struct, each measured field `Annotated[float | None, Metric(...)]`
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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


class _Registry(Mapping[str, ProbeType]):
    """Name → probe; each module is imported when it is first asked for, so that a box loads only what it runs."""

    def __init__(self) -> None:
        self._names = tuple(sorted(info.name for info in pkgutil.iter_modules(__path__)))
        self._loaded: dict[str, ProbeType] = {}

    def __getitem__(self, name: str) -> ProbeType:
        if name not in self._loaded:
            if name not in self._names:
                raise KeyError(name)
            module = importlib.import_module(f"{__name__}.{name}")
            fields = tuple(fields_of(module.Result))
            self._loaded[name] = ProbeType(name, module.MODE, module.Params, module.Result, fields)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


PROBES: Mapping[str, ProbeType] = _Registry()
