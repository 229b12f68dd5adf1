"""Feeds prometheus-mqtt-exporter: the simulated boxes' pings as flat messages, by the publisher `simulate` uses."""

import argparse
import time

import msgspec

from fibrewatch_collector.operator import generate
from fibrewatch_collector.operator.simulate import Link

FIELDS = (
    *("sent", "lost", "deadline", "loss_ratio", "rtt_min", "rtt_p50", "rtt_p95", "rtt_p99", "rtt_max"),
    *("ipdv_p50", "ipdv_p95"),
)
"""And the window's duration: twelve in all."""
TOPIC = "v1/devices/me"


def exporter_config(broker: int) -> str:
    """The exporter's file (YAML, of which JSON is a part) for these messages, QoS 1 as fibrewatch's."""
    metrics = [
        {"prom_name": f"ping_{name}", "mqtt_name": name, "help": name, "type": "gauge"}
        for name in (*FIELDS, "duration")
    ]
    mqtt = {"server": f"tcp://127.0.0.1:{broker}", "topic_path": f"{TOPIC}/+", "qos": 1}
    return msgspec.json.encode({"mqtt": mqtt, "cache": {"timeout": "60m"}, "metrics": metrics}).decode()


def messages(devices: int) -> list[list[bytes]]:
    """For each device some different messages, which come again and again."""
    plan = generate.Plan(seed="1", begin=time.time())
    sources = [generate.Source(plan, agent) for agent in generate.fleet(devices, 1)]
    return [[_flat(source, number) for number in range(4 * len(generate.TARGETS))] for source in sources]


def _flat(source: generate.Source, number: int) -> bytes:
    run = source.measurement(number)
    fields = {name: getattr(run.result, name) for name in FIELDS}
    return msgspec.json.encode({**fields, "duration": run.duration_s})


def publish(port: int, devices: int, count: int, rate: float) -> float:
    """Sends `count` messages at `rate` a second, one device after the other; returns the seconds it took."""
    ready = messages(devices)
    link = Link("127.0.0.1", port, lambda _topic, _payload: None)
    link.connect()
    begun = time.monotonic()
    sent = 0
    while sent < count:
        due = min(count, int((time.monotonic() - begun) * rate) + 1)
        for number in range(sent, due):
            turn, device = divmod(number, devices)
            link.publish(f"{TOPIC}/box-{device:03d}", ready[device][turn % len(ready[device])])
        sent = due
        link.poll(min(0.05, 1 / rate))
    link.close()
    return time.monotonic() - begun


def main() -> None:
    """Reads the command line of the benchmark."""
    parser = argparse.ArgumentParser()
    for name, kind in (("--port", int), ("--devices", int), ("--count", int), ("--rate", float)):
        parser.add_argument(name, type=kind, required=True)
    given = parser.parse_args()
    print(f"seconds={publish(given.port, given.devices, given.count, given.rate):.2f}")


if __name__ == "__main__":
    main()
