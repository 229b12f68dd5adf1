"""What a box tells of itself so that somebody is alerted: which tests lost a target, when its certificate expires."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from fibrewatch.wire import LostTest
from fibrewatch_agent import own_certificate
from fibrewatch_agent.config import TlsConfig
from fibrewatch_agent.runner import LostTargets
from tests.support.certificates import Authority


async def test_lost_targets_are_told_with_their_tests() -> None:
    changed = asyncio.Event()
    lost = LostTargets(changed)
    lost.report("fibre", "far", lost=True)
    lost.report("4g", "far", lost=True)
    lost.report("4g", "far", lost=False)
    assert changed.is_set()
    assert lost.names() == ("far",)
    assert lost.tests() == (LostTest(test="fibre", target="far"),)


def test_expiry_is_that_of_the_file_as_it_is_now(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pem = authority.certificate("box", end="20300102030405Z")
    tls = TlsConfig(ca=authority.pem, certificate=pem, key=pem)
    assert own_certificate.expiry(tls) == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    pem.write_text(authority.certificate("renewed", end="20310102030405Z").read_text())
    assert own_certificate.expiry(tls) == datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_no_certificate_or_none_that_can_be_read_tells_nothing(tmp_path: Path) -> None:
    assert own_certificate.expiry(None) is None
    assert own_certificate.expiry(TlsConfig()) is None
    assert own_certificate.expiry(TlsConfig(certificate=tmp_path / "gone.pem", key=tmp_path / "gone.pem")) is None
    (tmp_path / "torn.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    assert own_certificate.expiry(TlsConfig(certificate=tmp_path / "torn.pem", key=tmp_path / "torn.pem")) is None
    (tmp_path / "key.pem").write_bytes(b"\xff\xfe no certificate")
    assert own_certificate.expiry(TlsConfig(certificate=tmp_path / "key.pem", key=tmp_path / "key.pem")) is None
