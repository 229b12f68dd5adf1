"""GET /api/v1/evidence: a pack, made by a process of its own in a file, then streamed from there. One at a time."""

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

import msgspec
from aiohttp import web

from fibrewatch import python_child
from fibrewatch_collector.config import Config
from fibrewatch_collector.evidence import EvidenceError, request
from fibrewatch_collector.hub import Hub

log = logging.getLogger(__name__)
TIMEOUT_S = 1800.0
SEND_TIMEOUT_S = 3600.0
PREFIX = "evidence-"
_CHUNK = 1 << 18
_SHOWN = 400


class Packs:
    """Handlers; `config` says where store and key are."""

    def __init__(self, hub: Hub, config: Config, now: Callable[[], float]) -> None:
        self._hub, self._config, self._now = hub, config, now
        self._turn = asyncio.Lock()
        self._swept = False

    def route(self) -> web.RouteDef:
        """What the server adds."""
        return web.get("/api/v1/evidence", self.pack)

    async def pack(self, asked: web.Request) -> web.StreamResponse:
        """The archive, or why there is none."""
        if self._config.evidence.key is None:
            raise EvidenceError("this collector has no key: [evidence] key in collector.toml says which")
        site, period = request.wanted(self._hub.inventory, dict(asked.query))
        if self._turn.locked():
            raise EvidenceError("a pack is being made: one at a time, try again")
        async with self._turn:
            folder = await asyncio.to_thread(self._folder)
            try:
                made = await self._made(folder, dict(asked.query))
                return await _sent(asked, made, request.file_name(site, period))
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def _folder(self) -> Path:
        """Beside the store, where there is room; what a killed collector left there goes first."""
        home = self._config.store.path.parent
        for each in [] if self._swept else home.glob(f"{PREFIX}*"):
            shutil.rmtree(each, ignore_errors=True)
        self._swept = True
        return Path(mkdtemp(prefix=PREFIX, dir=home))

    async def _made(self, folder: Path, words: dict[str, str]) -> Path:
        """Waits for the process.

        Raises:
            EvidenceError: It made none.
        """
        out = folder / "pack.tar"
        job = request.Job(
            store=str(self._config.store.path),
            written=dict(self._hub.inventory.written or {}),
            words=words,
            now=self._now(),
            key=str(self._config.evidence.key),
            out=str(out),
            scratch=str(folder),
        )
        process = await asyncio.create_subprocess_exec(
            *python_child.command(request.__name__),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                _, told = await process.communicate(msgspec.json.encode(job))
        except TimeoutError as e:
            raise EvidenceError(f"the pack was not made within {TIMEOUT_S:g} s") from e
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            lines = told.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise EvidenceError(lines[-1][:_SHOWN])
        return out


async def _sent(asked: web.Request, pack: Path, name: str) -> web.StreamResponse:
    headers = {
        "Content-Type": "application/x-tar",
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "Content-Length": str((await asyncio.to_thread(pack.stat)).st_size),
    }
    response = web.StreamResponse(headers=headers)
    file = await asyncio.to_thread(pack.open, "rb")
    try:
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await response.prepare(asked)
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                await response.write(chunk)
            await response.write_eof()
    finally:
        file.close()
    return response
