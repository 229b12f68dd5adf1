"""JSON Schema of the contract: `python -m fibrewatch.schema FOLDER` writes it, a test holds docs/schema to it."""

import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from fibrewatch import wire
from fibrewatch.metric import Field, prometheus_name
from fibrewatch.results import PROBES, ProbeType

_PAYLOADS: dict[str, type[Struct]] = {
    "batch": wire.Batch,
    "ack": wire.Ack,
    "status": wire.Status,
    "inventory": wire.Inventory,
    "collector-status": wire.CollectorStatus,
}


def schemas() -> dict[str, dict[str, Any]]:
    """File name → schema, for every payload and for the measurement of every probe."""
    found = {f"{name}.json": msgspec.json.schema(kind) for name, kind in _PAYLOADS.items()}
    for probe in PROBES.values():
        found[f"measurement-{probe.name}.json"] = _measurement(probe)
    return found


def _measurement(probe: ProbeType) -> dict[str, Any]:
    schema = msgspec.json.schema(wire.measurement_type(probe))
    result = schema["$defs"][probe.result.__name__]["properties"]
    for field in probe.fields:
        result[field.name] |= _described(probe.name, field)
    return schema


def _described(probe: str, field: Field) -> dict[str, str]:
    metric = field.metric
    described = {"description": metric.help, "x-unit": metric.unit, "x-metric": prometheus_name(probe, field)}
    return described | ({"x-better": metric.better} if metric.better else {})


def render(schema: dict[str, Any]) -> str:
    """The text of a schema file."""
    return msgspec.json.format(msgspec.json.encode(schema, order="deterministic"), indent=2).decode() + "\n"


def main() -> None:
    """Writes the schemas into the folder named on the command line."""
    folder = Path(sys.argv[1])
    for name, schema in schemas().items():
        (folder / name).write_text(render(schema), "utf-8")


if __name__ == "__main__":
    main()
