"""The collector over TLS: it shows its certificate, and the broker's must be signed by the right authority."""

import asyncio
import logging
from pathlib import Path

import pytest

from fibrewatch_collector.config import Broker, Tls
from fibrewatch_collector.ingest import Ingest
from fibrewatch_collector.store.sqlite import SqliteStore
from tests.support.certificates import Authority
from tests.support.ingest_rig import RETENTION_S, scripted_box
from tests.support.measurements import NOON, raw_window
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.waiting import until


def listener(port: int, authority: Authority, server: Path) -> str:
    files = f"cafile {authority.pem}\ncertfile {server}\nkeyfile {server}"
    return f"listener {port} 127.0.0.1\n{files}\nrequire_certificate true"


def ingest_of(port: int, tls: Tls, store: SqliteStore) -> Ingest:
    return Ingest(
        Broker(host="127.0.0.1", port=port, tls=tls),
        store,
        known=lambda agent: True,
        territories=["paris"],
        retention_s=RETENTION_S,
        version="test",
        clock=lambda: NOON + 61,
    )


async def test_collector_shows_its_certificate_and_ingests(tmp_path: Path) -> None:
    authority, port = Authority(tmp_path / "ca"), free_port()
    own = authority.certificate("collector")
    store = SqliteStore(tmp_path / "store.db")
    ingest = ingest_of(port, Tls(ca=authority.pem, certificate=own, key=own), store)
    with Mosquitto(tmp_path, listener(port, authority, authority.certificate("broker"))) as broker:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(ingest.run())
            await until(lambda: ingest.stats.connected)
            async with scripted_box(broker.port) as box:
                await box.send([raw_window()])
                await box.acknowledged(1)
            task.cancel()
    store.close()


@pytest.mark.parametrize("fault", ["broker signed by another", "missing file"])
async def test_collector_stays_away_from_a_broker_that_it_cannot_trust(
    tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    authority, other, port = Authority(tmp_path / "ca"), Authority(tmp_path / "other"), free_port()
    own = authority.certificate("collector")
    tls = {
        "broker signed by another": Tls(ca=other.pem, certificate=own, key=own),
        "missing file": Tls(ca=tmp_path / "none.pem", certificate=own, key=own),
    }[fault]
    store = SqliteStore(tmp_path / "store.db")
    ingest = ingest_of(port, tls, store)
    with Mosquitto(tmp_path, listener(port, authority, authority.certificate("broker"))):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(ingest.run())
            await until(lambda: f"broker=127.0.0.1:{port}" in caplog.text)
            assert not ingest.stats.connected
            assert not task.done()
            task.cancel()
    store.close()
