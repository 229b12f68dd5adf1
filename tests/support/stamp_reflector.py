"""The real reflector's process with a clock whose state is as the test says; says "ready", tells its counts at the end.

python -m tests.support.stamp_reflector '{"hosts": ["10.99.0.2"], "clock_bound_s": 0.000001}'
"""

import json
import signal
import sys
from pathlib import Path

import msgspec

from fibrewatch_agent.clock import ClockState
from fibrewatch_agent.responder.reflector import Reflector, ReflectorConfig, raise_priority
from fibrewatch_agent.stamp.key import read_key


def main() -> None:
    """Serves until SIGTERM."""
    order = json.loads(sys.argv[1])
    bound_s = order.pop("clock_bound_s", None)
    config = msgspec.convert(order, ReflectorConfig)
    clock = ClockState(synchronised=bound_s is not None, offset_bound_s=bound_s)
    key = None if config.key_file is None else read_key(Path(config.key_file))
    reflector = Reflector(config, key, clock=lambda: clock)
    raise_priority()
    signal.signal(signal.SIGTERM, lambda *_: stop(reflector))
    print("ready", flush=True)
    reflector.serve()


def stop(reflector: Reflector) -> None:
    """Tells the counts and ends."""
    print(json.dumps(reflector.counts), flush=True)
    sys.exit(0)


if __name__ == "__main__":
    main()
