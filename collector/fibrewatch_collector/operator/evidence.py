"""`fibrewatch evidence`, `verify` and `evidence-key`."""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from fibrewatch_collector.evidence import EvidenceError, PackError, keys, request, verifying
from fibrewatch_collector.evidence.contents import Manifest
from fibrewatch_collector.inventory import Inventory
from fibrewatch_collector.ledger import certificates
from fibrewatch_collector.operator.door import Door, opened


def from_store(store: Path, inventory: Inventory, key: Path, words: Mapping[str, str], out: Path | None) -> int:
    """Makes a pack from a store; returns the exit status.

    Raises:
        FibrewatchError: It can't be made.
    """
    from tempfile import TemporaryDirectory

    site, period = request.wanted(inventory, words)
    to = out or Path(request.file_name(site, period))
    with TemporaryDirectory() as scratch:
        part = to.with_name(f".{to.name}.{os.getpid()}")
        job = request.Job(
            store=str(store),
            written=dict(inventory.written or {}),
            words=dict(words),
            now=time.time(),
            key=str(key),
            out=str(part),
            scratch=scratch,
        )
        try:
            manifest = request.run(job)
            part.replace(to)
        finally:
            part.unlink(missing_ok=True)
    _tell(to, manifest)
    return 0


def _tell(to: Path, manifest: Manifest) -> None:
    print(f"{to}: {to.stat().st_size} bytes, signed by {manifest.key}")
    if manifest.collector_differs:
        shown = ", ".join(manifest.collector_differs[:3])
        print(
            f"fibrewatch: warning: {len(manifest.collector_differs)} figures differ from the collector's own report, "
            f"which judged some minutes with what it knew at the time: {shown} …",
            file=sys.stderr,
        )


def from_api(door: Door, words: Mapping[str, str], out: Path | None) -> int:
    """Asks a collector for a pack; returns the exit status.

    Raises:
        ApiError: The collector does not answer, or refuses.
    """
    to = asyncio.run(_fetch(door, words, out))
    print(f"{to}: {to.stat().st_size} bytes")
    return 0


async def _fetch(door: Door, words: Mapping[str, str], out: Path | None) -> Path:
    async with opened(door) as api:
        return await api.evidence(words, out)


def verify(pack: Path, key: str | None) -> int:
    """Checks a pack, a line for each step; returns 0 where all hold, else 1.

    Raises:
        EvidenceError: Pack or key can't be read.
    """
    wanted = keys.wanted(key) if key is not None else None
    if _is_certificate(pack):
        return _verify_certificate(pack, wanted)
    try:
        for step in verifying.verify(pack, wanted):
            print(f"{step.name:<13} ok    {step.said}", flush=True)
    except PackError as e:
        print(f"{e.step:<13} FAIL  {e.problem}", flush=True)
        return 1
    return 0


def _is_certificate(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(1) == b"{"
    except OSError as e:
        raise EvidenceError(f"{path}: {e.strerror}") from e


def _verify_certificate(path: Path, wanted: str | None) -> int:
    """A certificate of acceptance as JSON: its hash, and its signature where it has one."""
    sealed = certificates.decode(path.read_bytes())
    if (problem := keys.broken(sealed, wanted)) is not None:
        print(f"{'certificate':<13} FAIL  {problem}")
        return 1
    made = sealed.certificate
    signed = f"signed by {sealed.key}" if sealed.key else "not signed: only its hash fits"
    print(f"{'certificate':<13} ok    {made.territory}/{made.site}, accepted on {made.on} by {made.who}; {signed}")
    return 0


def make_key(path: Path, *, show: bool) -> int:
    """Makes a key, or tells of one that is there; returns the exit status.

    Raises:
        EvidenceError: It can't be made or read.
    """
    key = keys.read(path) if show else keys.make(path)
    public = key.public_key()
    print(keys.public_pem(public).decode(), end="")
    print(keys.fingerprint(public))
    return 0
