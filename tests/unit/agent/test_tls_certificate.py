"""Certificates read from their DER: what the openssl tool made, and garbage."""

import contextlib
import ssl
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibrewatch_agent.services import certificate
from fibrewatch_agent.services.certificate import CertificateError
from tests.support.certificates import Authority


@cache
def der(subject: str, start: str, end: str) -> bytes:
    with TemporaryDirectory() as folder:
        path = Authority(Path(folder)).certificate("one", subject=subject, start=start, end=end)
        return ssl.PEM_cert_to_DER_cert(path.read_text().split("-----BEGIN PRIVATE")[0])


def recent() -> bytes:
    return der("/O=Cargo/CN=box.example", "20200101000000Z", "20450203040506Z")


def test_names_and_dates_are_read() -> None:
    found = certificate.read(recent())
    assert (found.subject, found.issuer) == ("box.example", "Test authority")
    assert found.not_before == datetime(2020, 1, 1, tzinfo=UTC)
    assert found.not_after == datetime(2045, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_a_date_beyond_2049_is_read() -> None:
    """They are written in another form, RFC 5280 §4.1.2.5."""
    assert certificate.read(der("/O=Cargo", "20200101000000Z", "20500203040506Z")).not_after.year == 2050


def test_without_a_common_name_the_organisation_is_told() -> None:
    assert certificate.read(der("/O=Cargo", "20200101000000Z", "20500203040506Z")).subject == "Cargo"


def test_it_agrees_with_the_ssl_module(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.pem)
    (theirs,) = context.get_ca_certs()
    (ours,) = (certificate.read(each) for each in context.get_ca_certs(binary_form=True))
    assert ours.not_after.timestamp() == ssl.cert_time_to_seconds(str(theirs["notAfter"]))
    assert ours.subject == "Test authority"


@pytest.mark.parametrize(
    "data", [b"", b"\x30", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", b"\x30\x02\x30\x00", b"x" * 50]
)
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(CertificateError):
        certificate.read(data)


@settings(max_examples=1500, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CertificateError):
        certificate.read(data)


@settings(max_examples=1500, deadline=None)
@given(st.integers(0, 400), st.integers(0, 255), st.integers(1, 4))
def test_a_damaged_certificate_is_read_or_refused(at: int, value: int, length: int) -> None:
    data = bytearray(recent())
    data[at : at + length] = bytes([value]) * length
    with contextlib.suppress(CertificateError):
        certificate.read(bytes(data))
