"""The uplink over TLS: both ends show a certificate, and nothing goes to a broker that can't prove itself."""

import asyncio
import random
import subprocess
from pathlib import Path

import pytest

from fibrewatch import wire
from fibrewatch_agent.config import BrokerConfig, TlsConfig
from fibrewatch_agent.uplink import Timing, run_uplink
from tests.support.collector_stub import collecting
from tests.support.mosquitto import Mosquitto, free_port, wait_for_port
from tests.support.spooled import BOOT, measurement, open_spool

AGENT = wire.AgentId("paris", "cargo", "box-01")


def openssl(folder: Path, *argv: str) -> None:
    subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True)


def authority(folder: Path, name: str) -> Path:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    extensions = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    openssl(
        folder,
        "req",
        "-x509",
        *key,
        "-keyout",
        f"{name}.key",
        "-out",
        f"{name}.pem",
        "-subj",
        f"/CN={name}",
        *extensions,
    )
    return folder / f"{name}.pem"


def certificate(folder: Path, by: str, file: str, subject: str, names: str) -> TlsConfig:
    common_name = subject.replace("/", r"\/")
    (folder / f"{file}.ext").write_text(f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(folder, "req", *key, "-keyout", f"{file}.key", "-out", f"{file}.csr", "-subj", f"/CN={common_name}")
    signed = ["-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial", "-extfile", f"{file}.ext"]
    openssl(folder, "x509", "-req", "-in", f"{file}.csr", "-out", f"{file}.pem", "-days", "2", *signed)
    return TlsConfig(ca=folder / f"{by}.pem", certificate=folder / f"{file}.pem", key=folder / f"{file}.key")


async def deliver(
    folder: Path, broker: Mosquitto, port: int, tls: TlsConfig, until: str, log: pytest.LogCaptureFixture
) -> list[int]:
    """Runs an uplink until one measurement is stored or the log holds `until`; returns what is stored."""
    spool, stopping = open_spool(folder), asyncio.Event()
    await spool.append(measurement(1), dated=True)
    async with collecting(broker.port) as stub, asyncio.TaskGroup() as tasks:
        tasks.create_task(
            run_uplink(
                BrokerConfig(host="localhost", port=port, tls=tls),
                AGENT,
                spool,
                lambda: wire.Status(state="online", version="1", boot=BOOT),
                lambda: wire.Inventory(version="1"),
                asyncio.Event(),
                stopping,
                timing=Timing(reconnect_first_s=0.1, reconnect_cap_s=0.1),
                rng=random.Random(1),
            )
        )
        async with asyncio.timeout(60):
            while not stub.indices() and not (until and until in log.text):
                await asyncio.sleep(0.02)
        stopping.set()
    await spool.close()
    return stub.indices()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority(tmp_path, "ours")
    authority(tmp_path, "theirs")
    certificate(tmp_path, "ours", "broker", "broker", "DNS:localhost,IP:127.0.0.1")
    return tmp_path


def tls_broker(folder: Path) -> tuple[Mosquitto, int]:
    """Plain for the collector; for boxes TLS, with a certificate of theirs required."""
    port = free_port()
    files = f"cafile {folder}/ours.pem\ncertfile {folder}/broker.pem\nkeyfile {folder}/broker.key\n"
    return Mosquitto(folder, f"listener {port} 127.0.0.1\n{files}require_certificate true"), port


async def test_results_arrive_with_a_certificate_of_the_same_authority(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker, port = tls_broker(folder)
    box = certificate(folder, "ours", "box", str(AGENT), "DNS:box")
    with broker:
        wait_for_port(port)
        assert await deliver(folder, broker, port, box, "", caplog) == [1]


async def test_nothing_goes_to_a_broker_of_another_authority(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    broker, port = tls_broker(folder)
    box = certificate(folder, "theirs", "box", str(AGENT), "DNS:box")
    with broker:
        wait_for_port(port)
        assert await deliver(folder, broker, port, box, "certificate verify failed", caplog) == []


async def test_a_missing_certificate_file_is_warned_of_and_tried_again(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker, port = tls_broker(folder)
    box = TlsConfig(ca=folder / "ours.pem", certificate=folder / "none.pem", key=folder / "none.key")
    with broker:
        wait_for_port(port)
        assert await deliver(folder, broker, port, box, "No such file", caplog) == []
    assert [r.levelname for r in caplog.records if "no connection" in r.message][:1] == ["WARNING"]
