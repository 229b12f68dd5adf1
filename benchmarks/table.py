"""`python -m benchmarks.table`: writes the measured figures into README.md, between its two markers."""

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.support import ROOT, options, table

NAMES = (
    "ingest",
    "scrape",
    "queries",
    "rules",
    "footprint",
    "resident",
    "latency",
    "early_stop",
    "throughput",
    "report",
)
BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"


_PART = re.compile(r"^\|[^`]*`python -m benchmarks\.(\w+)[^`]*`[^\n]*", re.MULTILINE)


def section(results: dict[str, dict[str, Any]], before: str = "") -> str:
    """The Markdown between the markers: a table of each benchmark and what it was measured on.

    Args:
        before: What stands there now; tables of benchmarks without results stay.
    """
    parts = {found[1]: found[0] for found in _PART.finditer(before)}
    parts |= {name: _part(name, result) for name, result in results.items()}
    return "\n\n".join(parts[name] for name in NAMES if name in parts)


def _part(name: str, result: dict[str, Any]) -> str:
    return f"{table(result['heads'], result['rows'])}\n\n`python -m benchmarks.{name}`, {_machine(result['machine'])}."


def _machine(machine: dict[str, Any]) -> str:
    return (
        f"{machine['date']}: {machine['cores']} cores of {machine['cpu']}, "
        f"Linux {machine['kernel']}, Python {machine['python']}"
    )


def replaced(readme: str, results: dict[str, dict[str, Any]]) -> str:
    """The README with these results between the markers.

    Raises:
        SystemExit: They are not there, each once and in order.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}\n(.*?)\n{re.escape(END)}", re.DOTALL)
    if len(pattern.findall(readme)) != 1:
        raise SystemExit(f"README.md: {BEGIN} and {END} are not there once each")
    return pattern.sub(lambda found: f"{BEGIN}\n{section(results, found[1])}\n{END}", readme)


def main() -> None:
    """Takes the figures of all benchmarks that were measured here; tables of the others stay as they are."""
    parser = options(__doc__ or "")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    given = parser.parse_args()
    files = {name: given.results / f"{name}.json" for name in NAMES}
    measured = {name: json.loads(file.read_text("utf-8")) for name, file in files.items() if file.exists()}
    if not measured:
        raise SystemExit(f"{given.results}: no benchmark was measured yet")
    given.readme.write_text(replaced(given.readme.read_text("utf-8"), measured), "utf-8")


if __name__ == "__main__":
    main()
