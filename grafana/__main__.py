"""`python -m grafana [FOLDER]`: writes dashboards/*.json and provisioning/**/*.yaml, and takes away what is no more."""

import argparse
from collections.abc import Mapping
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from grafana import boards, provision
from grafana.board import built


def files() -> Mapping[str, str]:
    """What is generated: name in the folder → text."""
    encoder = JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False)
    found = {f"dashboards/{board.uid}.json": encoder.encode(built(board)) + "\n" for board in boards.every()}
    return {**found, **provision.files()}


def main() -> None:
    """Writes them."""
    parser = argparse.ArgumentParser(prog="python -m grafana", description="Writes Grafana's files anew.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parent, help="default: %(default)s")
    folder: Path = parser.parse_args().folder
    for name, text in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    for path in (folder / "dashboards").glob("fibrewatch-*.json"):
        if f"dashboards/{path.name}" not in files():
            path.unlink()


if __name__ == "__main__":
    main()
