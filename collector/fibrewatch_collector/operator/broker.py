"""The demo's broker as a process of its own: `python -m fibrewatch_collector.operator.broker PORT`, loopback only."""

import logging
import sys

from iotcore import IotCoreBroker

from fibrewatch.wire import MAX_PAYLOAD_BYTES


def main() -> None:
    """Runs until it is ended by a signal; the Rust broker in it keeps Python's handlers from running."""
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("rumqttd").setLevel(logging.CRITICAL)  # it logs each packet's span as an error
    broker = IotCoreBroker(
        listen="127.0.0.1",
        port=int(sys.argv[1]),
        max_payload_size=MAX_PAYLOAD_BYTES + 4096,
        max_inflight_count=1000,
    )
    broker.check_ports()
    broker.run_forever()


if __name__ == "__main__":
    main()
