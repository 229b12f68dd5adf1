"""In the lab: plays a scene and leaves its facts in /run/out.

python -m tests.lab.radio.guest SCENE        a module of tests.lab.radio.scenes with `scene(world)` and `RADIOS`
"""

import importlib
import sys
import traceback
from pathlib import Path

import msgspec

from tests.lab.radio.world import HELD, World

OUT = Path("/run/out")


def main(name: str) -> None:
    """One scene; the logs of what took part come along, whatever came of it."""
    module = importlib.import_module(f"tests.lab.radio.scenes.{name}")
    world = World(module.RADIOS)
    status = 0
    try:
        facts = module.scene(world)
        (OUT / "facts.json").write_bytes(msgspec.json.encode(facts, enc_hook=str))
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        world.close()
        for log in HELD.glob("*.log"):
            (OUT / log.name).write_bytes(log.read_bytes())
    raise SystemExit(status)


if __name__ == "__main__":
    main(sys.argv[1])
