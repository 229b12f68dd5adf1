"""Names of metrics follow from the contract, for every probe in the registry."""

import re
from typing import Annotated

from msgspec import Struct

from fibrewatch.metric import Field, Metric, fields_of, prometheus_name
from fibrewatch.results import PROBES


class Sample(Struct):
    """A result with every kind of field."""

    plain: str
    rtt_p50: Annotated[float | None, Metric("seconds", "A delay.", "lower")]
    loss_ratio: Annotated[float | None, Metric("ratio", "Lost.", "lower")]
    sent: Annotated[int, Metric("packets", "Sent.", kind="counter")]


def test_names_carry_probe_field_and_unit() -> None:
    names = [prometheus_name("ping", field) for field in fields_of(Sample)]
    assert names == [
        "fibrewatch_ping_rtt_p50_seconds",
        "fibrewatch_ping_loss_ratio",
        "fibrewatch_ping_sent_packets_total",
    ]


def test_a_unit_is_not_said_twice() -> None:
    assert prometheus_name("x", Field("age_seconds", Metric("seconds", "Age."))) == "fibrewatch_x_age_seconds"


def test_every_registered_metric_is_well_named_and_unique() -> None:
    names = [prometheus_name(probe.name, field) for probe in PROBES.values() for field in probe.fields]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"fibrewatch(_[a-z0-9]+)+", name) for name in names)


def test_every_registered_metric_has_a_sentence_of_help() -> None:
    helps = [field.metric.help for probe in PROBES.values() for field in probe.fields]
    assert all(not text[0].islower() and text.endswith(".") for text in helps)


def test_window_probes_tell_sent_and_lost() -> None:
    for probe in PROBES.values():
        if probe.mode == "window":
            assert {"sent", "lost"} <= {field.name for field in probe.fields}
