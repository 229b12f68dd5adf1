"""What iperf3 prints, read from recorded output."""

from pathlib import Path

import pytest

from fibrewatch_agent.box import ProbeError
from fibrewatch_agent.transfer.iperf3 import conclude, meaning, parse

RECORDED = Path(__file__).parent / "recorded/iperf3"


def recorded(name: str) -> bytes:
    """One recorded output."""
    return (RECORDED / f"{name}.json").read_bytes()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("busy", "busy"),
        ("refused", "refused"),
        ("connect-timeout", "timeout"),
        ("unreachable", "unreachable"),
        ("no-such-device", "no_interface"),
        ("no-such-congestion-control", "tool_failed"),
        ("down-server-killed", "reset"),
        ("up-server-killed", "reset"),
        ("down-server-ended", "reset"),
        ("down-interrupted", "tool_failed"),
    ],
)
def test_recorded_failure_is_of_the_fixed_list(name: str, error: str) -> None:
    failure = conclude(recorded(name)).failure
    assert failure is not None
    assert failure.error == error
    assert failure.detail in recorded(name).decode()


@pytest.mark.parametrize("name", ["down", "up", "down-4-streams", "up-4-streams", "up-server-without-json"])
def test_recorded_success_has_no_failure(name: str) -> None:
    assert conclude(recorded(name)).failure is None


# iperf_error.c of 3.12 to 3.21, with strerror(3)'s words after the colon
@pytest.mark.parametrize(
    ("message", "error"),
    [
        (
            "unable to connect to server - server may have stopped running or use a different port, firewall issue, "
            "etc.: Connection refused",
            "refused",
        ),
        ("error - unable to connect to server: Network is unreachable", "unreachable"),
        ("unable to connect to server: No route to host", "unreachable"),
        ("unable to connect to server: Invalid argument", "unreachable"),
        ("unable to connect to server: Permission denied", "permission"),
        ("unable to connect to server: Operation not permitted", "permission"),
        ("unable to connect to server: Cannot assign requested address", "no_interface"),
        ("Unable to bind-to-device (check perror, maybe permissions?)", "no_interface"),
        ("Unable to bind-to-device (check perror, maybe permissions?): No such device", "no_interface"),
        ("Unable to bind-to-device (check perror, maybe permissions?): Operation not permitted", "permission"),
        ("unable to connect to server: Required key not available", "unreachable"),
        ("unable to write to stream socket: Network is down", "unreachable"),
        ("unable to write to stream socket: Success", "reset"),
        ("unable to read from stream socket: Bad file descriptor", "reset"),
        ("total required bandwidth is larger than server limit", "denied"),
        ("client's requested duration exceeds the server's maximum permitted limit", "denied"),
        ("unable to write to stream socket: Connection reset by peer", "reset"),
        ("unable to write to stream socket: Broken pipe", "reset"),
        ("unable to write to stream socket: Connection timed out", "timeout"),
        ("unable to receive control message: Connection reset by peer", "reset"),
        ("unable to receive control message: Success", "protocol"),
        ("received an unknown control message (ensure other side is iperf3 and not iperf)", "protocol"),
        ("idle timeout for receiving data", "timeout"),
        ("test authorization failed", "denied"),
        ("unable to create a new test: Cannot allocate memory", "tool_failed"),
        ("something new", "tool_failed"),
    ],
)
def test_message_means_an_error_of_the_fixed_list(message: str, error: str) -> None:
    assert meaning(message) == error


@pytest.mark.parametrize(
    "output",
    [
        b"iperf3: error - something\n",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"intervals": 3}',
        b'{"end": {"sum_received": {"bytes": "many"}}}',
        b'{"end": {}} trailing',
        b'{"end": {"sum_received": {"bytes": 1e999}}}',
        b'{"end": {"sum_received": {"bytes": 1e300}}}',
        b'{"server_output_json": {"start": {"version": "\xff\xfe"}}}',
        pytest.param(b'{"server_output_json": ' + b'{"more": ' * 5000, id="deep"),
    ],
)
def test_output_that_is_no_report_fails_as_parse(output: bytes) -> None:
    with pytest.raises(ProbeError) as caught:
        parse(output)
    assert caught.value.error == "parse"


def test_report_of_a_broken_test_tells_each_interval_once() -> None:
    report = parse(recorded("down-server-killed"))
    assert len(report.intervals) == 4, "as 3.12 printed it: the last interval twice"
    assert [(one.bytes, one.omitted) for one in report.sums] == [
        (23949056, True),
        (23936888, False),
        (23907928, False),
    ]


def test_number_that_iperf3_could_not_compute_is_none() -> None:
    report = parse(b'{"end": {"sum_received": {"bytes": 7, "bits_per_second": null, "retransmits": null}}}')
    assert report.end.sum_received is not None
    assert report.end.sum_received.retransmits is None
