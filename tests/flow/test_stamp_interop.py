"""Wireshark's dissector reads our packets: TWAMP-Test's unauthenticated layout, which STAMP shares (RFC 8762 §4.6).

It knows neither authenticated packets nor extensions: the first are reckoned here, the second read by scapy.
"""

import hashlib
import hmac
import json
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from scapy.contrib.stamp import STAMPSessionReflectorTestUnauthenticated, STAMPSessionSenderTestUnauthenticated

from tests.support.netns import Link, Namespace
from tests.support.pcap_stamp import datagrams
from tests.support.tap import ROOT, Capture

PORT = 862
KEY = b"0123456789abcdef0123456789abcdef"
FIELDS = (
    "udp.dstport",
    "twamp.test.seq_number",
    "twamp.test.timestamp",
    "twamp.test.error_estimate",
    "twamp.test.receive_timestamp",
    "twamp.test.sender_seq_number",
    "twamp.test.sender_timestamp",
    "twamp.test.sender_error_estimate",
    "twamp.test.sender_ttl",
)


@pytest.fixture
def line() -> Iterator[tuple[Namespace, Namespace, Link]]:
    near, far = Namespace("near"), Namespace("far")
    try:
        link = Link(near, far)
        for address in (link.b4, link.b6):
            near.run("ping", "-c", "1", "-w", "20", address)
        yield near, far, link
    finally:
        near.close()
        far.close()


def recorded(
    line: tuple[Namespace, Namespace, Link], path: Path, family: int = 4, **params: Any
) -> list[dict[str, Any]]:
    """Captures a window of 30 packets; what the probe said."""
    near, far, link = line
    host = link.b4 if family == 4 else link.b6
    order = {"hosts": [host], "port": PORT, "clock_bound_s": 0.001, "key_file": params.get("key_file")}
    argv = [sys.executable, "-m", "tests.support.stamp_reflector", json.dumps(order)]
    reflector = far.popen(argv, cwd=ROOT, stdout=subprocess.PIPE)
    assert reflector.stdout is not None
    assert reflector.stdout.readline() == b"ready\n"
    capture = Capture(near, path, f"udp port {PORT}")
    asked = {"address": host, "window_s": 0.6, "clock_bound_s": 0.001, "params": {"interval": "20 ms"} | params}
    driver = near.popen(
        [sys.executable, "-m", "tests.support.stamp_driver", json.dumps(asked)], cwd=ROOT, stdout=subprocess.PIPE
    )
    output, _ = driver.communicate(timeout=60)
    (said,) = json.loads(output.splitlines()[-1])
    capture.stop(lambda file: len(datagrams(file, PORT)) >= 2 * said["result"]["sent"])
    reflector.terminate()
    reflector.communicate(timeout=20)
    packets: list[dict[str, Any]] = said["packets"]
    return packets


def tshark(path: Path, *options: str) -> list[str]:
    argv = ["tshark", "-r", str(path), "-d", f"udp.port=={PORT},twamp.test", *options]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120).stdout.splitlines()


@pytest.mark.parametrize("family", [4, 6])
def test_wireshark_decodes_every_packet_without_a_malformed_mark(
    line: tuple[Namespace, Namespace, Link], tmp_path: Path, family: int
) -> None:
    path = tmp_path / "wire.pcap"
    packets = recorded(line, path, family)
    assert not tshark(path, "-Y", "_ws.malformed or _ws.expert")
    rows = tshark(
        path, "-Y", f"udp.port == {PORT}", "-T", "fields", *(part for field in FIELDS for part in ("-e", field))
    )
    seen = [dict(zip(FIELDS, row.split("\t"), strict=True)) for row in rows]
    requests = [row for row in seen if row["udp.dstport"] == str(PORT)]
    replies = [row for row in seen if row["udp.dstport"] != str(PORT)]
    assert [int(row["twamp.test.seq_number"]) for row in requests] == [packet["number"] for packet in packets]
    assert [row["twamp.test.seq_number"] for row in replies] == [row["twamp.test.seq_number"] for row in requests]
    for asked, told in zip(requests, replies, strict=True):
        assert told["twamp.test.sender_seq_number"] == asked["twamp.test.seq_number"]
        assert told["twamp.test.sender_timestamp"] == asked["twamp.test.timestamp"]
        assert told["twamp.test.sender_error_estimate"] == asked["twamp.test.error_estimate"]
        assert moment(asked) <= moment(told, "receive_timestamp") <= moment(told)
        assert told["twamp.test.sender_ttl"] == "255"
        assert int(told["twamp.test.error_estimate"]) >> 14 == 0b10  # S, and not Z
    assert abs(moment(requests[0]).timestamp() - time.time()) < 60


def moment(row: dict[str, str], field: str = "timestamp") -> datetime:
    text = row[f"twamp.test.{field}"].removesuffix(" UTC")
    return datetime.strptime(text[:-3], "%b %d, %Y %H:%M:%S.%f").replace(tzinfo=UTC)


def test_packets_with_padding_and_code_points_are_decoded_too(
    line: tuple[Namespace, Namespace, Link], tmp_path: Path
) -> None:
    path = tmp_path / "wire.pcap"
    recorded(line, path, packet_bytes=600, dscp=46)
    assert not tshark(path, "-Y", "_ws.malformed or _ws.expert")
    lengths = tshark(path, "-T", "fields", "-e", "udp.length", "-e", "ip.dsfield.dscp", "-Y", "twamp.test")
    assert set(lengths) == {"608\t46"}


@pytest.mark.parametrize("family", [4, 6])
def test_scapy_reads_the_extensions_and_the_layout(
    line: tuple[Namespace, Namespace, Link], tmp_path: Path, family: int
) -> None:
    path = tmp_path / "wire.pcap"
    recorded(line, path, family, dscp=46, packet_bytes=100)
    seen: dict[str, list[Any]] = {"request": [], "reply": []}
    for kind, _, payload, tos in datagrams(path, PORT):
        assert (len(payload), tos >> 2) == (100, 46)
        layer = STAMPSessionSenderTestUnauthenticated if kind == "request" else STAMPSessionReflectorTestUnauthenticated
        seen[kind].append(layer(payload))
    for asked, told in zip(seen["request"], seen["reply"], strict=True):
        assert [(each.type, int(each.flags), len(each.value)) for each in asked.tlv_objects] == [
            (7, 0x80, 16), (4, 0x80, 4), (1, 0x80, 24),
        ]  # fmt: skip
        assert [(each.type, int(each.flags)) for each in told.tlv_objects] == [(7, 0), (4, 0), (1, 0)]
        assert (told.ssid, told.seq_sender, told.ts_sender) == (asked.ssid, asked.seq, asked.ts)
        assert told.tlv_objects[1].value == (46 << 26 | 46 << 20).to_bytes(4, "big")
    for before, told in pairwise(seen["reply"]):
        number, sent = struct.unpack_from("!IQ", told.tlv_objects[0].value)
        assert number == before.seq
        assert 0 <= sent / 2**32 - before.ts < 0.1  # when it truly left


@pytest.mark.parametrize("family", [4, 6])
def test_authenticated_packets_have_their_hmacs_where_the_rfcs_put_them(
    line: tuple[Namespace, Namespace, Link], tmp_path: Path, family: int
) -> None:
    (file := tmp_path / "key").write_bytes(KEY)
    path = tmp_path / "wire.pcap"
    recorded(line, path, family, key_file=str(file))
    assert not tshark(path, "-Y", "_ws.malformed")
    found = datagrams(path, PORT)
    assert {kind for kind, *_ in found} == {"request", "reply"}
    for _, _, payload, _ in found:
        extensions = payload[112:-20]
        assert payload[96:112] == hmac.new(KEY, payload[:96], hashlib.sha256).digest()[:16]  # RFC 8762 §4.4
        assert payload[-19:-16] == b"\x08\x00\x10"  # RFC 8972 §4.8: the last, type 8, 16 bytes
        assert payload[-16:] == hmac.new(KEY, payload[:4] + extensions, hashlib.sha256).digest()[:16]
